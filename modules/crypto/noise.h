/* Noise_IK as a state machine over bytes (Noise Protocol Framework revision 34, sections 5
 * and 7.5). A step that fails wipes the whole handshake; a call out of turn changes nothing. */
#ifndef SPX_CRYPTO_NOISE_H
#define SPX_CRYPTO_NOISE_H

#include "crypto/cipher.h"

struct known_keys;

#define NOISE_MESSAGE1_OVERHEAD 96 /* e, s and its tag, the payload's tag */
#define NOISE_MESSAGE2_OVERHEAD 48 /* e, the payload's tag */

struct noise {
    bool initiator;
    uint8_t step; /* messages written and read so far, 0 to 2 */
    bool has_ephemeral;
    const struct keypair *own; /* the caller's, must outlive the handshake; NULL: failed, split or
                                  wiped, nothing works */
    struct known_keys *known;  /* the caller's, or NULL: where ss of a peer it knows is kept */
    bool known_only;           /* responder: a key that is not there fails, before its ss */
    struct keypair ephemeral;
    bool prepared; /* responder: ee and se are computed */
    uint8_t ee[KEY_BYTES], se[KEY_BYTES];
    uint8_t remote_static[KEY_BYTES];
    uint8_t remote_ephemeral[KEY_BYTES];
    uint8_t chaining_key[HASH_BYTES];
    uint8_t hash[HASH_BYTES];
    struct cipher cipher;
};

/* remote_static: the responder's key for an initiator, NULL for a responder. False: not a canonical
 * key, or one's own. */
bool noise_init(struct noise *n, enum suite suite, bool initiator, struct view prologue,
                const struct keypair *own, const uint8_t *remote_static);

/* Gives the ephemeral to use for this handshake in place of a fresh one (prepared earlier, or a
 * test vector's). Copied. */
void noise_set_ephemeral(struct noise *n, const struct keypair *ephemeral);

/* Takes ss from there and leaves it there, for peers that are known there. Outlives the handshake.
 */
void noise_set_known(struct noise *n, struct known_keys *known);

/* Responder, after it: a peer that is not known there is as good as not authentic, and costs no
 * arithmetic beyond es. */
void noise_refuse_unknown(struct noise *n);

/* Responder, after message 1: does the curve arithmetic of message 2 now, so that noise_write has
 * none left. Needless otherwise. False: out of turn, or a DH result was all zero. */
bool noise_prepare(struct noise *n);

/* Writes this side's message with its payload: out takes payload.len + NOISE_MESSAGE1_OVERHEAD (or
 * 2) bytes. False: out of turn, or a DH result was all zero. */
bool noise_write(struct noise *n, struct view payload, uint8_t *out, size_t *out_len);

/* Reads the other side's message. payload takes len - NOISE_MESSAGE1_OVERHEAD (or 2) bytes. After
 * message 1 the initiator's key is remote_static. False: out of turn, too short, not authentic, a
 * key that is not canonical, equals one's own, or gives zero; payload is then wiped. */
bool noise_read(struct noise *n, struct view message, uint8_t *payload, size_t *payload_len);

/* After message 2: the two record ciphers. Wipes the handshake; remote_static and hash stay. */
bool noise_split(struct noise *n, struct cipher *send, struct cipher *receive);

/* Wipes everything. */
void noise_wipe(struct noise *n);

#endif
