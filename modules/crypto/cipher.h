/* One direction's AEAD state as Noise's CipherState: key, counter, REKEY each 2^20 messages. */
#ifndef SPX_CRYPTO_CIPHER_H
#define SPX_CRYPTO_CIPHER_H

#include "crypto/primitives.h"

enum suite {
    SUITE_AESGCM = 1,     /* Noise_IK_25519_AESGCM_SHA256 */
    SUITE_CHACHAPOLY = 2, /* Noise_IK_25519_ChaChaPoly_SHA256 */
};

#define TAG_BYTES 16
#define REKEY_INTERVAL (1ULL << 20)

/* May be copied and moved: no pointer into itself. */
struct cipher {
    enum suite suite;
    uint64_t nonce; /* of the next message */
    uint8_t key[KEY_BYTES];
};

/* nonce 0. */
void cipher_init(struct cipher *c, enum suite suite, const uint8_t key[KEY_BYTES]);

/* Encrypts data in place and writes its tag. Before nonce k * 2^20, k > 0, calls REKEY once
 * (PROTOCOL.md section 2); the counter goes on. */
void cipher_seal(struct cipher *c, struct view ad, uint8_t *data, size_t len,
                 uint8_t tag[TAG_BYTES]);

/* Decrypts in place. False: the tag is wrong; data is then wiped and must not be used, and neither
 * key nor nonce has moved. */
bool cipher_open(struct cipher *c, struct view ad, uint8_t *data, size_t len,
                 const uint8_t tag[TAG_BYTES]);

/* Wipes key and schedule. */
void cipher_wipe(struct cipher *c);

#endif
