/* An authority's statement that a key is an agent's (docs/PROTOCOL.md section 7), by which clients
 * know agents that they have not met. */
#ifndef SPX_PERMIT_VOUCH_H
#define SPX_PERMIT_VOUCH_H

#include "permit/permit.h"

struct vouch {
    struct view agent; /* a name */
    uint8_t key[KEY_BYTES];
    uint8_t authority[HASH_BYTES];
    uint64_t issued_s, until_s;
    struct view signed_bytes, signature;
};

/* Reads a statement; views point into the bytes. False: it is not in its one spelling. The
 * signature is not looked at. */
bool vouch_decode(struct vouch *v, struct view bytes);

/* Signs one: agent, key and times are set. Returns its length; 0: a field is out of its bounds. */
size_t vouch_issue(uint8_t out[VOUCH_MAX_BYTES], const struct vouch *v, const struct sign_key *key);

/* True if this authority says now that this key is this agent's; about a millisecond. */
bool vouch_says(struct view bytes, const uint8_t authority[SIGN_PUBLIC_BYTES], const char *agent,
                const uint8_t key[KEY_BYTES], int64_t now_s);

#endif
