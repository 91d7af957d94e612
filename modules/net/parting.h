/* Connections that their owner has done with, whose last bytes are still on their way: what comes
 * in is thrown away, since the kernel would make a reset of it that overtakes them. */
#ifndef SPX_NET_PARTING_H
#define SPX_NET_PARTING_H

#include "net/carrier.h"

#define PARTINGS_MAX 16
#define PARTING_S 2

/* Each is closed when the peer has closed, when its time is over, or, the oldest, for one more than
 * PARTINGS_MAX. */
struct partings {
    struct loop *loop;
    struct list all;
    unsigned count;
};

/* None yet; the loop outlives them. partings_free ends them. */
void partings_init(struct partings *p, struct loop *loop);

/* Takes over a carrier that is in no loop: what is unsent is written, then its sending half ends.
 */
void partings_add(struct partings *set, struct carrier *carrier);

/* Closes those that are left. Before loop_free. */
void partings_free(struct partings *p);

#endif
