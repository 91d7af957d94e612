/* The kinds of processes that are guarded. */
#ifndef SPX_GUARD_ROLES_H
#define SPX_GUARD_ROLES_H

/* The work of a process, as bits: each has its system calls (guard/calls.h). */
enum guard_role {
    GUARD_RELAY = 1,
    GUARD_AGENT = 2,
    GUARD_DIALS = 4, /* a relay that connects to others; an agent does */
    GUARD_WEB = 8,   /* the agent's page */
};

#endif
