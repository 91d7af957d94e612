/* Exit codes: the only place that makes one of a failure. */
#ifndef SPX_BASE_EXITS_H
#define SPX_BASE_EXITS_H

#include "base/error.h"

/* The exit code of an applet that ended so, as the README's table has it. */
int exit_code(enum failure failure);

#endif
