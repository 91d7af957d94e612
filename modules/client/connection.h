/* The connection process: a session with each agent, through one relay after the other, and what
 * applications reach through it. */
#ifndef SPX_CLIENT_CONNECTION_H
#define SPX_CLIENT_CONNECTION_H

#include "client/options.h"
#include "client/trust.h"
#include "config/config.h"
#include "hop/hop.h"

/* Its task, settled before it begins; the pointers' owner outlives it. */
struct client_task {
    const char *agent;
    const struct client_options *options;
    const struct client_config *config;
    const struct hop_party *party;
    const struct forward *forwards; /* the command line's, or else the configuration's */
    size_t forward_count;
    struct trusted_key agent_key;
    const char *question; /* asked in place of all forwards (statement.h); NULL: none */
    /* NULL: it is answered; otherwise why the answer is none: the task has failed. */
    const char *(*answered)(const struct client_task *t, struct view answer);
};

/* Runs all tasks until each has ended: by a signal, the end of standard input and output's stream
 * (-W), or what no further try can mend. Returns how the first one ended that did not end well. */
enum failure connection_run(const struct client_task *tasks, size_t count);

#endif
