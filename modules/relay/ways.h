/* The ways to an agent: a parked hop, a ticket on its control hop, dialling it (docs/PROTOCOL.md
 * section 4). */
#ifndef SPX_RELAY_WAYS_H
#define SPX_RELAY_WAYS_H

struct pending;

/* Goes the best way that there is now; without one the CONNECT waits. It may be gone then. */
void ways_try(struct pending *p);

#endif
