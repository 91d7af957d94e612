/* The powers of root, which are divided into capabilities (capabilities(7)). */
#ifndef SPX_GUARD_CAPABILITIES_H
#define SPX_GUARD_CAPABILITIES_H

#include <stdbool.h>

/* Gives all of them up, in all sets, but to listen on ports below 1024 if low_ports and the process
 * can, and sees to it that no program that it may start gets any (PR_SET_NO_NEW_PRIVS). Of the
 * calling thread and those that it starts. True: there are none left, or that one alone. */
bool capabilities_drop(bool low_ports);

/* True if the process may listen on ports below 1024, by its capabilities. */
bool capabilities_has_low_ports(void);

#endif
