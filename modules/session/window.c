/* Receive windows: a floor that each stream is sure of, and a share of the session's pool. */
#include "session/internal.h"

#define SHARE_OF_POOL 8 /* a stream takes at most one in so many of what is left */
#define LARGE_WINDOW (2U << 20)
#define RTT_UNKNOWN_US 100000 /* taken for the round trip until one was measured */

static uint32_t floor_bytes(const struct session *s)
{
    return s->settings.early_credit;
}

/* Streams with a window there may be at once. */
static uint32_t places(const struct session *s)
{
    return (uint32_t)s->settings.streams + s->settings.own_streams;
}

bool window_init(struct session *s)
{
    struct session_settings *t = &s->settings;
    uint32_t most;
    if (t->receive_limit > CREDIT_MAX)
        t->receive_limit = CREDIT_MAX;
    most = t->receive_limit / 2 / (places(s) ? places(s) : 1);
    if (t->early_credit > most)
        t->early_credit = most;
    /* Every stream is sure of its floor, so that many idle streams never starve a busy one. */
    s->pool_left = t->receive_limit - places(s) * t->early_credit;
    return t->early_credit > 0;
}

/* Takes from the pool if the owner agrees; otherwise nothing. */
static uint32_t take_from_pool(struct session *s, uint32_t bytes)
{
    if (s->events->may_widen && !s->events->may_widen(s, bytes))
        return 0;
    s->pool_left -= bytes;
    return bytes;
}

uint32_t session_window_bytes(const struct session *s)
{
    return s->settings.receive_limit - s->pool_left;
}

uint32_t window_begin(struct session *s)
{
    uint32_t least = floor_bytes(s), share = s->pool_left / SHARE_OF_POOL;
    uint32_t most = least < INITIAL_WINDOW ? INITIAL_WINDOW - least : 0;
    return least + take_from_pool(s, share < most ? share : most);
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
    uint64_t rtt = s->rtt_us ? s->rtt_us : RTT_UNKNOWN_US;
    if (st->taken_bytes < st->window)
        return;
    if (now_us - st->taken_since_us <= 2 * rtt) {
        uint32_t more = st->window;
        if (more > s->pool_left / 2)
            more = s->pool_left / 2;
        st->window += take_from_pool(s, more);
    }
    st->taken_since_us = now_us;
    st->taken_bytes = 0;
}

void stream_consumed(struct stream *st)
{
    if (st->dead || st->listener || st->datagrams || st->eof_received || !st->answered ||
        st->opened_owed)
        return;
    /* Small windows are given again by halves; large ones sooner, so that a long path stays full.
     */
    if (window_free(st) >= (st->window < LARGE_WINDOW ? st->window / 2 : st->window / 8)) {
        st->window_owed = true;
        stream_owe(st);
    }
}

uint32_t window_free(const struct stream *st)
{
    uint64_t used = (uint64_t)st->credit_out + st->held.bytes;
    return used < st->window ? (uint32_t)(st->window - used) : 0;
}
