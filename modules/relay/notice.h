/* A change of an agent's presence of which watchers are still to hear: state, not a queue. */
#ifndef SPX_RELAY_NOTICE_H
#define SPX_RELAY_NOTICE_H

#include <stdint.h>

#include "base/list.h"

/* Embedded in each agent, so that a notice needs no memory of its own; used by listing.c alone. */
struct notice {
    struct list changed; /* in the listing's list while one is due */
    uint64_t told_us;    /* when watchers last heard of the agent; 0: never */
    uint64_t due_us;
};

static inline void notice_init(struct notice *n)
{
    *n = (struct notice){0};
    list_init(&n->changed);
}

/* The agent is forgotten. */
static inline void notice_end(struct notice *n)
{
    list_remove(&n->changed);
}

#endif
