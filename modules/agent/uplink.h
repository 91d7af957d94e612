/* The agent at one relay: its control hop, its parked hop, and circuit hops opened for a ticket. */
#ifndef SPX_AGENT_UPLINK_H
#define SPX_AGENT_UPLINK_H

#include "agent/state.h"

struct uplink;

/* Calls home from now until uplink_free. NULL without memory. */
struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay);

/* Sends the storage system's call for help (agent->call_*) to the relay. */
void uplink_call(struct uplink *u);

/* Checks the control hop: if it was lost unnoticed it is replaced within seconds. */
void uplink_probe(struct uplink *u);

/* True while its control hop is open. */
bool uplink_is_online(const struct uplink *u);

/* True if it is at this relay, reached in this way. */
bool uplink_is_at(const struct uplink *u, const struct agent_relay *relay);

/* Ends its hops with BYE. */
void uplink_free(struct uplink *u);

#endif
