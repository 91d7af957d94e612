/* The world as the simulated system calls (calls.c) tell it of events. */
#ifndef SPX_MACHINE_CALLS_H
#define SPX_MACHINE_CALLS_H

#include "machine.h"

/* Takes what a process writes to its standard error: lines of its log. The world's to define. */
ssize_t log_take(struct process *p, const char *data, size_t len);

#endif
