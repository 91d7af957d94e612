/* The relay's process gives up all that it needs no more. */
#ifndef SPX_RELAY_GUARD_H
#define SPX_RELAY_GUARD_H

#include "base/error.h"

struct relay;
struct relay_config;

/* Once its ports are open, and before it has threads: becomes its user, and gives up the rest.
 * False: e says why it cannot. */
bool relay_guard_begin(const struct relay *r, const char *config_path, struct error *e);

/* Takes out of a new configuration what the process has given up, and logs it. */
void relay_guard_reloaded(struct relay_config *config);

/* For --check by root, which ends then: becomes the user of the configuration, and warns if that
 * one could not read the files again. */
void relay_guard_check(const struct relay_config *config, const char *config_path);

#endif
