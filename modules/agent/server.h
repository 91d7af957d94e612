/* A running agent, from its start to its end. */
#ifndef SPX_AGENT_SERVER_H
#define SPX_AGENT_SERVER_H

#include "base/error.h"

struct agent_config;

/* Takes a configuration over, also when it fails, leaving zeros, and runs until SIGTERM or SIGINT;
 * SIGHUP reloads path. Returns how it ended; why is in the log. */
enum failure agent_run(struct agent_config *config, const char *path);

#endif
