/* Entries become objects at once, and lines when they are written. */
#include "audit/queue.h"

#include <stdlib.h>
#include <string.h>

#include "audit/state.h"
#include "base/clock.h"

bool audit_queue_add(struct audit *a, const char *object, size_t len, bool decision)
{
    struct audit_record *r = malloc(sizeof *r + len);
    if (!r)
        return false;
    list_init(&r->link);
    memcpy(r->object, object, len);
    r->len = len;
    r->decision = decision;
    if (a->waiting++ == 0) {
        a->progress_us = clock_now_us();
        pthread_cond_signal(&a->work); /* otherwise it is awake, or waits for others on purpose */
    }
    list_append(&a->queue, &r->link);
    a->bytes += sizeof *r + len;
    r->ticket = ++a->issued;
    return true;
}

bool audit_queue_has_room(const struct audit *a, size_t most)
{
    return a->bytes + 2 * (size_t)AUDIT_LINE_MAX < most;
}

size_t audit_queue_encode(const struct audit *a, char object[AUDIT_LINE_MAX],
                          const struct audit_entry *entry)
{
    struct audit_entry e = *entry;
    char now[AUDIT_TIME_BYTES];
    clock_wall_text(now);
    e.time = now;
    e.role = a->role;
    e.agent = e.agent ? e.agent : a->agent;
    return audit_entry_encode(object, &e);
}

void audit_queue_tell_lost(struct audit *a)
{
    char object[AUDIT_LINE_MAX];
    size_t len;
    const struct audit_entry entry = {
        .event = "entries_lost", .count = a->lost, .reason = "too many waited to be written"};
    if (a->lost == 0 || !audit_queue_has_room(a, AUDIT_QUEUE_MAX))
        return;
    len = audit_queue_encode(a, object, &entry);
    if (audit_queue_add(a, object, len, false))
        a->lost = 0;
}

void audit_queue_entry(struct audit *a, const struct audit_entry *entry)
{
    char object[AUDIT_LINE_MAX];
    size_t len = audit_queue_encode(a, object, entry);
    if (audit_queue_has_room(a, AUDIT_QUEUE_MAX))
        audit_queue_add(a, object, len, false);
}
