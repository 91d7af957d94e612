/* The authorities whose permits let users in, and the signatures that were found good: for every
 * thread that reads first messages. */
#ifndef SPX_RELAY_AUTHORITIES_H
#define SPX_RELAY_AUTHORITIES_H

#include "config/config.h"

struct authorities;

/* NULL without memory. */
struct authorities *authorities_new(void);
void authorities_free(struct authorities *a);

/* Takes over those of a configuration. */
void authorities_set(struct authorities *a, const struct relay_config *config);

/* A permit in HELLO. */
enum vouching {
    VOUCHING_NONE, /* there is none, or it is not for the key that HELLO proves */
    VOUCHING_BAD,  /* no authority of the configuration has signed it, which was computed */
    VOUCHING_GOOD,
};

/* Looks at the permit in the payload of an authentic message 1, whose sender has proven the key.
 * Takes about a millisecond, unless the permit was found good before. Any thread may call it. */
enum vouching authorities_vouch(struct authorities *a, const uint8_t key[KEY_BYTES],
                                struct view payload);

#endif
