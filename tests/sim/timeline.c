/* A heap of events, a generator of random numbers, and a hash of all that is noted. */
#include "timeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

void timeline_start(struct timeline *t, uint64_t seed, uint64_t now_us)
{
    for (size_t i = 0; i < t->count; i++)
        t->heap[i]->place = 0;
    t->count = 0;
    t->now_us = now_us;
    t->last_order = t->steps = 0;
    t->random = mix64(seed);
    t->hash = 0;
}

void timeline_free(struct timeline *t)
{
    free(t->heap);
    t->heap = NULL;
    t->count = t->size = 0;
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void put(struct timeline *t, size_t place, struct event *e)
{
    t->heap[place - 1] = e;
    e->place = place;
}

static void rise(struct timeline *t, struct event *e)
{
    size_t place = e->place;
    for (; place > 1 && is_before(e, t->heap[place / 2 - 1]); place /= 2)
        put(t, place, t->heap[place / 2 - 1]);
    put(t, place, e);
}

static void sink(struct timeline *t, struct event *e)
{
    size_t place = e->place;
    for (;;) {
        size_t child = 2 * place;
        if (child < t->count && is_before(t->heap[child], t->heap[child - 1]))
            child++;
        if (child > t->count || !is_before(t->heap[child - 1], e))
            break;
        put(t, place, t->heap[child - 1]);
        place = child;
    }
    put(t, place, e);
}

void event_cancel(struct timeline *t, struct event *e)
{
    struct event *last;
    if (!e->place)
        return;
    last = t->heap[--t->count];
    if (last != e) {
        put(t, e->place, last);
        rise(t, last);
        sink(t, last);
    }
    e->place = 0;
}

void event_set(struct timeline *t, struct event *e, uint64_t at_us)
{
    if (e->place && e->at_us == at_us)
        return;
    event_cancel(t, e);
    if (at_us == CLOCK_NEVER)
        return;
    if (t->count == t->size) {
        t->size = t->size ? 2 * t->size : 64;
        t->heap = realloc(t->heap, t->size * sizeof(struct event *));
        if (!t->heap)
            abort();
    }
    e->at_us = at_us > t->now_us ? at_us : t->now_us;
    e->order = ++t->last_order;
    e->place = ++t->count;
    rise(t, e);
}

bool timeline_step(struct timeline *t)
{
    struct event *e;
    if (!t->count)
        return false;
    e = t->heap[0];
    event_cancel(t, e);
    t->now_us = e->at_us;
    t->steps++;
    e->run(e);
    return true;
}

uint64_t chance(struct timeline *t, uint64_t bound)
{
    t->random++;
    return mix64(t->random) % bound;
}

uint64_t chance_between(struct timeline *t, uint64_t least, uint64_t most)
{
    return least + chance(t, most - least + 1);
}

uint64_t chance_scaled(struct timeline *t, uint64_t least, uint64_t most)
{
    unsigned doublings = 0;
    uint64_t low, high;
    while (least << doublings <= most / 2)
        doublings++;
    low = least << chance(t, doublings + 1);
    high = 2 * low < most ? 2 * low : most;
    return chance_between(t, low, high);
}

void note(struct timeline *t, const char *who, const char *what, uint64_t a, uint64_t b)
{
    uint64_t h = t->hash ^ t->now_us;
    for (const char *p = what; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
    t->hash = mix64(h + (uint64_t)who[0]) ^ mix64(a * 3 + 1) ^ mix64(mix64(b) + 2);
    if (t->verbose)
        printf("%12.6f %-6s %s %llu %llu\n", (double)t->now_us / CLOCK_US_PER_S, who, what,
               (unsigned long long)a, (unsigned long long)b);
}
