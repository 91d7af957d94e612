/* A sticky error: the first one set stays, with a code and a text for people. */
#ifndef SPX_BASE_ERROR_H
#define SPX_BASE_ERROR_H

#include <stdbool.h>

struct error {
    int code;       /* 0: no error; otherwise one of wire/codes.h, or an exit code */
    char text[400]; /* one line, no newline, what happened, where, and what to do next */
};

/* Sets code (not 0) and text unless an error is set already. Always returns false, so that a
 * caller can `return error_set(...)`. */
bool error_set(struct error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Forgets the error. */
void error_clear(struct error *e);

#endif
