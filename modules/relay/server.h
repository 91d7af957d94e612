/* A running relay: its start, reload and end. */
#ifndef SPX_RELAY_SERVER_H
#define SPX_RELAY_SERVER_H

#include "base/error.h"

struct relay_config;

/* Starts with a configuration, which it takes over (also when it fails), and runs until SIGTERM or
 * SIGINT; SIGHUP loads path again. Returns how it ended; why is in the log. */
enum failure relay_serve(struct relay_config *config, const char *path);

#endif
