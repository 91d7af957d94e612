/* LIST and WATCH: what a client is told of the agents it may reach (docs/PROTOCOL.md section 3). It
 * reads policy and presence, and no hop of an agent. */
#ifndef SPX_RELAY_LISTING_H
#define SPX_RELAY_LISTING_H

#include "base/bytes.h"
#include "base/list.h"

struct relay;
struct peer;

/* Makes r->listing, which watches the presence of every agent that the directory gets from now on:
 * watchers hear of changes, at most once a second for an agent. False without memory. */
bool listing_start(struct relay *r);

/* No change is told any more. */
void listing_stop(struct relay *r);

/* Once the directory is freed. */
void listing_free(struct relay *r);

/* Answers LIST with an AGENT for each agent that the user may reach and that answers the query, in
 * the configuration's order, and END. Returns as a hop's on_message does. */
bool listing_answer(struct peer *client, struct view body);

/* WATCH: the same, and from then on an AGENT for each change, until the hop ends. */
bool listing_watch(struct peer *client, struct view body);

/* The directory has taken over a configuration: watchers hear of the agents that are in their list
 * now, or no longer are, by it. gone_agents: directory_update's, not freed yet. */
void listing_reloaded(struct relay *r, const struct list *gone_agents);

/* The client's hop ends, or is a circuit from now on. */
void listing_unwatch(struct peer *client);

#endif
