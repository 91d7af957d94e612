/* The last entries of an audit, kept in memory for those who look on: without what holds the chain
 * together, which only the file shows. */
#ifndef SPX_AUDIT_RECENT_H
#define SPX_AUDIT_RECENT_H

#include "audit/entry.h"

#define AUDIT_RECENT_MAX 100

/* Zeroed: none. The entry with a number n stands at lines[n % AUDIT_RECENT_MAX]. */
struct audit_recent {
    char *lines[AUDIT_RECENT_MAX]; /* objects, terminated */
    uint64_t count;                /* of all that were added: numbers go from 0 on */
};

/* Adds an object that audit_entry_encode has written. Without memory one is left out. */
void audit_recent_add(struct audit_recent *r, struct view object);

/* Adds the entries that the file at this path ends with. */
void audit_recent_read(struct audit_recent *r, const char *path);

/* The entry with number *next, or the first after it that is there, terminated; *next is the one
 * after. Returns its length; 0: there is none. */
size_t audit_recent_get(const struct audit_recent *r, uint64_t *next, char out[AUDIT_LINE_MAX]);

/* The number from which on there are so many entries, or as many as there are. */
uint64_t audit_recent_from(const struct audit_recent *r, uint64_t last);

/* Forgets all entries; then it is empty. */
void audit_recent_free(struct audit_recent *r);

#endif
