/* The agent's answer to `spx client targets`, shown. */
#ifndef SPX_CLIENT_TARGETS_H
#define SPX_CLIENT_TARGETS_H

#include "client/connection.h"

/* For client_task.answered: the answer (docs/PROTOCOL.md section 5.5, "Questions") as a table, or
 * an object a line. Lines of a kind that is not known are left out. */
const char *targets_print(const struct client_task *t, struct view answer);
const char *targets_print_json(const struct client_task *t, struct view answer);

#endif
