/* The table-driven core of the configuration files: a table of sections, each with a table of keys,
 * drives the reading and every check that is the same for all of them. */
#ifndef SPX_CONFIG_SCHEMA_H
#define SPX_CONFIG_SCHEMA_H

#include "config/config.h"
#include "config/ini.h"

struct config_reader;

/* How often a section stands in a file, a key in a section. */
enum config_count { AT_MOST_ONE, EXACTLY_ONE, ANY_NUMBER, AT_LEAST_ONE };

/* A key of a section. parse reads the value into field, which stands `offset` bytes into the
 * section's object; its errors name neither file nor line. */
struct config_key {
    const char *name;
    enum config_count count;
    bool (*parse)(struct config_reader *r, void *field, const char *value, struct error *e);
    size_t offset;
};

/* A section. begin gives the object its keys are read into (NULL: no memory), valid until the next
 * begin; finish (may be NULL) checks the object when its keys are all there, its errors name
 * neither file nor line. */
struct config_section {
    const char *name;
    enum config_count count;
    void *(*begin)(struct config_reader *r);
    bool (*finish)(struct config_reader *r, void *object, struct error *e);
    const struct config_key *keys; /* ended by one without a name */
};

/* Another party in the file, noted for the checks at the end. */
struct config_peer {
    const struct config_section *section;
    unsigned line;
    char name[NAME_TEXT_BYTES]; /* "": it has none */
    bool has_key;
    uint8_t public_key[KEY_BYTES];
};

#define SECTIONS_MAX 4
#define SECTION_KEYS_MAX 8
#define RELAY_DEFAULT_PORT 7443

/* One reading of one file. */
struct config_reader {
    const char *path;
    void *config;                          /* the caller's, for begin and finish */
    const struct config_section *sections; /* ended by one without a name */
    /* The core's own. */
    const struct config_section *section; /* the one being read */
    void *object;
    unsigned section_line;
    unsigned section_lines[SECTIONS_MAX]; /* of each section's first; 0: not there yet */
    unsigned key_lines[SECTION_KEYS_MAX]; /* of each key of this section; 0: not there yet */
    struct config_peer *peers;
    size_t peer_count;
};

/* Reads the file at r->path by r->sections. own_key: the party's own pair, loaded meanwhile;
 * own_kind, such as "relay", is for the error when a peer has the same key. Everything else of r is
 * zero before and freed after. */
bool config_read(struct config_reader *r, const struct keypair *own_key, const char *own_kind,
                 struct error *e);

/* For finish: notes a peer, so that its name (NULL: none) stands once among its section's and its
 * key (NULL: none here) once among all; only a [Relay] may share its key with another [Relay],
 * being one relay with several addresses. */
bool config_note_peer(struct config_reader *r, const char *name, const uint8_t *public_key,
                      struct error *e);

/* Makes the array one zeroed item longer and counts it: the array's new place, or NULL without
 * memory. */
void *array_append(void *items, size_t *count, size_t item_bytes);

/* A path as a configuration file means it: '~' expanded, relative to the file's directory.
 * Allocated; NULL without memory. */
char *config_path(const char *file, const char *path);

/* Parsers for keys of the tables. Their fields, in this order: char[NAME_TEXT_BYTES],
 * uint8_t[KEY_BYTES], struct keypair, char * (allocated), char * (allocated), struct host_port. */
bool parse_name(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_public_key(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_key_file(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_labels(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_path(struct config_reader *r, void *field, const char *value, struct error *e);
bool parse_relay_address(struct config_reader *r, void *field, const char *value, struct error *e);

/* Addresses to listen on, "a, b", appended to an array. */
bool append_listen(struct address **listen, size_t *count, const char *value, struct error *e);

#endif
