/* Circuit hops of agents: parked, opened for a ticket, or dialled by the relay (docs/PROTOCOL.md
 * section 4). */
#ifndef SPX_RELAY_CIRCUIT_HOP_H
#define SPX_RELAY_CIRCUIT_HOP_H

#include <stdint.h>

#include "base/error.h"
#include "net/address.h"

struct carrier;
struct peer;
struct known_agent;
struct pending;

/* An open hop of role agent circuit: it answers the OFFER of its ticket, or is parked. */
void circuit_hop_came(struct peer *peer, struct known_agent *a);

/* Starts a hop over a carrier that was dialled for this CONNECT, which is offered on it once it is
 * open. False: e says why, the carrier is closed. */
bool circuit_hop_dial(struct pending *p, struct carrier *carrier, const struct address *address,
                      struct error *e);

/* Takes the parked hop that is most likely to be alive; NULL: there is none. */
struct peer *circuit_hop_take_parked(struct known_agent *a);

/* Ends the hops that were parked beside a control hop which ends or is being replaced. */
void circuit_hops_end_old(struct known_agent *a, uint64_t now_us);

#endif
