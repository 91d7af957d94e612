/* Hops of clients: lists, watches and CONNECTs (docs/PROTOCOL.md sections 3 and 4). */
#ifndef SPX_RELAY_CLIENT_HOP_H
#define SPX_RELAY_CLIENT_HOP_H

struct peer;
struct known_user;

/* An open hop of role client; ended if its user has too many. */
void client_hop_came(struct peer *peer, struct known_user *u);

#endif
