/* The public keys that a party knows, each with its DH result with the own static key once that was
 * computed (Noise's ss): the same at every handshake with that peer, and a curve multiplication
 * each time. Any thread may use it. */
#ifndef SPX_CRYPTO_KNOWN_KEYS_H
#define SPX_CRYPTO_KNOWN_KEYS_H

#include "crypto/primitives.h"

struct known_keys;

/* Results for keys that are not known are not kept: a stranger cannot make it grow. NULL without
 * memory. */
struct known_keys *known_keys_new(void);

/* Wipes and frees. NULL is harmless. */
void known_keys_free(struct known_keys *known);

/* A new configuration: begin, add every key, end. Keys not added since begin are forgotten at end,
 * the others keep their results. add returns false without memory: the key is then computed with
 * each time. */
void known_keys_begin(struct known_keys *known);
bool known_keys_add(struct known_keys *known, const uint8_t key[KEY_BYTES]);
void known_keys_end(struct known_keys *known);

/* The knowledge of a key. */
enum key_knowledge { KEY_UNKNOWN, KEY_KNOWN, KEY_COMPUTED /* and shared is its DH result */ };
enum key_knowledge known_keys_find(struct known_keys *known, const uint8_t key[KEY_BYTES],
                                   uint8_t shared[KEY_BYTES]);

/* Keeps the result of a known key. */
void known_keys_keep(struct known_keys *known, const uint8_t key[KEY_BYTES],
                     const uint8_t shared[KEY_BYTES]);

#endif
