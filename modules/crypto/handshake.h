/* The handshake core of hop and session: the first message's header and mac1 around Noise
 * (PROTOCOL.md section 2). */
#ifndef SPX_CRYPTO_HANDSHAKE_H
#define SPX_CRYPTO_HANDSHAKE_H

#include "crypto/key_stock.h"
#include "crypto/noise.h"

enum purpose { PURPOSE_HOP = 1, PURPOSE_SESSION = 2 };

#define HANDSHAKE_HEADER_BYTES 8
#define MAC1_BYTES 16
#define HANDSHAKE_NOISE_MIN 96
#define HANDSHAKE_NOISE_MAX 4096
#define HANDSHAKE_MESSAGE1_OVERHEAD (HANDSHAKE_HEADER_BYTES + NOISE_MESSAGE1_OVERHEAD + MAC1_BYTES)
#define HANDSHAKE_MESSAGE1_MAX (HANDSHAKE_HEADER_BYTES + HANDSHAKE_NOISE_MAX + MAC1_BYTES)
#define HANDSHAKE_PAYLOAD1_MAX (HANDSHAKE_NOISE_MAX - NOISE_MESSAGE1_OVERHEAD)

/* True if a suite's number, as it is on the wire, is one of enum suite. */
bool suite_known(uint8_t suite);

/* The state of a carrier's first bytes, so far. */
enum handshake_look {
    LOOK_MORE,    /* could still become a first message: read on */
    LOOK_WRONG,   /* never: stay silent */
    LOOK_SUITE,   /* mac1 is right, the suite unknown: answer with the list of suites */
    LOOK_COMPLETE /* a whole first message with a right mac1 */
};

/* HMAC key of mac1 for a responder's public key: SHA-256("spx1 mac1" || key). */
void handshake_mac1_key(uint8_t out[HASH_BYTES], const uint8_t public_key[KEY_BYTES]);

/* Looks at the first bytes of a carrier; len of *message_len bytes are the first message once
 * complete (or LOOK_SUITE). No curve arithmetic. */
enum handshake_look handshake_look(const uint8_t mac1_key[HASH_BYTES], enum purpose purpose,
                                   struct view bytes, size_t *message_len);

/* The suite this machine starts with; peer_lacks_aes: known of the peer. */
enum suite handshake_preferred_suite(bool peer_lacks_aes);

/* Initiator: writes the first message, payload.len + HANDSHAKE_MESSAGE1_OVERHEAD bytes (payload at
 * most HANDSHAKE_PAYLOAD1_MAX). ephemeral: NULL for a fresh one. False: the peer's key is not
 * usable. own must outlive n. */
bool handshake_start(struct noise *n, enum suite suite, enum purpose purpose,
                     const struct keypair *own, const uint8_t peer_public[KEY_BYTES],
                     const struct keypair *ephemeral, struct view payload, uint8_t *out,
                     size_t *out_len);

/* Responder: reads a first message that handshake_look called complete; payload takes
 * message.len - HANDSHAKE_MESSAGE1_OVERHEAD bytes. known: as noise_set_known, may be NULL. False:
 * not authentic. Answer with noise_write, then noise_split. */
bool handshake_accept(struct noise *n, const struct keypair *own, struct known_keys *known,
                      struct view message, uint8_t *payload, size_t *payload_len);

/* The same, but a key that is not in known (not NULL) is as good as not authentic, and costs one
 * multiplication, as a message that is not authentic does. */
bool handshake_accept_known(struct noise *n, const struct keypair *own, struct known_keys *known,
                            struct view message, uint8_t *payload, size_t *payload_len);

/* After it: the answer's ephemeral comes from the stock, if there is one (NULL is harmless). */
void handshake_take_ephemeral(struct noise *n, struct key_stock *stock);

#endif
