/* The small process that runs programs for a role, so that it need not. */
#ifndef SPX_EVENTS_RUNNER_H
#define SPX_EVENTS_RUNNER_H

#include "base/error.h"

/* The program's first word when it is to be a runner. */
#define RUNNER_WORD "--run-for-events"

/* Takes parcels from standard input, a socket (events/parcel.h), until it ends; then from those
 * that have come as long as RUNNER_END_S allows. A program gets the event on its standard input and
 * the kind as its argument, and of this process nothing else; all that it has begun is killed when
 * it has ended, or after PROGRAM_S. */
enum failure runner_main(void);

#endif
