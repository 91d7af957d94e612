/* A stream is what a client opens, a connection what an agent opens for a listener. */
#include "forward/stream_audit.h"

#include "base/clock.h"

enum opened_kind { KIND_STREAM, KIND_CONNECTION, KIND_LISTENER };

static const char *const events[][3] = {
    [KIND_STREAM] = {[STREAM_OPENED] = "stream_opened",
                     [STREAM_REFUSED] = "stream_refused",
                     [STREAM_ENDED] = "stream_ended"},
    [KIND_CONNECTION] = {[STREAM_OPENED] = "connection_opened",
                         [STREAM_REFUSED] = "connection_refused",
                         [STREAM_ENDED] = "connection_ended"},
    [KIND_LISTENER] = {[STREAM_OPENED] = "listener_opened",
                       [STREAM_REFUSED] = "listener_refused",
                       [STREAM_ENDED] = "listener_closed"},
};

static enum opened_kind kind_of(const struct stream_report *r, bool client)
{
    if (r->listener)
        return KIND_LISTENER;
    return r->own == client ? KIND_STREAM : KIND_CONNECTION;
}

/* NULL: nobody, it ended cleanly; or both, with the session. */
static const char *who_ended(const struct stream_report *r, bool client)
{
    if (r->code == RESET_NONE || r->code == RESET_SESSION_OVER)
        return NULL;
    return r->by_peer == client ? "agent" : "client";
}

void stream_audit_note(struct audit *a, bool client, uint64_t now_us, const struct audit_entry *of,
                       const struct stream_report *r)
{
    enum opened_kind kind = kind_of(r, client);
    struct audit_entry e = *of;
    e.event = events[kind][r->step];
    e.stream = r->id;
    e.target = kind == KIND_CONNECTION ? NULL : r->target;
    e.address = kind == KIND_CONNECTION ? r->target : r->address;
    if (r->step == STREAM_OPENED) {
        *r->stamp = now_us;
    } else {
        e.code = r->code;
        e.reason = r->code ? r->text : NULL;
        e.by = who_ended(r, client);
    }
    if (r->step == STREAM_ENDED && kind != KIND_LISTENER) {
        e.measured = true;
        e.sent = r->sent;
        e.acknowledged = r->acknowledged;
        e.received = r->received;
        e.duration_ms = (now_us - *r->stamp) / CLOCK_US_PER_MS;
    }
    audit_write(a, &e);
}
