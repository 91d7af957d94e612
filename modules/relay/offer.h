/* OFFERs to agents and their answers, ACCEPT and REFUSE, up to the join of both sockets
 * (docs/PROTOCOL.md section 4). */
#ifndef SPX_RELAY_OFFER_H
#define SPX_RELAY_OFFER_H

#include "relay/pending.h"

/* Offers it on a circuit hop, which is quiet until the answer. The hop must not be parked. */
void offer_on_hop(struct pending *p, struct peer *hop, enum pending_state state);

/* Offers it on the agent's control hop: the agent answers on a hop that it opens with the ticket.
 */
void offer_with_ticket(struct pending *p, struct peer *control);

/* A new control hop has come: OFFERs that were not answered are taken back, to be made anew. */
void offer_withdraw_unanswered(struct known_agent *a);

/* The agent's CONNECT whose OFFER has this ticket and was not taken yet; NULL: unknown, used or too
 * old. */
struct pending *offer_by_ticket(const struct known_agent *a, const uint8_t ticket[TICKET_BYTES],
                                uint64_t now_us);

/* A hop opened by the agent with the ticket of this OFFER: it answers there. False: the OFFER is
 * over. */
bool offer_hop_came(struct known_agent *a, uint64_t offer, struct peer *hop);

/* ACCEPT and REFUSE on a circuit hop; REFUSE on a control hop. Return as a hop's on_message does.
 */
bool offer_read_accept(struct peer *hop, struct view body);
bool offer_read_refuse(struct peer *hop, struct view body);
bool offer_read_refuse_on_control(struct peer *control, struct view body);

/* The hop of an ACCEPT is detached: joins both carriers. */
void offer_join(struct pending *p);

#endif
