/* The lines of a configuration text, with comments and white space taken off. */
#ifndef SPX_CONFIG_LINES_H
#define SPX_CONFIG_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct lines {
    char *copy; /* owned; lines are cut in it */
    char *next; /* NULL: no more */
    unsigned number;
};

/* Starts with a copy of the text. Errors, code FAILURE_CONFIG: "FILE:LINE: …" for a line that is
 * not UTF-8 or has a NUL; no memory. */
bool lines_start(struct lines *l, const char *file, const char *text, size_t len, struct error *e);

/* The next line that is not empty, its number in l->number; NULL after the last. A comment is a '#'
 * at the start or after white space and goes to the line's end. */
char *lines_next(struct lines *l);

/* Frees the copy; lines are gone with it. */
void lines_end(struct lines *l);

/* Takes white space off both ends, in place; returns the new start. */
char *strip_space(char *text);

#endif
