/* LIST and WATCH: what a client is told of the agents it may reach (docs/PROTOCOL.md section 3). */
#ifndef SPX_RELAY_LISTING_H
#define SPX_RELAY_LISTING_H

#include "base/bytes.h"
#include "base/list.h"
#include "net/loop.h"

struct relay;
struct peer;
struct agent;

/* Changes that watchers are still to hear of: state, not a queue. */
struct notices {
    struct list watchers; /* by struct peer's watching */
    struct list changed;  /* by struct agent's changed */
    struct timer timer;   /* the first of them is due */
    uint64_t due_us;      /* CLOCK_NEVER: none */
};

void listing_init(struct relay *r);

/* Answers LIST with an AGENT for each agent that the user may reach and that answers the query, in
 * the configuration's order, and END. Returns as a hop's on_message does. */
bool listing_answer(struct peer *client, struct view body);

/* WATCH: the same, and from then on an AGENT for each change, until the hop ends. */
bool listing_watch(struct peer *client, struct view body);

/* The client's hop ends, or is a circuit from now on. */
void listing_unwatch(struct peer *client);

/* Something that AGENT tells has changed: watchers hear of it, at most once a second for an agent.
 */
void listing_changed(struct relay *r, struct agent *a);

#endif
