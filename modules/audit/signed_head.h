/* The head of a chain, signed with its writer's audit key, as others keep it (docs/AUDIT.md, "Heads
 * are signed and exchanged"). Pure. */
#ifndef SPX_AUDIT_SIGNED_HEAD_H
#define SPX_AUDIT_SIGNED_HEAD_H

#include "audit/chain.h"
#include "crypto/sign.h"

/* version (1): 1, role (1), audit key (64), chain (16), number (8), time (8): milliseconds since
 * 1970, hash (32), signature (64) */
#define SIGNED_HEAD_BYTES 194
#define SIGNED_HEAD_TEXT_BYTES (2 * SIGNED_HEAD_BYTES + 1) /* in hexadecimal */

enum audit_role { AUDIT_CLIENT = 1, AUDIT_RELAY = 2, AUDIT_AGENT = 3 };

struct signed_head {
    enum audit_role role;
    uint8_t key[SIGN_PUBLIC_BYTES];
    struct audit_head head;
    uint64_t time_ms;
    uint8_t signature[SIGNATURE_BYTES];
};

/* "agent"; NULL: no such role. The reverse: 0. */
const char *audit_role_name(enum audit_role role);
enum audit_role audit_role_of(const char *name);

/* Signs a head that has a chain; about a millisecond. */
void signed_head_make(struct signed_head *out, const struct sign_key *key, enum audit_role role,
                      const struct audit_head *head, uint64_t time_ms);

/* As it goes over the wire, with the signature that it has. */
void signed_head_encode(uint8_t out[SIGNED_HEAD_BYTES], const struct signed_head *h);

/* False: it is of another length, version or role, or its number is 0. The signature is not
 * looked at. */
bool signed_head_decode(struct signed_head *h, struct view bytes);

/* The same from hexadecimal. */
bool signed_head_from_text(struct signed_head *h, const char *text);

/* True if its key has signed it; a millisecond or two. */
bool signed_head_is_good(const struct signed_head *h);

#endif
