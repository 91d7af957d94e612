/* Shared by the look-ups of a loop: who runs and who waits. The loop has it, net/lookup.c uses it.
 */
#ifndef SPX_NET_RESOLVER_H
#define SPX_NET_RESOLVER_H

#include "base/list.h"

struct resolver {
    struct list waiting, running;
    unsigned count; /* on running */
};

static inline void resolver_init(struct resolver *r)
{
    list_init(&r->waiting);
    list_init(&r->running);
    r->count = 0;
}

#endif
