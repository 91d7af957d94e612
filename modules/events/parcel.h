/* Between a role and its runner, each a datagram on a pair of sockets: parcels one way, for each
 * one report back. */
#ifndef SPX_EVENTS_PARCEL_H
#define SPX_EVENTS_PARCEL_H

/* The event's kind with its terminator, and the event as a line. */
#define EVENT_KIND_BYTES 32 /* with its terminator */
#define EVENT_LINE_BYTES 8192
#define PARCEL_BYTES (EVENT_KIND_BYTES + EVENT_LINE_BYTES)

/* A terminator: all is well. Two: the runner has ended, with the programs that it ran, and another
 * one begins. Otherwise what is wrong, for the log, without a terminator. */
#define REPORT_BYTES 1024
#define REPORT_GOOD_BYTES 1
#define REPORT_ENDED_BYTES 2

/* Parcels without a report at any time, and so programs that run at the same time. */
#define PROGRAMS_AT_ONCE 4
#define PROGRAM_S 30   /* a program is killed after so long */
#define RUNNER_END_S 3 /* and when its role has ended, after so long */

#endif
