/* The configuration files of relay, agent and client: what each section and key means, and the
 * errors. */
#ifndef SPX_CONFIG_CONFIG_H
#define SPX_CONFIG_CONFIG_H

#include "config/values.h"
#include "crypto/keys.h"
#include "crypto/sign.h"
#include "policy/rules.h"

#define LABELS_BYTES 2048 /* with the terminator */
#define RELAY_WORKERS_MAX 64
#define AUDIT_MB_DEFAULT 100
#define AUDIT_QUOTA_MAX 1000000000
#define AUDIT_QUOTA_DEFAULT 1000000
#define AUDIT_MB_MAX 1000000
#define MAX_PERMIT_DEFAULT_S 86400 /* from a permit's issue to its end */
#define MAX_SESSION_DEFAULT_S 43200
#define MAX_SESSION_MAX_S 31622400U

/* A user's name as it is shown; of one with a permit with authority and permit. */
#define USER_TEXT_BYTES 160

/* Lists are allocated arrays with their count. Every struct is freed by its *_free, which wipes
 * keys. Ranges and defaults of numbers stand in the tables of keys (schema.h). */

struct address_list {
    struct address *items;
    size_t count;
};

struct relay_user {
    char name[NAME_TEXT_BYTES];
    uint8_t public_key[KEY_BYTES];
    char (*agents)[NAME_TEXT_BYTES]; /* patterns; none: no agent */
    size_t agent_count;
};

struct relay_agent {
    char name[NAME_TEXT_BYTES];
    uint8_t public_key[KEY_BYTES];
    char *labels;   /* allocated; NULL: none */
    uint8_t *vouch; /* an authority's statement about its key, allocated; NULL: none */
    size_t vouch_len;
    bool has_dial; /* dial mode */
    struct host_port dial;
};

#define RELAY_AUTHORITIES_MAX 8

/* An authority whose permits let users in. */
struct relay_authority {
    char name[NAME_TEXT_BYTES];
    uint8_t public_key[SIGN_PUBLIC_BYTES];
    uint32_t max_session_s; /* so long after a permit's end a session by it may resume */
    char *revocations;      /* NULL; path of the list of what it has taken back */
};

struct relay_config {
    struct address_list listen; /* one or more */
    struct keypair key;
    char *key_path;     /* of its file */
    char *user, *group; /* NULL; that the process becomes */
    uint32_t keepalive_s;
    uint32_t workers;  /* 0: one for each core */
    char *audit;       /* NULL; path of the file that all is kept in */
    uint32_t audit_mb; /* it is put aside when it would be larger; 0: never */
    struct relay_user *users;
    size_t user_count;
    struct relay_agent *agents;
    size_t agent_count;
    struct relay_authority *authorities; /* RELAY_AUTHORITIES_MAX at most */
    size_t authority_count;
};

struct agent_relay {
    bool has_address; /* without: only a relay that dials this agent */
    struct host_port address;
    uint8_t public_key[KEY_BYTES];
};

/* The rules for sessions in a section. In a [User] of a file that was read those that it does not
 * give are [Agent]'s. */
struct given_rules {
    struct rules rules;
    bool has_access, has_max_session, has_idle_end; /* given here, be it to say: none */
    bool has_needs_reason;
};

struct agent_user {
    char name[USER_TEXT_BYTES];
    uint8_t public_key[KEY_BYTES];
    struct target_pattern *allow; /* none: no target */
    size_t allow_count;
    struct target_pattern *listen; /* where the user's -R may listen; none: nowhere */
    size_t listen_count;
    uint32_t listeners; /* how many a session of the user's may have */
    uint32_t streams;   /* how many it may have open at once */
    struct given_rules given;
};

/* An authority, and what users with its permits may have at most. */
struct agent_authority {
    struct agent_user most; /* with the authority's name, and no key */
    uint8_t public_key[SIGN_PUBLIC_BYTES];
    uint32_t max_permit_s;
    char *revocations; /* NULL; path of the list of what it has taken back */
};

struct agent_zone {
    char *name; /* as it is written, allocated; NULL: UTC */
    struct zone zone;
};

