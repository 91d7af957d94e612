/* The table-driven core of the configuration files: a table of sections, each with a table of keys,
 * drives the reading, every check that is the same for all of them, and what a reload does. */
#ifndef SPX_CONFIG_SCHEMA_H
#define SPX_CONFIG_SCHEMA_H

#include "config/config.h"
#include "config/ini.h"

struct config_reader;

/* The number of times a section may stand in a file, or a key in a section. */
enum config_count { AT_MOST_ONE, EXACTLY_ONE, ANY_NUMBER, AT_LEAST_ONE };

/* When a change of a key counts after a reload. */
enum config_effect { AT_ONCE, NEXT_HOP, NEXT_SESSION, NEXT_START };

/* The type of a key's field. parse reads a value into the field (NULL: the core reads a number);
 * its errors name neither file nor line. same and bytes, the size of the field, are for keys whose
 * change counts later; same NULL otherwise. */
struct config_type {
    bool (*parse)(struct config_reader *r, void *field, const char *value, struct error *e);
    bool (*same)(const void *a, const void *b);
    size_t bytes;
};

/* A key of a section. The field stands `offset` bytes into the section's object. */
struct config_key {
    const char *name;
    enum config_count count;
    enum config_effect effect; /* AT_ONCE in a section that may repeat */
    const struct config_type *type;
    size_t offset;
    struct number_range range; /* of config_number, as is initial, the default */
    uint32_t initial;
};

/* Where the objects of a section that may repeat stand in the configuration: offsets of the array
 * and of its count. item_bytes 0: the object is the configuration itself. */
struct config_items {
    size_t array, count, item_bytes;
};

/* A section. finish (may be NULL) checks the object when its keys are all there; its errors name
 * neither file nor line. */
struct config_section {
    const char *name;
    enum config_count count;
    struct config_items items;
    bool (*finish)(struct config_reader *r, void *object, struct error *e);
    const struct config_key *keys;
    size_t key_count;
};

/* A kind of file. */
struct config_file {
    const char *role; /* "relay" */
    const struct config_section *sections;
    size_t section_count;
};

extern const struct config_file relay_config_file, agent_config_file, client_config_file;

#define SECTIONS_MAX 8
#define SECTION_KEYS_MAX 32

/* For the last two members of a section and of a file: a table and the count of its rows, which is
 * checked against the most there may be. */
#define CONFIG_ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define CONFIG_TABLE(table, most)                                                           \
    (table), CONFIG_ROWS(table) +                                                           \
                 0 * sizeof(struct {                                                        \
                     _Static_assert(CONFIG_ROWS(table) <= (most), "too many rows: " #most); \
                     char unused;                                                           \
                 })
#define CONFIG_KEYS(table) CONFIG_TABLE(table, SECTION_KEYS_MAX)
#define CONFIG_SECTIONS(table) CONFIG_TABLE(table, SECTIONS_MAX)

/* Initializes config_items. */
#define CONFIG_ITEMS(config, array, count)                                                \
    {                                                                                     \
        offsetof(config, array), offsetof(config, count), sizeof *((config *)NULL)->array \
    }

/* The offset of a number, whose field must be an uint32_t. */
#define CONFIG_NUMBER(object, field) \
    (offsetof(object, field) + 0 * sizeof(_Generic(((object *)NULL)->field, uint32_t : 0)))

/* Another party in the file, noted for the checks at the end. */
struct config_peer {
    const struct config_section *section;
    unsigned line;
    char name[NAME_TEXT_BYTES]; /* "": it has none */
    bool has_key;
    uint8_t public_key[KEY_BYTES];
};

#define RELAY_DEFAULT_PORT 7443

/* One reading of one file. */
struct config_reader {
    const char *path;
    const struct config_file *file;
    void *config;
    void *arg;      /* the caller's, for finish */
    char *key_path; /* of the own key's file, once it is read: the caller's */
    /* The core's own. */
    const struct config_section *section; /* the one being read */
    void *object;
    unsigned section_line, key_line;      /* of the section and key being read */
    unsigned section_lines[SECTIONS_MAX]; /* of each section's first; 0: not there yet */
    unsigned key_lines[SECTION_KEYS_MAX]; /* of each key of this section; 0: not there yet */
    struct config_peer *peers;
    size_t peer_count;
};

/* Reads the file at r->path into r->config, which is zero before. own_key: the party's own pair,
 * loaded meanwhile. Everything else of r is zero before, and but for key_path freed after. */
bool config_read(struct config_reader *r, const struct keypair *own_key, struct error *e);

/* For finish: notes a peer, so that its name (NULL: none) stands once among its section's and its
 * key (NULL: none here) once among all; only a [Relay] may share its key with another [Relay],
 * being one relay with several addresses. */
bool config_note_peer(struct config_reader *r, const char *name, const uint8_t *public_key,
                      struct error *e);

/* A path as a configuration file means it: '~' expanded, relative to the file's directory.
 * Allocated; NULL without memory. */
char *config_path(const char *file, const char *path);

/* Types of fields: char[NAME_TEXT_BYTES], uint8_t[KEY_BYTES], struct keypair, char * (allocated),
 * char * (allocated), char * (allocated), char * (allocated), struct host_port, struct
 * address_list, uint32_t. */
extern const struct config_type config_name, config_public_key, config_key_file, config_labels,
    config_any_path, config_user, config_group, config_relay_address, config_addresses,
    config_number;

/* uint8_t[SIGN_PUBLIC_BYTES]. */
extern const struct config_type config_authority_key;

/* The parsers of some of them, for types of one section's own, and the comparison of paths. */
bool parse_public_key(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_path(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_relay_address(struct config_reader *r, void *field, const char *value, struct error *e);
bool same_text(const void *a, const void *b);

#endif
