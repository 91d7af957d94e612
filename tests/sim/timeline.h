/* Simulated time: a queue of events in order, the one source of chance, and the trace. */
#ifndef SPX_SIM_TIMELINE_H
#define SPX_SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event {
    void (*run)(struct event *);
    uint64_t at_us, order; /* those of the same time in the order in which they were set */
    size_t place;          /* in the heap, from 1; 0: not set */
};

struct timeline {
    uint64_t now_us, last_order;
    uint64_t random;
    struct event **heap;
    size_t count, size;
    uint64_t hash;  /* of all that was noted */
    uint64_t steps; /* events run */
    bool verbose;   /* show what is noted */
};

/* Begins anew at a time; memory of a run before is used again. */
void timeline_start(struct timeline *t, uint64_t seed, uint64_t now_us);
void timeline_free(struct timeline *t);

/* Sets an event (again), not before now. CLOCK_NEVER takes it out. */
void event_set(struct timeline *t, struct event *e, uint64_t at_us);
void event_cancel(struct timeline *t, struct event *e);

/* Runs the next event; false: there is none. */
bool timeline_step(struct timeline *t);

/* A number below bound (at least 1). */
uint64_t chance(struct timeline *t, uint64_t bound);

/* From least to most, both included. */
uint64_t chance_between(struct timeline *t, uint64_t least, uint64_t most);

/* As between, but small ones as likely as large ones: each power of two is. least > 0. */
uint64_t chance_scaled(struct timeline *t, uint64_t least, uint64_t most);

/* Goes into the hash, and is shown when verbose. Nothing that differs from run to run. */
void note(struct timeline *t, const char *who, const char *what, uint64_t a, uint64_t b);

/* The bijection of 64 bits that all chance comes from (SplitMix64's). */
static inline uint64_t mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

#endif
