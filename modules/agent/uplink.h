/* The agent at one relay: its control hop, its parked hop, and circuit hops opened for a ticket. */
#ifndef SPX_AGENT_UPLINK_H
#define SPX_AGENT_UPLINK_H

#include "agent/state.h"

struct uplink;

/* Calls home from now until uplink_free. NULL without memory. */
struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay);

/* Tells the relay which calls for help stand (agent->calls), as soon as it can be told. */
void uplink_tell_calls(struct uplink *u);

/* Gives the relay a head of the audit, unless it has had that, or several in a short time. */
void uplink_tell_head(struct uplink *u, struct view head);

/* True if its relay has heard what stood at this revision, and is there. One of a release that says
 * nothing to that is taken to have heard what it was sent. */
bool uplink_has_heard(const struct uplink *u, uint32_t revision);

/* The relay by its host and port. */
const char *uplink_relay(const struct uplink *u);

/* Checks the control hop: if it was lost unnoticed it is replaced within seconds. */
void uplink_probe(struct uplink *u);

/* The agent's labels have changed: tells them to the relay by hops beside the present ones, which
 * then end; within about a minute, if the present ones are new themselves. */
void uplink_tell_labels(struct uplink *u);

/* True while its control hop is open. */
bool uplink_is_online(const struct uplink *u);

/* How it stands. */
struct uplink_facts {
    const struct agent_relay *relay;
    bool online;
    uint64_t since_us; /* online: since when */
    uint64_t rtt_us;   /* of the last PING; 0: not known yet */
};

/* As it is now; the relay is the uplink's. */
struct uplink_facts uplink_facts_of(const struct uplink *u);

/* True if it is at this relay, reached in this way. */
bool uplink_is_at(const struct uplink *u, const struct agent_relay *relay);

/* Ends its hops with BYE. */
void uplink_free(struct uplink *u);

#endif
