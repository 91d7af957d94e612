/* The connection process: a session with one agent, through one relay after the other, and what
 * applications reach through it. */
#ifndef SPX_CLIENT_CONNECTION_H
#define SPX_CLIENT_CONNECTION_H

#include "client/options.h"
#include "config/config.h"
#include "hop/hop.h"

/* Its task, settled before it begins; the pointers' owner outlives it. */
struct client_task {
    const struct client_options *options;
    const struct client_config *config;
    const struct hop_party *party;
    const struct forward *forwards; /* the command line's, or else the configuration's */
    size_t forward_count;
    uint8_t agent_key[KEY_BYTES];
};

/* Runs until a signal, the end of standard input and output's stream (-W), or what no further try
 * can mend. Returns how it ended. */
enum failure connection_run(const struct client_task *task);

#endif
