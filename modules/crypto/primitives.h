/* X25519, SHA-256, HMAC, HKDF over BearSSL, its traps closed; BearSSL is called only in
 * modules/crypto. */
#ifndef SPX_CRYPTO_PRIMITIVES_H
#define SPX_CRYPTO_PRIMITIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define KEY_BYTES 32
#define HASH_BYTES 32

/* A static or ephemeral X25519 key pair. */
struct keypair {
    uint8_t private_key[KEY_BYTES];
    uint8_t public_key[KEY_BYTES];
};

/* Computes RFC 7748's first vector (and one AEAD of each suite) through these wrappers. False: this
 * build's BearSSL does not behave as this program expects, and the program must end. Call
 * before anything else here. portable: leave the processor's AES and carry-less multiply
 * instructions alone (for tests of the portable code). */
bool crypto_start(bool portable);

/* True if AES-GCM uses the processor's instructions. */
bool crypto_has_aes(void);

/* SHA-256 of a, then b, which may be empty. */
void sha256(uint8_t out[HASH_BYTES], struct view a, struct view b);

/* HMAC-SHA256 over a then b; out may be cut by the caller. */
void hmac_sha256(uint8_t out[HASH_BYTES], struct view key, struct view a, struct view b);

/* Noise's HKDF with two outputs (Noise revision 34 section 4.3). */
void noise_hkdf(uint8_t out1[HASH_BYTES], uint8_t out2[HASH_BYTES],
                const uint8_t chaining_key[HASH_BYTES], struct view input);

/* A private key from getrandom(2) and its public key. */
void keypair_generate(struct keypair *pair);

/* Computes the public key of pair->private_key. */
void keypair_derive(struct keypair *pair);

/* True if a public key has its one spelling: bit 255 clear and below 2^255 - 19 (PROTOCOL.md
 * section 2). */
bool public_key_canonical(const uint8_t key[KEY_BYTES]);

/* out = X25519(private, public). False if the result is all zero (a low-order point) or the public
 * key is not canonical; out is then zero. */
bool x25519(uint8_t out[KEY_BYTES], const uint8_t private_key[KEY_BYTES],
            const uint8_t public_key[KEY_BYTES]);

#endif
