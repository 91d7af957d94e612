/* The places for sessions at an agent: who has how many, and which one goes for another
 * (docs/PROTOCOL.md section 6). It asks nothing
 * of the sessions themselves. */
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
    const struct session *session; /* who has it; for budget.h */
    uint8_t user_key[KEY_BYTES];
    bool started;              /* a circuit has carried it */
    uint64_t waiting_since_us; /* for its client, without a circuit; 0: it does not */
};

struct seats {
    struct list all;
    unsigned count;
};

void seats_init(struct seats *s);

void seats_take(struct seats *s, struct seat *seat, const struct session *session,
                const uint8_t user_key[KEY_BYTES]);
void seats_leave(struct seats *s, struct seat *seat);

/* The user's session that must end before the user begins another: one that has not started. NULL:
 * none. */
struct seat *seats_in_the_way(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* Returns true if the user may have one more, once nobody is in the way. All of the agent's and the
 * user's are counted, but of the latter not those that wait for their client, of which the oldest
 * goes when the new one starts. */
bool seats_has_room(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* Return true if the user has more sessions that have started, or that have not and wait for their
 * client, than are allowed. */
bool seats_too_many_started(const struct seats *s, const uint8_t user_key[KEY_BYTES]);
bool seats_too_many_unstarted(const struct seats *s, const uint8_t user_key[KEY_BYTES]);

/* The user's session that has waited for its client for longest; of those that have started, or of
 * the others, which a recorded message 1 makes. NULL: none waits. */
struct seat *seats_longest_waiting(const struct seats *s, const uint8_t user_key[KEY_BYTES],
                                   bool started);

#endif
