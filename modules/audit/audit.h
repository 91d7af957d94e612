/* The audit of a process: entries go to a file in a thread of its own, so that no disk holds up the
 * event loop, many with one sync (docs/AUDIT.md). Who has no audit has NULL, which takes all calls.
 */
#ifndef SPX_AUDIT_AUDIT_H
#define SPX_AUDIT_AUDIT_H

#include "audit/entry.h"
#include "base/error.h"
#include "base/list.h"

struct audit;
struct loop;

/* A configuration's AuditSize in bytes, and how long a program that ends waits for its audit. */
#define audit_bytes(megabytes) ((uint64_t)(megabytes)*1000000)
#define AUDIT_END_US 3000000ULL

struct audit_settings {
    const char *path;     /* copied */
    const char *role;     /* "agent"; a literal */
    const char *agent;    /* of entries that name none; copied, or NULL */
    uint64_t limit_bytes; /* of a file; 0: none */
    bool refuse;          /* audit_permits says no while it cannot be written */
    bool recent;          /* audit_recall tells the last entries */
    /* It cannot be written, from now on, and why, or (NULL) can be again; in the loop. NULL: nobody
     * is to know. */
    void (*on_failing)(void *arg, const char *why);
    const uint8_t *own_key; /* KEY_BYTES, that the party runs with; NULL: heads are not signed */
    /* In the loop: a head was signed, as it is sent to others. May be NULL. */
    void (*on_head)(void *arg, struct view head);
    void *arg;
};

/* Begins; loop, for the calls that tell of it, outlives it. A file that cannot be written is told
 * in the log, here and later, and tried again. NULL without memory, descriptors or threads: e says
 * so.
 */
struct audit *audit_start(struct loop *loop, const struct audit_settings *settings,
                          struct error *e);

/* Writes an entry, whose role and time are put in, soon. Its texts are copied. When no more can
 * wait it is left out, which an entry tells that is written then. A decision goes before others
 * while these cannot be written, into a reserve of disk. Returns its ticket, above 0; 0: there is
 * none. */
uint64_t audit_write(struct audit *a, const struct audit_entry *entry);

/* True if a new session or stream may begin as far as the audit is concerned: it can be written, or
 * need not. Half of what may wait is kept for the ends of those that there are. */
bool audit_permits(struct audit *a);

/* True if an entry is in the file soon, as far as can be told; there is an audit then. */
bool audit_can_keep(struct audit *a);

/* The last entries that are on disk, also from before the start: objects without chain, number and
 * what else only the file shows, at most AUDIT_RECENT_MAX (audit/recent.h), oldest first, one a
 * call. Begin where audit_recall_from says: with so many. *next becomes the place after. Returns
 * the length of what is in out, terminated; 0: no more. Both need an audit. */
uint64_t audit_recall_from(struct audit *a, uint64_t last);
size_t audit_recall(struct audit *a, uint64_t *next, char out[AUDIT_LINE_MAX]);

/* Waits until the entry with this ticket, and all before it, are on disk, and then calls done in
 * the loop; ok false: it was left out. The owner embeds w, zeroed, and leaves it alone until the
 * call or audit_forget. */
struct audit_wait {
    void (*done)(struct audit_wait *w, bool ok);
    uint64_t ticket;
    struct list link; /* the audit's own */
};
void audit_when_written(struct audit *a, struct audit_wait *w);
void audit_forget(struct audit_wait *w);

/* The loop is about to be freed: entries can still be written, and are. NULL is harmless, here and
 * below. */
void audit_leave_loop(struct audit *a);

/* Writes what waits, for at most so long, and frees. False: some of it was not written, which the
 * log tells. */
bool audit_end(struct audit *a, uint64_t patience_us);

#endif
