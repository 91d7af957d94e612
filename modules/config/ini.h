/* INI files in WireGuard's manner: [Section], Key = Value, # comments; every error names file and
 * line. */
#ifndef SPX_CONFIG_INI_H
#define SPX_CONFIG_INI_H

#include "base/bytes.h"
#include "base/error.h"

/* Where a value stands, for errors. */
struct ini_place {
    const char *file;
    unsigned line;
};

/* The caller's two handlers; each returns false after error_set (the walk then ends). Names keep
 * their spelling and are compared without case by the handler. Values have white space around them
 * and comments (a # at the start or after white space) taken off; an empty value is an error of the
 * walk. */
struct ini_handler {
    bool (*section)(void *arg, const char *name, struct ini_place at, struct error *e);
    bool (*key)(void *arg, const char *name, const char *value, struct ini_place at,
                struct error *e);
    void *arg;
};

/* Walks a text (terminated, no NUL inside, valid UTF-8). Errors: "FILE:LINE: what". Code
 * FAILURE_CONFIG. */
bool ini_walk(const char *file, const char *text, size_t len, const struct ini_handler *handler,
              struct error *e);

#endif
