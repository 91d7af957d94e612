/* The agent at one relay: its control hop, its parked hop, and circuit hops opened for a ticket. */
#ifndef SPX_AGENT_UPLINK_H
#define SPX_AGENT_UPLINK_H

#include "agent/state.h"

struct uplink;

/* Starts calling home, and goes on until uplink_free. NULL without memory. */
struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay);

/* Tells the relay what the storage system asks for (agent->call_*). */
void uplink_call(struct uplink *u);

/* Sees to it that a control hop which has died unnoticed is replaced within seconds. */
void uplink_probe(struct uplink *u);

/* Ends its hops with BYE. */
void uplink_free(struct uplink *u);

#endif
