/* Shares of the agent's loop: each user's key has one, however many sessions it has. */
#ifndef SPX_AGENT_SHARES_H
#define SPX_AGENT_SHARES_H

#include "crypto/primitives.h"
#include "net/turns.h"

/* One user's. */
struct share {
    struct turns turns;
    /* Its own. */
    struct list place;
    uint8_t user_key[KEY_BYTES];
    unsigned holders;
    struct deferred burial;
};

/* The share of this user's among those on the list, for one holder more. NULL without memory. */
struct share *share_take(struct list *shares, struct loop *loop, const uint8_t user_key[KEY_BYTES]);

/* Of this holder's turns none waits. NULL is harmless. */
void share_leave(struct share *share);

#endif
