/* A queue of pieces, each with the time at which it comes out. */
#include "pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"

#define SEGMENT_US 5000 /* what the link sends in this time arrives at once */
#define SEGMENT_LEAST 1500

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void set_arrival(struct pipe *p)
{
    if (p->first < p->last)
        event_set(p->t, &p->arrive,
                  greater(p->segments[p->first % PIPE_SEGMENTS].at_us, p->stalled_until_us));
    else
        event_cancel(p->t, &p->arrive);
}

static void on_arrive(struct event *e)
{
    struct pipe *p = container_of(e, struct pipe, arrive);
    while (p->first < p->last && p->segments[p->first % PIPE_SEGMENTS].at_us <= p->t->now_us)
        p->arrived = p->segments[p->first++ % PIPE_SEGMENTS].end;
    set_arrival(p);
    p->on_readable(p);
}

static void on_drain(struct event *e)
{
    struct pipe *p = container_of(e, struct pipe, drain);
    p->blocked = false;
    p->on_writable(p);
}

void pipe_open(struct pipe *p, struct timeline *t, const struct pipe_settings *settings)
{
    size_t size = 4096;
    while (size < settings->capacity_bytes)
        size *= 2;
    if (p->size < size) {
        free(p->data);
        p->data = malloc(size);
        p->size = size;
        if (!p->data)
            abort();
    }
    p->t = t;
    p->settings = *settings;
    p->written = p->arrived = p->read = 0;
    p->cut_at = UINT64_MAX;
    p->idle_us = p->stalled_until_us = 0;
    p->blocked = false;
    p->first = p->last = 0;
    p->arrive = (struct event){.run = on_arrive};
    p->drain = (struct event){.run = on_drain};
}

void pipe_close(struct pipe *p)
{
    if (!p->t)
        return;
    event_cancel(p->t, &p->arrive);
    event_cancel(p->t, &p->drain);
    p->first = p->last;
    p->arrived = p->read;
}

void pipe_free(struct pipe *p)
{
    free(p->data);
    p->data = NULL;
    p->size = 0;
}

/* Bytes the link has not sent yet. */
static uint64_t unsent(const struct pipe *p)
{
    uint64_t now = p->t->now_us;
    return p->idle_us > now ? (p->idle_us - now) * p->settings.rate / CLOCK_US_PER_S : 0;
}

static size_t room(const struct pipe *p)
{
    size_t held = (size_t)(p->written - p->read), queue = (size_t)unsent(p), left;
    if (held >= p->settings.capacity_bytes || queue >= p->settings.unsent_bytes)
        return 0;
    left = p->settings.capacity_bytes - held;
    return left < p->settings.unsent_bytes - queue ? left : p->settings.unsent_bytes - queue;
}

static size_t segment_bytes(const struct pipe *p)
{
    uint64_t n = p->settings.rate * SEGMENT_US / CLOCK_US_PER_S;
    return n > SEGMENT_LEAST ? (size_t)n : SEGMENT_LEAST;
}

static void copy_in(struct pipe *p, const uint8_t *data, size_t len)
{
    size_t at = (size_t)(p->written & (p->size - 1));
    size_t first = len < p->size - at ? len : p->size - at;
    memcpy(p->data + at, data, first);
    memcpy(p->data, data + first, len - first);
}

/* Sends a piece once the link is free. */
static void send_segment(struct pipe *p, const uint8_t *data, size_t len)
{
    uint64_t begin = greater(p->idle_us, p->t->now_us);
    copy_in(p, data, len);
    p->written += len;
    p->idle_us = begin + (len * CLOCK_US_PER_S + p->settings.rate - 1) / p->settings.rate;
    p->segments[p->last++ % PIPE_SEGMENTS] =
        (struct segment){.end = p->written, .at_us = p->idle_us + p->settings.delay_us};
}

/* Tells the writer when there is room again. */
static void wait_for_room(struct pipe *p)
{
    uint64_t queue = unsent(p), half = p->settings.unsent_bytes / 2;
    p->blocked = true;
    if (queue > half)
        event_set(p->t, &p->drain,
                  p->t->now_us + (queue - half) * CLOCK_US_PER_S / p->settings.rate + 1);
}

size_t pipe_write(struct pipe *p, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    if (p->written >= p->cut_at)
        return len;
    if (len > room(p)) {
        len = room(p);
        wait_for_room(p);
    }
    if (len > p->cut_at - p->written)
        len = (size_t)(p->cut_at - p->written);
    while (taken < len && p->last - p->first < PIPE_SEGMENTS) {
        size_t n = len - taken < segment_bytes(p) ? len - taken : segment_bytes(p);
        send_segment(p, data + taken, n);
        taken += n;
    }
    if (taken < len)
        wait_for_room(p);
    set_arrival(p);
    return taken;
}

size_t pipe_readable(const struct pipe *p)
{
    return (size_t)(p->arrived - p->read);
}

size_t pipe_read(struct pipe *p, uint8_t *out, size_t max)
{
    size_t n = pipe_readable(p) < max ? pipe_readable(p) : max;
    size_t at = (size_t)(p->read & (p->size - 1));
    size_t first = n < p->size - at ? n : p->size - at;
    memcpy(out, p->data + at, first);
    memcpy(out + first, p->data, n - first);
    p->read += n;
    if (p->blocked && n && unsent(p) <= p->settings.unsent_bytes / 2)
        event_set(p->t, &p->drain, p->t->now_us);
    return n;
}

void pipe_stall(struct pipe *p, uint64_t until_us)
{
    if (until_us > p->stalled_until_us)
        p->stalled_until_us = until_us;
    set_arrival(p);
}

void pipe_cut(struct pipe *p, uint64_t from)
{
    if (from >= p->cut_at)
        return;
    p->cut_at = from;
    while (p->first < p->last && p->segments[p->first % PIPE_SEGMENTS].end < p->arrived)
        p->first++;
    while (p->first < p->last) {
        struct segment *last = &p->segments[(p->last - 1) % PIPE_SEGMENTS];
        uint64_t before =
            p->first + 1 < p->last ? p->segments[(p->last - 2) % PIPE_SEGMENTS].end : p->arrived;
        if (last->end <= from)
            break;
        if (before < from) {
            last->end = from;
            break;
        }
        p->last--;
    }
    if (p->written > from)
        p->written = from;
    if (p->blocked)
        event_set(p->t, &p->drain, p->t->now_us);
    set_arrival(p);
}

uint64_t pipe_flushed_us(const struct pipe *p)
{
    uint64_t at = p->first < p->last ? p->segments[(p->last - 1) % PIPE_SEGMENTS].at_us : 0;
    return greater(greater(at, p->stalled_until_us), p->t->now_us + p->settings.delay_us);
}
