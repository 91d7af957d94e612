/* All connections of one process, to one agent each: they start together, and the process ends with
 * the last of them. */
#ifndef SPX_CLIENT_GROUP_H
#define SPX_CLIENT_GROUP_H

#include "client/connection.h"

/* Runs all tasks until each has ended: by a signal, the end of standard input and output's stream
 * (-W), or what no further try can mend. Returns how the first one ended that did not end well. */
enum failure group_run(const struct client_task *tasks, size_t count);

#endif
