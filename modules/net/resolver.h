/* Shared by the look-ups of a loop: who runs and who waits, and what they know of this machine's
 * configuration. The loop has it, net/lookup.c and net/resolv_conf.c use it. */
#ifndef SPX_NET_RESOLVER_H
#define SPX_NET_RESOLVER_H

#include "base/list.h"

struct hosts;
struct resolv_conf;

struct resolver {
    struct list waiting, running;
    unsigned count;                  /* on running */
    struct hosts *hosts;             /* NULL: not needed yet */
    struct resolv_conf *resolv_conf; /* the same */
};

/* Knows nothing, and nobody waits. Takes no memory. */
void resolver_init(struct resolver *r);

/* Frees what it knows; nobody waits or runs. */
void resolver_free(struct resolver *r);

#endif
