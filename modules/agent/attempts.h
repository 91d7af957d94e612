/* The session messages 1 that came through each relay: how many may be answered in a while, and
 * those that have been, since one can be a recording (docs/PROTOCOL.md sections 4 and 6). */
#ifndef SPX_AGENT_ATTEMPTS_H
#define SPX_AGENT_ATTEMPTS_H

#include "base/list.h"
#include "base/rate.h"
#include "crypto/primitives.h"
#include "wire/limits.h"

#define ATTEMPTS_KEPT 256

/* An authentic session message 1 that was admitted to a session. */
struct attempt {
    uint8_t ephemeral[KEY_BYTES]; /* its first Noise token: the same in a copy only */
    uint8_t session_id[SESSION_ID_BYTES];
    uint32_t number; /* of its circuit */
};

/* The attempts through one relay. */
struct relay_attempts {
    struct list place;
    uint8_t relay_key[KEY_BYTES];
    struct rate rate;                   /* of messages 1 that are computed with */
    struct rate notes;                  /* of entries about them in the audit */
    unsigned count;                     /* kept */
    unsigned next;                      /* where the next one goes */
    struct attempt kept[ATTEMPTS_KEPT]; /* the newest */
};

/* Those of a relay, made when there are none. `all` is the list of them, empty at first. The
 * pointer is valid until attempts_forget. NULL without memory. */
struct relay_attempts *attempts_of(struct list *all, const uint8_t relay_key[KEY_BYTES]);

/* The attempt with this ephemeral key, or NULL. */
const struct attempt *attempts_find(const struct relay_attempts *r,
                                    const uint8_t ephemeral[KEY_BYTES]);

/* Keeps it in place of the oldest. */
void attempts_keep(struct relay_attempts *r, const struct attempt *attempt);

/* Takes the right to compute with one more message 1. False: not yet. */
bool attempts_take(struct relay_attempts *r, uint64_t now_us);

/* The same for an entry of its own in the audit: 1 a second in the long run, 200 at once. False: it
 * is counted instead. */
bool attempts_note(struct relay_attempts *r, uint64_t now_us);

/* Frees those of relays that wanted says false for; NULL: all. */
void attempts_forget(struct list *all, bool (*wanted)(void *arg, const uint8_t key[KEY_BYTES]),
                     void *arg);

#endif
