/* A sticky error of this process: the first one set stays, with its kind and a text for people.
 * Codes that peers exchange are of other types (wire/codes.h), so that neither is taken for the
 * other. */
#ifndef SPX_BASE_ERROR_H
#define SPX_BASE_ERROR_H

#include <stdbool.h>

/* The kinds of failure that a caller or a script tells apart; base/exits.h makes exit codes of
 * them. */
enum failure {
    FAILURE_NONE = 0,
    FAILURE_OTHER, /* no memory, no descriptors, a full disk, … */
    FAILURE_USAGE,
    FAILURE_CONFIG,
    FAILURE_NOT_AUTHENTICATED,
    FAILURE_DENIED,
    FAILURE_NO_AGENT, /* unknown, or offline */
    FAILURE_NETWORK,
    FAILURE_TIMED_OUT,
    FAILURE_NOT_APPROVED, /* in the time that the user is willing to wait */
    FAILURE_NOT_SEEN,     /* of audits: one has something that another has not */
    FAILURE_ALTERED,      /* one is not as it was written, or two contradict each other */
    FAILURE_INTERRUPTED,
};

#define ERROR_TEXT_BYTES 400

struct error {
    enum failure failure;
    char text[ERROR_TEXT_BYTES]; /* one line, no newline: what happened, where, what to do next */
};

/* Sets failure (not FAILURE_NONE) and text unless an error is set already. Always returns false, so
 * that a caller can `return error_set(...)`. */
bool error_set(struct error *e, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define NO_MEMORY_TEXT "out of memory"

/* FAILURE_OTHER, NO_MEMORY_TEXT. Always returns false. */
bool error_no_memory(struct error *e);

/* The system's text for an errno, in the form of our own: "connection refused". Valid until the
 * thread's next call. */
const char *system_text(int error);

#endif
