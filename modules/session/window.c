/* How much a peer may send on a stream: a floor each stream is sure of, and a share of the
 * session's pool. */
#include "session/internal.h"

#define SHARE_OF_POOL 8 /* a stream takes at most one in so many of what is left */

static uint32_t floor_bytes(const struct session *s)
{
    return s->settings.early_credit;
}

uint32_t window_begin(struct session *s)
{
    uint32_t share = s->pool_left / SHARE_OF_POOL;
    if (share > INITIAL_WINDOW)
        share = INITIAL_WINDOW;
    s->pool_left -= share;
    return floor_bytes(s) + share;
}

void window_end(struct stream *st)
{
    if (st->window)
        st->session->pool_left += st->window - floor_bytes(st->session);
    st->window = 0;
}

void window_grow(struct stream *st, uint64_t now_us)
{
    struct session *s = st->session;
    uint64_t rtt = s->rtt_us ? s->rtt_us : 100000;
    if (st->filled_bytes < st->window)
        return;
    if (now_us - st->filled_us <= 2 * rtt) {
        uint32_t more = st->window;
        if (more > s->pool_left / 2)
            more = s->pool_left / 2;
        s->pool_left -= more;
        st->window += more;
    }
    st->filled_us = now_us;
    st->filled_bytes = 0;
}

void stream_consumed(struct stream *st)
{
    if (st->dead || st->eof_received || !st->answered || st->opened_owed)
        return;
    if (window_free(st) >= st->window / 2) {
        st->window_owed = true;
        stream_owe(st);
    }
}

uint32_t window_free(const struct stream *st)
{
    uint64_t used = (uint64_t)st->credit_out + st->held.bytes;
    return used < st->window ? (uint32_t)(st->window - used) : 0;
}
