/* The agent's process gives up all that it needs no more. */
#ifndef SPX_AGENT_GUARD_H
#define SPX_AGENT_GUARD_H

#include "base/error.h"

struct agent;
struct agent_config;

/* Once its ports are open: becomes its user. False: e says why it cannot. */
bool agent_guard_become(const struct agent *a, struct error *e);

/* Then, once it has started the process that runs programs for it, and before it has threads: gives
 * up the rest. state_directory: or NULL. */
void agent_guard_begin(struct agent *a, const char *state_directory);

/* Logs what its new configuration asks for and the process has given up. */
void agent_guard_reloaded(struct agent *a, const struct agent_config *old);

/* Frees what it has kept of the configuration that it began with. */
void agent_guard_end(struct agent *a);

/* For --check by root, which ends then: becomes the user of the configuration, and warns if that
 * one could not read the files again. */
void agent_guard_check(const struct agent_config *config, const char *config_path);

#endif
