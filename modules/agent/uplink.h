/* The agent at one relay: its control hop, its parked hop, and circuit hops opened for a ticket. */
#ifndef SPX_AGENT_UPLINK_H
#define SPX_AGENT_UPLINK_H

#include "agent/server.h"

struct uplink;

/* Starts calling home, and goes on until uplink_free. NULL without memory. */
struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay);

/* Tells the relay what the storage system asks for (agent->call_*). */
void uplink_call(struct uplink *u);

/* Ends its hops with BYE. */
void uplink_free(struct uplink *u);

/* What a hop that carries OFFERs does with one that came on it: decides, answers, and for an accepted one makes the hop its circuit. Sets *service
 * then; the caller attaches it when the hop is detached. */
struct service;
bool uplink_answer_offer(struct agent *a, struct hop *h, struct view body, struct service **service);

#endif
