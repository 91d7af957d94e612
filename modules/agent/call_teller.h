/* Tells one relay which calls for help stand, over whichever control hop is the current one
 * (docs/PROTOCOL.md section 3, CALLS and CALL). Knows of hops only how to send. */
#ifndef SPX_AGENT_CALL_TELLER_H
#define SPX_AGENT_CALL_TELLER_H

#include "agent/state.h"
#include "hop/driver.h"

/* Embedded by the owner; its fields are call_teller.c's. */
struct call_teller {
    struct agent *agent;
    struct hop_driver *hop; /* NULL: none that has told what it takes */
    bool takes_calls;
    uint32_t told, heard; /* over this hop: revisions; 0: none */
    uint64_t called_us;   /* when CALL was sent last; 0: never */
    struct timer again;
};

/* Tells nothing yet. */
void call_teller_init(struct call_teller *t, struct agent *a);

/* This hop is the control hop now, and the relay's INFO has come on it: tells it what stands.
 * takes_calls: CALLS, and not only CALL. */
void call_teller_begin(struct call_teller *t, struct hop_driver *hop, bool takes_calls);

/* Its hop has ended, or is another one, whose INFO has not come. */
void call_teller_lose(struct call_teller *t);

/* Tells what stands (agent->calls), unless it was told, as soon as it is on disk and can be told.
 */
void call_teller_tell(struct call_teller *t);

/* HEARD. Returns as a hop's on_message does. */
bool call_teller_read_heard(struct call_teller *t, struct view body);

/* True if the relay has heard what stood at this revision. One that takes no CALLS is taken to have
 * heard what it was sent. */
bool call_teller_has_heard(const struct call_teller *t, uint32_t revision);

/* Nothing is told any more. */
void call_teller_end(struct call_teller *t);

#endif
