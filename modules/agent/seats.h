/* The places for sessions at an agent: how many a user and the agent have, and which session ends
 * for another (docs/PROTOCOL.md section 6). A session that has not started, which is all that a
 * recorded message 1 can make, has a place among those of the relay that it came through, and takes
 * none of anybody else's. Knows nothing of the sessions themselves. */
#ifndef SPX_AGENT_SEATS_H
#define SPX_AGENT_SEATS_H

#include <stdint.h>

#include "base/list.h"
#include "crypto/primitives.h"
#include "wire/limits.h"

struct session;

/* Embedded in a service (service.c). */
struct seat {
    struct list place;
    const struct session *session; /* whose it is; for budget.h */
    uint8_t user_key[KEY_BYTES];
    uint8_t relay_key[KEY_BYTES]; /* of the relay that its message 1 came through */
    bool started;                 /* a circuit has carried it */
    bool asks;                    /* and it waits for approval, or is closing without one */
    uint64_t waiting_since_us;    /* for its client, without a circuit; 0: it does not */
};

/* Invariant: a seat is on unstarted until it starts, then on asking if it asks, otherwise on all,
 * in the order in which they came there. */
struct seats {
    struct list all, unstarted, asking;
    unsigned count; /* of all */
};

/* No seat is taken. Takes no memory, now or later: seats are their sessions'. */
void seats_init(struct seats *s);

/* A place among those that have not started, which seats_in_the_way has made. */
void seats_take(struct seats *s, struct seat *seat, const struct session *session,
                const uint8_t user_key[KEY_BYTES], const uint8_t relay_key[KEY_BYTES]);

/* The session ends: its seat, taken before, may be freed. */
void seats_leave(struct seats *s, struct seat *seat);

/* START has come, or the approval that it asked for: from now on it counts for its user and the
 * agent. */
void seats_start(struct seats *s, struct seat *seat);

/* START has come, and it asks for approval: until it has that it counts for nobody; how many there
 * may be is the affair of agent/requests.h. */
void seats_ask(struct seats *s, struct seat *seat);

/* True if there is no session, started or not. */
bool seats_are_empty(const struct seats *s);

/* The session that must end before one more is begun through a relay: the oldest of those through
 * it that have not started. NULL: none. */
struct seat *seats_in_the_way(const struct seats *s, const uint8_t relay_key[KEY_BYTES]);

/* True if the user may have one more. All started ones of the agent and the user are counted, but
 * of the latter not those that wait for their client, of which the oldest ends when the new one
 * starts. */
bool seats_has_room(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* How many sessions of the user have started. */
unsigned seats_of_user(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* True if more sessions of the user, or of all, have started than are allowed. */
bool seats_too_many(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* The user's started session that has waited for its client for longest. NULL: none waits. */
struct seat *seats_longest_waiting(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

#endif
