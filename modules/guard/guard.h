/* A role's process gives up what it needs no more, once its ports are open and before it has
 * threads, and before it reads a byte from a peer: whoever takes it over by a fault in it finds
 * little to take. */
#ifndef SPX_GUARD_GUARD_H
#define SPX_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct guard_settings {
    bool low_ports; /* it may have to listen on a port below 1024 later */
};

/* Gives up capabilities (but that one), new privileges by the start of a program, the session's
 * keyring, and modes of files for others. Tells the log what is in effect, and what the system does
 * not have. */
void guard_enter(const struct guard_settings *g);

/* True if the process could listen on ports below 1024 and has given that up. */
bool guard_gave_up_low_ports(void);

/* What is in effect, as words: "no capabilities". Before guard_enter "". */
#define GUARD_TEXT_BYTES 160
const char *guard_text(void);

#endif
