/* The ephemeral keys of first messages seen within the time of a handshake. A recording that is
 * replayed meanwhile has one of them, and is dropped before any curve arithmetic (docs/PROTOCOL.md
 * section 6). */
#ifndef SPX_HOP_SEEN_H
#define SPX_HOP_SEEN_H

#include <stdbool.h>

#include "crypto/primitives.h"

struct seen;

/* A fixed amount of memory: a newer key takes an older one's slot if both have the same, about one
 * in eight while a thousand come in a second. NULL without memory. */
struct seen *seen_new(void);

/* NULL is harmless. */
void seen_free(struct seen *s);

/* True if the key was noted within the last HANDSHAKE_S; notes it now. */
bool seen_before(struct seen *s, const uint8_t key[KEY_BYTES], uint64_t now_us);

#endif
