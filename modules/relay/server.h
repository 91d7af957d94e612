/* A running relay: its start, reload and end. */
#ifndef SPX_RELAY_SERVER_H
#define SPX_RELAY_SERVER_H

#include "base/error.h"

struct relay_config;

/* Takes a configuration over, also when it fails, leaving zeros, and runs until SIGTERM or SIGINT;
 * SIGHUP reloads path. Returns how it ended; why is in the log. */
enum failure relay_run(struct relay_config *config, const char *path);

#endif
