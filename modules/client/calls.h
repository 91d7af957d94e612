/* Calls for help as `spx client list` and `spx client take` show them; texts are made safe to show.
 */
#ifndef SPX_CLIENT_CALLS_H
#define SPX_CLIENT_CALLS_H

#include "client/connection.h"
#include "wire/messages.h"

/* A line for each, set in: they belong to the agent on the line before. */
void calls_print(const struct told_calls *calls);

/* "severity":5,"call":"the gravest","calls":[{...}], without braces around it. */
void calls_print_json(const struct told_calls *calls);

/* Goes on with a hash, by what is shown of them but for their ages. */
uint64_t calls_signature(const struct told_calls *calls, uint64_t sum);

/* For client_task.answered: the calls that are this user's now (docs/PROTOCOL.md section 5.5,
 * "Questions"). */
const char *calls_print_taken(const struct client_task *t, struct view answer);

#endif
