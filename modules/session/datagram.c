/* Datagrams: sent once on the circuit of the moment, or not at all (docs/PROTOCOL.md section 5,
 * "Datagrams"). */
#include <stdlib.h>

#include "session/account.h"
#include "session/circuit.h"
#include "session/internal.h"
#include "session/stream.h"

#define QUEUE_BYTES (64U << 10) /* as much as this not sent yet, and the next is dropped */
#define TARGET_KIND "udp:"

struct unsent {
    struct list link; /* session->datagrams */
    struct stream *stream;
    size_t len;
    uint8_t data[];
};

bool target_takes_datagrams(struct view target)
{
    size_t len = sizeof TARGET_KIND - 1;
    return target.len >= len && memcmp(target.data, TARGET_KIND, len) == 0;
}

void stream_becomes_datagram(struct stream *st)
{
    st->datagrams = true;
    window_end(st); /* it has no credit: whatever comes too fast is dropped */
    st->credit_out = 0;
}

static void drop(struct session *s, struct unsent *d)
{
    list_remove(&d->link);
    s->datagram_bytes -= sizeof *d + d->len;
    wipe(d->data, d->len);
    free(d);
}

void session_drop_datagrams(struct session *s, const struct stream *st)
{
    list_each (link, &s->datagrams) {
        struct unsent *d = container_of(link, struct unsent, link);
        if (!st || d->stream == st)
            drop(s, d);
    }
}

bool stream_send_datagram(struct stream *st, struct view bytes)
{
    struct session *s = st->session;
    struct unsent *d;
    if (!st->datagrams || st->dead || !st->events || !s->circuit || s->state != SESSION_ACTIVE ||
        bytes.len > DATAGRAM_MAX || s->datagram_bytes >= QUEUE_BYTES)
        return false;
    d = malloc(sizeof *d + bytes.len);
    if (!d)
        return false;
    d->stream = st;
    d->len = bytes.len;
    if (bytes.len)
        memcpy(d->data, bytes.data, bytes.len);
    list_append(&s->datagrams, &d->link);
    s->datagram_bytes += sizeof *d + d->len;
    session_wake(s);
    return true;
}

/* The peer must have the stream's OPEN or OPENED, which a new circuit may have to bring again,
 * before it. */
static bool may_go(const struct unsent *d)
{
    const struct stream *st = d->stream;
    return st->sending && st->open_position <= st->session->resend;
}

bool session_has_datagram(const struct session *s)
{
    list_each (link, &s->datagrams)
        if (may_go(container_of(link, struct unsent, link)))
            return true;
    return false;
}

size_t session_put_datagrams(struct session *s, uint8_t *out, size_t room, size_t most)
{
    size_t n = 0;
    list_each (link, &s->datagrams) {
        struct unsent *d = container_of(link, struct unsent, link);
        size_t len = FRAME_HEADER_BYTES + d->len;
        if (!may_go(d))
            continue;
        if (len > most - n || (n && n + len > room))
            break;
        frame_header(out + n, FRAME_DATAGRAM, d->stream->id, d->len);
        memcpy(out + n + FRAME_HEADER_BYTES, d->data, d->len);
        n += len;
        s->bytes_sent += d->len;
        if (d->stream->traffic)
            d->stream->traffic->sent += d->len;
        account_sent(d->stream, d->len);
        s->circuit->carried = true;
        drop(s, d);
    }
    return n;
}

void stream_receive_datagram(struct stream *st, struct view bytes)
{
    if (!st->events || !st->events->on_datagram)
        return; /* this side has given up, or takes none */
    st->session->bytes_received += bytes.len;
    if (st->traffic)
        st->traffic->received += bytes.len;
    account_received(st, bytes.len);
    st->events->on_datagram(st->owner, bytes);
}
