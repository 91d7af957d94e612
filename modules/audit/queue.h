/* The entries that wait for the audit's thread. For modules/audit only; all of it under the lock,
 * but for audit_queue_encode. */
#ifndef SPX_AUDIT_QUEUE_H
#define SPX_AUDIT_QUEUE_H

#include "audit/entry.h"

struct audit;

/* Entries that wait to be written take at most so many bytes. */
#define AUDIT_QUEUE_MAX ((size_t)8 * 1024 * 1024)

/* True if one more may wait and all take less than `most`. */
bool audit_queue_has_room(const struct audit *a, size_t most);

/* The object of an entry, with what all have: time, role, the agent's name. Returns its length. */
size_t audit_queue_encode(const struct audit *a, char object[AUDIT_LINE_MAX],
                          const struct audit_entry *entry);

/* The object waits from now on, with the next ticket. False: no memory. */
bool audit_queue_add(struct audit *a, const char *object, size_t len, bool decision);

/* An entry of the audit's own, unless there is no room for it. */
void audit_queue_entry(struct audit *a, const struct audit_entry *entry);

/* An entry about those that were left out, if there were any and there is room now. */
void audit_queue_tell_lost(struct audit *a);

#endif
