/* Agents that call home: control hops and parked hops come and go (docs/PROTOCOL.md section 4). */
#ifndef SPX_RELAY_CALLHOME_H
#define SPX_RELAY_CALLHOME_H

#include "wire/messages.h"

struct peer;
struct agent;

/* An open hop of role agent: it takes the place of an older one. */
void callhome_control_came(struct peer *peer, struct agent *a, const struct info *info);

/* The hop of peer->agent has ended; it may have been replaced before. */
void callhome_control_gone(struct peer *peer, const char *why);

/* A circuit hop of peer->agent waits for an OFFER: it is parked; of too many the oldest goes. */
void callhome_park(struct peer *peer);

/* It ends; harmless when it is not parked. */
void callhome_unpark(struct peer *peer);

/* CALL came. Returns as a hop's on_message does. */
bool callhome_call(struct peer *peer, struct view body);

#endif
