/* The OFFERs of a control hop: a few are worked on at a time, some more wait for their turn, and a
 * user's second one never goes before another's first (docs/PROTOCOL.md section 6). Knows no hops.
 */
#ifndef SPX_AGENT_OFFERS_H
#define SPX_AGENT_OFFERS_H

#include "base/list.h"
#include "wire/messages.h"

/* Embedded in an object that works on an OFFER; zeroed: on none. */
struct offer_work {
    struct list place;
    uint8_t user_key[sizeof((struct offer){0}.user_key)];
};

struct kept_offer {
    struct list place;
    struct offer offer;
    uint64_t came_us;
    uint8_t relay_key[sizeof((struct offer){0}.user_key)]; /* of the hop that it came on */
    unsigned round;  /* number of the same user's ahead of it when it arrived */
    uint8_t bytes[]; /* the offer's views point into them */
};

/* Invariants: 1. at most OFFERS_WORKING are on working, OFFERS_QUEUED on waiting. 2. waiting is in
 * order of round, within a round in order of arrival. */
struct offers {
    struct list working, waiting;
    unsigned working_count, waiting_count;
};

/* Nothing waits and nothing is worked on. Takes no memory. */
void offers_init(struct offers *o);

/* A decoded OFFER with its own copy of the bytes its views point to. NULL without memory. */
struct kept_offer *kept_offer_new(const struct offer *offer, uint64_t now_us);

/* Wipes the ticket. */
void kept_offer_free(struct kept_offer *w);

/* Queues one. Returns the one that loses its place by this, which may be another, or NULL; the
 * caller frees it. */
struct kept_offer *offers_wait(struct offers *o, struct kept_offer *w);

/* Takes the next one out; the caller frees it. NULL: none waits, or OFFERS_WORKING are worked on.
 */
struct kept_offer *offers_next(struct offers *o);

/* Work on an OFFER of this user begins. work is the caller's, zeroed, and stays in place until
 * offers_end. */
void offers_begin(struct offers *o, struct offer_work *work, const struct offer *offer);

/* Such work ends. Harmless for one that has not begun or has ended. */
void offers_end(struct offers *o, struct offer_work *work);

/* Frees all that wait. */
void offers_clear(struct offers *o);

#endif
