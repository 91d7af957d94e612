/* Entries that are not worth a line each, as those that strangers cause: one a minute for each
 * kind, with a count, so that nobody fills a disk with them.
 */
#ifndef SPX_AUDIT_COUNTS_H
#define SPX_AUDIT_COUNTS_H

#include "audit/audit.h"
#include "net/loop.h"

#define AUDIT_KINDS_MAX 128 /* others are counted as the last, without names */
#define AUDIT_KIND_NAME_BYTES 65

struct audit_counts {
    struct audit *audit;
    struct loop *loop;
    struct timer timer; /* the minute is over */
    struct audit_kind {
        const char *event; /* a literal; NULL: none yet */
        unsigned code;
        const char *by; /* a literal, or NULL */
        char user[AUDIT_KIND_NAME_BYTES], key[AUDIT_KIND_NAME_BYTES];
        char agent[AUDIT_KIND_NAME_BYTES]; /* or "" */
        uint64_t count;
    } kinds[AUDIT_KINDS_MAX];
};

/* audit: NULL, if there is none. */
void audit_counts_init(struct audit_counts *c, struct loop *loop, struct audit *audit);

/* One more of this event, a literal, with this code, of a stranger. */
void audit_counts_add(struct audit_counts *c, const char *event, unsigned code);

/* The same with names: of the entry count event and by, both literals, code, user, key and agent.
 */
void audit_counts_add_like(struct audit_counts *c, const struct audit_entry *like);

/* Writes what is counted, and stops. Harmless before audit_counts_init. */
void audit_counts_end(struct audit_counts *c);

#endif