struct agent_config {
    char name[NAME_TEXT_BYTES];
    char scope[NAME_TEXT_BYTES]; /* whose agent it is, for permits; "": of nobody that they name */
    struct keypair key;
    char *key_path;             /* of its file */
    char *user, *group;         /* NULL; that the process becomes */
    struct address_list listen; /* dial mode; none otherwise */
    char *labels;               /* allocated; NULL: none; sent in INFO */
    uint32_t resume_window_s;   /* how long a session is kept without a circuit */
    char *call_socket;          /* NULL; the name that control_socket had earlier */
    bool starts_locked;         /* at the first start, when no state is kept yet */
    char *control_socket;  /* NULL; path of the UNIX socket for `spx agent call` and the like */
    char *control_group;   /* NULL; whose members may use it too: the name or number of a group */
    char *state_directory; /* NULL; where the agent keeps what outlives it */
    struct agent_zone time_zone;
    struct given_rules given; /* for users whose section does not give them */
    char *audit;              /* NULL; path of the file that all is kept in */
    uint32_t audit_mb;        /* it is put aside when it would be larger; 0: never */
    uint32_t audit_quota;     /* entries that a user's sessions may cause in a day; 0: any number */
    char *on_event;           /* NULL; path of the program that is told of events */
    bool
        audit_continue; /* while the file cannot be written there may be new sessions and streams */
    struct agent_relay *relays; /* one or more */
    size_t relay_count;
    struct agent_user *users;
    size_t user_count;
    struct agent_authority *authorities;
    size_t authority_count;
};

struct client_relay {
    struct host_port address;
    uint8_t public_key[KEY_BYTES];
};

struct client_agent {
    char name[NAME_TEXT_BYTES];
    bool has_key;      /* without: the known_agents file has it */
    unsigned key_line; /* where it stands */
    uint8_t public_key[KEY_BYTES];
    struct forward *forwards; /* when the command line asks for nothing */
    size_t forward_count;
};

/* An authority whose statements about agents are believed. */
struct client_authority {
    char name[NAME_TEXT_BYTES];
    uint8_t public_key[SIGN_PUBLIC_BYTES];
};

struct client_config {
    struct keypair key;
    char *permit;                /* NULL; path of the file with the user's permit */
    char *known_agents;          /* path; default "known_agents" beside the configuration file */
    char *audit;                 /* NULL; path of the file that all is kept in */
    uint32_t audit_mb;           /* it is put aside when it would be larger; 0: never */
    struct client_relay *relays; /* one or more, in the order to try */
    size_t relay_count;
    struct client_agent *agents; /* what is particular to them */
    size_t agent_count;
    struct client_authority *authorities;
    size_t authority_count;
};

/* Each load reads the whole file or fails with FAILURE_CONFIG (want of memory: FAILURE_OTHER) and
 * "FILE:LINE: what is wrong, what is expected"; nothing is left allocated then. Unknown sections
 * and keys, keys twice in a section, missing keys, two users or agents of one name or key, a peer's
 * key equal to the own one, are errors. Section and key names are compared without case. */
bool relay_config_load(struct relay_config *c, const char *path, struct error *e);
void relay_config_free(struct relay_config *c);
bool agent_config_load(struct agent_config *c, const char *path, struct error *e);
void agent_config_free(struct agent_config *c);
bool client_config_load(struct client_config *c, const char *path, struct error *e);
void client_config_free(struct client_config *c);

/* Reads targets, or places to listen, as Allow and Listen have them, into a user's. */
bool agent_user_add_allow(struct agent_user *user, const char *list, struct error *e);
bool agent_user_add_listen(struct agent_user *user, const char *list, struct error *e);

/* Frees the lists of a user. */
void agent_user_free(struct agent_user *user);

/* The path of its control socket, which is the configuration's; NULL: it has none. */
const char *agent_config_socket(const struct agent_config *c);

/* The default place: "/etc/spx/ROLE.conf"; for "client" "$XDG_CONFIG_HOME/spx/client.conf" or
 * "~/.config/spx/client.conf". Allocated. */
char *config_default_path(const char *role);

#endif
