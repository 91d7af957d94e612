/* The client's command line. */
#ifndef SPX_CLIENT_OPTIONS_H
#define SPX_CLIENT_OPTIONS_H

#include "base/error.h"
#include "config/values.h"

struct client_options {
    const char *config_path; /* NULL: the default place */
    bool check, list, watch, json;
    int verbose;
    const char *agent;        /* NULL with check or list */
    const char *query;        /* list: "" for all */
    struct forward *forwards; /* in the order given */
    size_t forward_count;
    bool stdio; /* -W */
    struct target stdio_target;
};

/* False: *failure says how it ended; help or a usage error was written. */
bool client_options_parse(struct client_options *o, int argc, char **argv, enum failure *failure);

void client_options_free(struct client_options *o);

#endif
