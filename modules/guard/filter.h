/* The system calls that a process may make from now on, by the kernel's seccomp (seccomp(2)). It
 * cannot be taken back; a child inherits it. */
#ifndef SPX_GUARD_FILTER_H
#define SPX_GUARD_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Under which condition a row allows its call; of an argument its lower 32 bits are looked at. */
enum call_check {
    CALL_ALWAYS,
    CALL_IS,     /* the argument is the value */
    CALL_HAS,    /* it has a bit of the value */
    CALL_LACKS,  /* it has none */
    CALL_ABSENT, /* not allowed: it fails as if the kernel did not have it (ENOSYS) */
};

/* A row of the table; several of one call are alternatives. Any other call fails with EPERM, and is
 * noted; in a build with sanitizers it ends the process. */
struct allowed_call {
    unsigned roles; /* bits of enum guard_role */
    uint32_t number;
    enum call_check check;
    unsigned argument; /* 0 to 5 */
    uint32_t value;
};

/* Puts it up for all threads; needs PR_SET_NO_NEW_PRIVS. False: the kernel does not have it, or not
 * for this processor. */
bool filter_install(const struct allowed_call *calls, size_t count, unsigned role);

/* A call that was refused and not told of yet; false: there is none. */
bool filter_next_refused(uint32_t *number);

/* True if this kernel has it. */
bool filter_is_there(void);

/* BPF's words for the table: what filter_install installs. Returns their count, at most max; 0:
 * they do not fit. */
struct filter_word {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t k;
};
size_t filter_build(struct filter_word *out, size_t max, const struct allowed_call *calls,
                    size_t count, unsigned role);

#endif
