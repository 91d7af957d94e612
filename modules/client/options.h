/* The options of the client's command line. */
#ifndef SPX_CLIENT_OPTIONS_H
#define SPX_CLIENT_OPTIONS_H

#include "cli/cli.h"
#include "config/config.h"

struct client_options {
    bool watch;               /* of list */
    const char *agent;        /* NULL with list */
    struct forward *forwards; /* in the order given */
    size_t forward_count;
    bool stdio; /* -W */
    struct target stdio_target;
};

/* The state of the client's command line. */
struct client_command {
    struct client_options options;
    struct client_config config;
};

/* For connecting, and for list. */
extern const struct cli_option client_connect_options[], client_list_options[];

/* Checks the words and options of a command line for connecting. */
bool client_settle_connect(struct cli *c, struct error *e);

void client_options_free(struct client_options *o);

#endif
