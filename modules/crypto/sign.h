/* Signatures: ECDSA over P-256 with SHA-256, deterministic (RFC 6979), by BearSSL. A signature has
 * one spelling: r and s, 32 bytes each, s in the lower half. Takes about a millisecond: not for the
 * event loop. */
#ifndef SPX_CRYPTO_SIGN_H
#define SPX_CRYPTO_SIGN_H

#include "crypto/keys.h"

#define SIGN_PRIVATE_BYTES 32
#define SIGN_PUBLIC_BYTES 64 /* x and y, big-endian */
#define SIGNATURE_BYTES 64

struct sign_key {
    uint8_t private_key[SIGN_PRIVATE_BYTES];
    uint8_t public_key[SIGN_PUBLIC_BYTES];
};

/* A key from the system's generator. */
void sign_key_generate(struct sign_key *key);

/* Computes the public key. False: the private key is 0, or not below the group's order. */
bool sign_key_derive(struct sign_key *key);

/* The key must have been derived. */
void sign_hash(uint8_t out[SIGNATURE_BYTES], const struct sign_key *key,
               const uint8_t hash[HASH_BYTES]);

/* False: it is none of this key over this hash, not in its one spelling, or the key is no point of
 * the curve. */
bool sign_check(const uint8_t signature[SIGNATURE_BYTES],
                const uint8_t public_key[SIGN_PUBLIC_BYTES], const uint8_t hash[HASH_BYTES]);

/* As key_fingerprint. */
void sign_fingerprint(char out[FINGERPRINT_TEXT_BYTES],
                      const uint8_t public_key[SIGN_PUBLIC_BYTES]);

#endif
