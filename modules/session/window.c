/* Receive windows: a floor that each stream is sure of, and a share of the session's pool. */
#include "session/internal.h"
#include "session/session.h"

#define SHARE_OF_POOL 8 /* a stream takes at most one in so many of what is left */
#define LARGE_WINDOW (2U << 20)
#define RTT_UNKNOWN_US 100000 /* taken for the round trip until one was measured */
#define SLACK_US 2000 /* the turns of the processes at its ends may be longer than a round trip */

static uint32_t floor_bytes(const struct session *s)
{
    return s->settings.early_credit;
}

/* The floor with so many own streams: those of all streams there may be take at most half of what
 * there is. */
static uint32_t fitting_floor(const struct session *s, unsigned own_places)
{
    uint32_t places = s->settings.streams + own_places;
    uint32_t most = s->settings.receive_limit / 2 / (places ? places : 1);
    return floor_bytes(s) < most ? floor_bytes(s) : most;
}

/* Every stream is sure of its floor, so that many idle streams never starve a busy one. The streams
 * there are hold so much beyond theirs. */
static void set_places(struct session *s, unsigned own_places, uint32_t floor, uint32_t beyond)
{
    s->own_places = own_places;
    s->settings.early_credit = floor;
    s->pool_left = s->settings.receive_limit - (s->settings.streams + own_places) * floor - beyond;
}

bool window_init(struct session *s)
{
    struct session_settings *t = &s->settings;
    unsigned places = t->own_streams < STREAMS_DEFAULT ? t->own_streams : STREAMS_DEFAULT;
    if (t->receive_limit > CREDIT_MAX)
        t->receive_limit = CREDIT_MAX;
    set_places(s, places, fitting_floor(s, places), 0);
    return t->early_credit > 0;
}

void window_add_places(struct session *s, unsigned own_places)
{
    unsigned places = s->settings.own_streams;
    uint32_t floor, beyond = 0;
    if (own_places < places)
        places = own_places;
    floor = fitting_floor(s, places);
    if (places <= s->own_places || floor == 0)
        return;
    list_each (link, &s->all) {
        const struct stream *st = container_of(link, struct stream, all_link);
        beyond += st->window ? st->window - floor : 0;
    }
    if (beyond <= s->settings.receive_limit / 2)
        set_places(s, places, floor, beyond);
}

/* Takes from the pool if the owner agrees; otherwise nothing. */
static uint32_t take_from_pool(struct session *s, uint32_t bytes)
{
    if (s->events->may_widen && !s->events->may_widen(s, bytes))
        return 0;
    s->pool_left -= bytes;
    return bytes;
}

bool session_widen_own_streams(struct session *s, uint16_t streams)
{
    uint64_t bytes;
    if (streams <= s->own_places)
        return true;
    bytes = (uint64_t)(streams - s->own_places) * floor_bytes(s);
    if (bytes > s->pool_left || !take_from_pool(s, (uint32_t)bytes))
        return false;
    s->own_places = s->settings.own_streams = streams;
    return true;
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
    if (now_us - st->taken_since_us <= 2 * (rtt + SLACK_US)) {
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
