/* The small process that runs a program for a role, which may start none itself. */
#ifndef SPX_EVENTS_RUNNER_H
#define SPX_EVENTS_RUNNER_H

#include "base/error.h"

/* The first word of this program when it is to be a runner; the next is the program to run. */
#define RUNNER_WORD "--run-for-events"

/* Takes parcels from standard input, a socket (events/parcel.h), until it ends; then from those
 * that have come as long as RUNNER_END_S allows. The program, an absolute path, gets the event on
 * its standard input and the kind as its argument, and of this process nothing else; all that it
 * has begun is killed when it has ended, or after PROGRAM_S. All of that is done by a child of this
 * process, which does nothing but begin another one when that is killed. */
enum failure runner_main(char *program);

#endif
