/* A running agent, from its start to its end. */
#ifndef SPX_AGENT_SERVER_H
#define SPX_AGENT_SERVER_H

#include "base/error.h"

struct agent_config;

/* Starts with a configuration, which it owns from then on (also on failure), and runs until SIGTERM
 * or SIGINT; SIGHUP reloads path. Failures are logged. */
enum failure agent_serve(struct agent_config *config, const char *path);

#endif
