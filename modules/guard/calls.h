/* The table of system calls: the one place that says which a role may make once it serves. */
#ifndef SPX_GUARD_CALLS_H
#define SPX_GUARD_CALLS_H

#include "guard/filter.h"

extern const struct allowed_call allowed_calls[];
extern const size_t allowed_call_count;

#endif
