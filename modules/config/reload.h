/* Settings that a reload does not change at once. */
#ifndef SPX_CONFIG_RELOAD_H
#define SPX_CONFIG_RELOAD_H

#include "config/schema.h"

/* Before `fresh`, read anew, takes the place of the `running` configuration of the same kind of
 * file: logs each key that has another value and whose change counts later, and puts the running
 * values of those that count at the next start into fresh (the new ones into running), so that what
 * the process holds is what it does and the next reload compares with that. */
void config_carry_over(const struct config_file *file, void *running, void *fresh);

#endif
