/* A running agent, from its start to its end. */
#ifndef SPX_AGENT_SERVER_H
#define SPX_AGENT_SERVER_H

#include "base/error.h"

struct agent_config;

/* Starts with a configuration, which it takes over (also when it fails), and runs until SIGTERM or
 * SIGINT; SIGHUP loads path again. Returns how it ended; why is in the log. */
enum failure agent_serve(struct agent_config *config, const char *path);

#endif
