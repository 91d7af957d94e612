/* Audit files as they are read: whole, line after line. */
#ifndef SPX_AUDITOR_READING_H
#define SPX_AUDITOR_READING_H

#include "audit/entry.h"
#include "base/error.h"

/* A file, and the line that was read last. */
struct reading {
    const char *path; /* the owner's */
    char *text;
    size_t len, next;
    size_t number;   /* of the line, from 1 on */
    struct view raw; /* it, without a newline */
    bool ended;      /* it has a newline */
    bool is_entry;
    struct audit_line line; /* if it is one */
};

/* False: e says why it cannot be read. Otherwise reading_end frees it. */
bool reading_begin(struct reading *r, const char *path, struct error *e);
void reading_end(struct reading *r);

/* The next line; false: there is none. reading_rewind goes back to before the first. */
bool reading_next(struct reading *r);
void reading_rewind(struct reading *r);

/* A line that is no entry and has zeros was just read: goes to before the entry that has the hash
 * of all bytes from it on, as that of a new chain behind a power cut. False: there is none. */
bool reading_skip_torn(struct reading *r);

#endif
