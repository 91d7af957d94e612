/* The options of the client's command line. */
#ifndef SPX_CLIENT_OPTIONS_H
#define SPX_CLIENT_OPTIONS_H

#include "cli/cli.h"
#include "config/config.h"

#define CLIENT_AGENTS_MAX 64

/* An agent to be reached, and the forwards that stand behind its name. */
struct client_wish {
    const char *agent;
    struct forward *forwards;
    size_t forward_count;
};

struct client_options {
    bool watch;                 /* of list */
    unsigned states;            /* of list: a bit for each enum agent_state */
    struct client_wish *wishes; /* none with list */
    size_t wish_count;
    struct forward *forwards; /* in the order given, each beside its option's value */
    const char **values;
    size_t forward_count, value_count;
    const char *call; /* of take: its number; NULL: all */
    const char
        *reason; /* of the user, for the agent; NULL: none. Clean, at most REASON_MAX_BYTES */
    const char *permit;    /* the file of the user's, in place of the configuration's; or NULL */
    const char *emergency; /* a code for it, as typed; NULL: none. At most EMERGENCY_MAX_BYTES */
    const char *wait;      /* as given; NULL: as long as the agent lets a request stand */
    uint32_t wait_s;       /* how long a session may wait for approval; 0: as above */
    bool stdio;            /* -W */
    struct target stdio_target;
};

/* The state of the client's command line. */
struct client_command {
    int argc;
    char **argv; /* a copy: in the order given, which getopt changes */
    struct client_options options;
    struct client_config config;
};

/* For connecting, for the other verbs with a session, and for list. */
extern const struct cli_option client_connect_options[], client_session_options[],
    client_list_options[];

/* Checks the words and options of a command line for connecting. */
bool client_settle_connect(struct cli *c, struct error *e);

/* The same for a verb about one agent, and for take. */
bool client_settle_agent(struct cli *c, struct error *e);
bool client_settle_take(struct cli *c, struct error *e);

/* Frees what settling has allocated, after errors too; zeroes the options. */
void client_options_free(struct client_options *o);

#endif
