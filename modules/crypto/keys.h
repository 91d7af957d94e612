/* Keys as text and in files: 44 characters of canonical base64, as wg(8) writes them. */
#ifndef SPX_CRYPTO_KEYS_H
#define SPX_CRYPTO_KEYS_H

#include "base/error.h"
#include "crypto/primitives.h"

#define KEY_TEXT_BYTES 45 /* with the terminator */
#define FINGERPRINT_TEXT_BYTES \
    51 /* "SHA256:" and 43 characters of base64 without padding, as ssh shows keys */

/* A public key as it stands in files, terminated. */
void key_to_text(char out[KEY_TEXT_BYTES], const uint8_t key[KEY_BYTES]);

/* A public key: 44 characters, canonical as base64 and as a curve point's coordinate, not zero.
 * Surrounding white space is the caller's to strip. */
bool public_key_from_text(uint8_t out[KEY_BYTES], struct view text);

/* "SHA256:" and the hash of a public key, for people to compare; terminated. */
void key_fingerprint(char out[FINGERPRINT_TEXT_BYTES], const uint8_t public_key[KEY_BYTES]);

/* The same of what is no X25519 key: of any bytes. */
void fingerprint_text(char out[FINGERPRINT_TEXT_BYTES], struct view bytes);

/* Reads a private key file (one key, white space around it allowed; refused when group or others
 * have any access) and derives the public key. Error code FAILURE_CONFIG, text naming the file and
 * what is wrong with it. */
bool keypair_load(struct keypair *pair, const char *path, struct error *e);

/* True if the private key is as keypair_generate and wg(8) make it: of public keys one in 16 is. */
bool keypair_is_clamped(const struct keypair *pair);

/* The same as keypair_load from text already read; name is for the error. */
bool keypair_from_text(struct keypair *pair, struct view text, const char *name, struct error *e);

#endif
