/* A role's process gives up what it needs no more, once its ports are open and before it has
 * threads, and before it reads a byte from a peer: whoever takes it over by a fault in it finds
 * little to take. */
#ifndef SPX_GUARD_GUARD_H
#define SPX_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "guard/roles.h"

struct fence;

struct guard_settings {
    unsigned role;       /* bits of enum guard_role */
    bool low_ports;      /* it may have to listen on a port below 1024 later */
    struct fence *fence; /* begun, with what it needs; closed here */
};

/* Gives up capabilities (but that one), new privileges by the start of a program, the session's
 * keyring, modes of files for others, the files and ports outside the fence, and all system calls
 * but its role's. Tells the log what is in effect, and what the system does not have. */
void guard_enter(const struct guard_settings *g);

/* True if the process could listen on ports below 1024 and has given that up. */
bool guard_gave_up_low_ports(void);

/* True if connecting to others is refused. */
bool guard_gave_up_dialling(void);

/* True if what the fence has not is refused. */
bool guard_is_fenced(void);

/* Logs the system calls that were refused since the last time: a fault in this program, or somebody
 * else in it. To be called from time to time. */
void guard_tell_refused(void);

/* For the end of a message about a reload that was refused: "", or that a restart may help. */
const char *guard_hint(const struct error *e);

/* The parts that are in effect, and those that are not to be had here, as words; "": none. */
#define GUARD_TEXT_BYTES 192
const char *guard_text(void);
const char *guard_missing(void);

/* Those that this system has for whom it starts: for --version. */
void guard_print_available(void);

#endif
