/* Heads of audits: the relay's to clients and agents, theirs into the relay's chain
 * (docs/AUDIT.md). */
#ifndef SPX_RELAY_HEADS_H
#define SPX_RELAY_HEADS_H

#include "relay/peer.h"

/* Call it every few seconds: agents with circuits are owed a head every five minutes. */
void heads_sweep(struct relay *r, uint64_t now_us);

/* The audit's on_head. */
void heads_signed(void *relay, struct view head);

/* A client has come: it gets the last one. */
void heads_greet(struct peer *client);

/* HEAD from a client, or an agent. */
bool heads_read_of_user(struct peer *peer, struct view body);
bool heads_read_of_agent(struct peer *peer, struct view body);

#endif
