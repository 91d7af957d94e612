/* The agent at one relay: its control hop, its parked hop, and circuit hops opened for a ticket. */
#ifndef SPX_AGENT_UPLINK_H
#define SPX_AGENT_UPLINK_H

#include "agent/server.h"

struct uplink;

/* Starts calling home, and goes on until uplink_free. NULL without memory. */
struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay);

/* Tells the relay what the storage system asks for (agent->call_*). */
void uplink_call(struct uplink *u);

/* Sees to it that a control hop which has died unnoticed is replaced within seconds. */
void uplink_probe(struct uplink *u);

/* Ends its hops with BYE. */
void uplink_free(struct uplink *u);

/* What a hop that carries OFFERs does with one that came on it: decides, answers, and for an
 * accepted one makes the hop its circuit. Sets *circuit then; the caller attaches it when the hop
 * is detached. */
struct service_circuit;
bool uplink_answer_offer(struct agent *a, struct hop *h, struct view body,
                         struct service_circuit **circuit);

#endif
