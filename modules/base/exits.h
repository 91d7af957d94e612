/* Exit codes: the only place that makes one of a failure. */
#ifndef SPX_BASE_EXITS_H
#define SPX_BASE_EXITS_H

#include <stdint.h>

#include "base/error.h"

/* The exit code of an applet that ended so, as the README's table has it. */
int exit_code(enum failure failure);

/* In words. */
const char *exit_text(enum failure failure);

/* The failure that has this exit code; FAILURE_OTHER when none has. */
enum failure exit_failure(uint64_t code);

#endif
