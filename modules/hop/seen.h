/* The ephemeral keys of first messages seen within the time of a handshake. A recording that is
 * replayed meanwhile has one of them, and is dropped before any curve arithmetic (docs/PROTOCOL.md
 * section 6). */
#ifndef SPX_HOP_SEEN_H
#define SPX_HOP_SEEN_H

#include <stdbool.h>

#include "crypto/primitives.h"

#define SEEN_SLOTS 8192

/* A fixed amount of memory: a newer key takes an older one's slot if both have the same, about one
 * in eight while a thousand come in a second. */
struct seen {
    uint8_t hash_key[16];
    struct {
        uint64_t mark; /* keyed hash of the key; 0: empty */
        uint64_t until_us;
    } slots[SEEN_SLOTS];
};

/* s is zeroed. */
void seen_init(struct seen *s);

/* True if the key was noted within the last HANDSHAKE_S; notes it now. */
bool seen_before(struct seen *s, const uint8_t key[KEY_BYTES], uint64_t now_us);

#endif
