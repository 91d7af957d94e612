/* Walks over a session's state and asserts the numbered invariants of its headers. */
#include "session_walk.h"

#include "session/internal.h"

/* The numbers are those of the comments above the structs. */

#define HOLDS(condition)       \
    do {                       \
        if (!(condition))      \
            return #condition; \
    } while (0)
#define EQUAL(a, b) HOLDS((a) == (b))
#define PASSES(check)               \
    do {                            \
        const char *broken = check; \
        if (broken)                 \
            return broken;          \
    } while (0)

static const char *check_stream(const struct session *s, const struct stream *st)
{
    bool ready = st->data_ready && st->send_credit > 0 && st->sending && st->events &&
                 !st->eof_owed && !st->eof_sent && !st->reset_owed && !st->reset_sent;
    bool owes =
        st->open_owed || st->opened_owed || st->eof_owed || st->reset_owed || st->window_owed;
    bool ends = (st->eof_sent && !st->eof_acked) || st->reset_sent;
    EQUAL(st->session, s);
    HOLDS(!st->dead);
    /* stream 1 */
    if (!st->refused)
        HOLDS((uint64_t)st->credit_out + st->held.bytes <= st->window);
    if (st->refused || st->listener || st->datagrams)
        EQUAL(st->window, 0);
    else
        HOLDS(st->window >= s->settings.early_credit);
    /* stream 2 */
    EQUAL(ready, list_linked(&st->link));
    /* stream 3 */
    EQUAL(owes, list_linked(&st->owing_link));
    EQUAL(ends, list_linked(&st->closing_link));
    if (st->reset_owed || st->reset_sent)
        EQUAL(st->held.bytes, 0);
    if (ends && s->state == SESSION_ACTIVE)
        HOLDS(st->end_position > s->ring.tail && st->end_position <= s->ring.head);
    HOLDS(st->send_credit <= CREDIT_MAX);
    EQUAL(st->id == 0, st->open_owed);
    if (st->id)
        EQUAL(stream_find((struct session *)(uintptr_t)s, st->id), st);
    /* session 7 */
    if (s->waits && !s->settings.client)
        HOLDS(st->reset_owed || st->reset_sent);
    return NULL;
}

static const char *check_lists(const struct session *s)
{
    uint64_t last = 0;
    EQUAL(s->depth, 0);
    HOLDS(list_empty(&s->dead));
    list_each (link, &s->closing) {
        const struct stream *st = container_of(link, struct stream, closing_link);
        HOLDS(st->end_position > last);
        last = st->end_position;
    }
    list_each (owing, &s->owing)
        HOLDS(!container_of(owing, struct stream, owing_link)->dead);
    list_each (small, &s->ready_small)
        HOLDS(container_of(small, struct stream, link)->data_ready);
    list_each (bulk, &s->ready_bulk)
        HOLDS(container_of(bulk, struct stream, link)->data_ready);
    return NULL;
}

/* session 4 and 5 */
static const char *check_sums(const struct session *s)
{
    const struct session_settings *t = &s->settings;
    uint64_t windows = 0, shares = 0, places = (uint64_t)t->streams + s->own_places;
    unsigned own = 0, peer = 0, listeners = 0, refused = 0, with_id = 0;
    list_each (link, &s->all) {
        const struct stream *st = container_of(link, struct stream, all_link);
        PASSES(check_stream(s, st));
        windows += st->window;
        shares += st->window ? st->window - t->early_credit : 0;
        refused += st->refused;
        listeners += st->listener && !st->refused;
        own += st->own && !st->listener;
        peer += !st->own && !st->listener && !st->refused;
        with_id += st->id != 0;
    }
    HOLDS(windows <= t->receive_limit);
    EQUAL(s->pool_left + shares, t->receive_limit - places * t->early_credit);
    EQUAL(own, s->own_open);
    EQUAL(peer, s->peer_open);
    EQUAL(listeners, s->listeners);
    EQUAL(refused, s->refused);
    EQUAL(with_id, s->streams.count);
    return NULL;
}

/* session 6 */
static const char *check_datagrams(const struct session *s)
{
    EQUAL(s->datagram_bytes == 0, list_empty(&s->datagrams));
    HOLDS(s->datagram_bytes < (128U << 10) + 256);
    HOLDS(list_empty(&s->datagrams) || s->circuit);
    return NULL;
}

/* Frames stand whole in the ring, and `resend` between two. */
static const char *check_ring(const struct session *s)
{
    uint64_t pos = s->ring.tail;
    bool resend_seen = false;
    if (ring_used(&s->ring) > 512U << 10)
        return NULL;
    while (pos < s->ring.head) {
        uint8_t header[FRAME_HEADER_BYTES];
        resend_seen = resend_seen || pos == s->resend;
        HOLDS(s->ring.head - pos >= sizeof header);
        ring_get(&s->ring, pos, header, sizeof header);
        HOLDS(frame_sequenced(header[0]) && header[1] == 0);
        pos += sizeof header + frame_payload_len(header);
    }
    EQUAL(pos, s->ring.head);
    HOLDS(resend_seen || s->resend == s->ring.head);
    return NULL;
}

const char *session_broken(const struct session *s)
{
    if (s->state == SESSION_ENDED)
        return NULL;
    /* session 1 */
    HOLDS(s->ring.tail <= s->resend && s->resend <= s->ring.head);
    HOLDS(ring_used(&s->ring) <= s->ring.size);
    /* session 2 */
    HOLDS(s->ring.tail <= s->sent_max && s->sent_max <= s->ring.head);
    HOLDS(s->resend <= s->sent_max);
    HOLDS(s->acked_position <= s->receive_position);
    PASSES(check_lists(s));
    PASSES(check_sums(s));
    PASSES(check_ring(s));
    PASSES(check_datagrams(s));
    return NULL;
}
