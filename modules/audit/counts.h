/* Entries that strangers cause: one a minute for each kind, with a count, so that they fill no
 * disk.
 */
#ifndef SPX_AUDIT_COUNTS_H
#define SPX_AUDIT_COUNTS_H

#include "audit/audit.h"
#include "net/loop.h"

#define AUDIT_KINDS_MAX 32 /* others are counted as the last */

struct audit_counts {
    struct audit *audit;
    struct loop *loop;
    struct timer timer; /* the minute is over */
    struct audit_kind {
        const char *event; /* a literal; NULL: none yet */
        unsigned code;
        uint64_t count;
    } kinds[AUDIT_KINDS_MAX];
};

/* audit: NULL, if there is none. */
void audit_counts_init(struct audit_counts *c, struct loop *loop, struct audit *audit);

/* One more of this event, a literal, with this code. */
void audit_counts_add(struct audit_counts *c, const char *event, unsigned code);

/* Writes what is counted, and stops. Harmless before audit_counts_init. */
void audit_counts_end(struct audit_counts *c);

#endif
