/* A circuit: the byte path under a session for as long as it lasts. Its records, their ciphers and
 * its liveness, as an engine without I/O (docs/PROTOCOL.md section 5).
 *
 * The owner moves bytes between the circuit's socket and the functions below, tells the time, and
 * looks at circuit->failed and session_state after each call. */
#ifndef SPX_SESSION_CIRCUIT_H
#define SPX_SESSION_CIRCUIT_H

#include "base/list.h"
#include "crypto/cipher.h"
#include "wire/wire_error.h"

struct session;

/* Embedded by the session's owner; it may exist before the session moves to it. The owner may read
 * session, number, started, petty_work and failed, but write none of it. */
struct circuit {
    struct session *session;
    struct list link; /* session->circuits */
    struct cipher send, receive;
    uint32_t number;
    uint64_t told_position;   /* the peer's receive position, told in the handshake */
    bool start_owed, started; /* own START to be sent; the peer's START has come */
    bool ping_owed, pong_owed;
    uint8_t pong[8];
    uint64_t skip; /* sequenced bytes to come that were received before */
    uint8_t *rx;   /* bytes of the circuit not looked at yet: rx[rx_start, rx_start + rx_len) */
    size_t rx_start, rx_len;
    size_t frames_left;  /* bytes of the first record's frames, decrypted and not taken; 0: it is
                            still encrypted */
    uint64_t petty_work; /* of circuit_work, so far, for frames that cost less than 256 bytes */
    uint8_t *tx;         /* records not written yet: tx[tx_start, tx_len) */
    size_t tx_start, tx_len;
    uint64_t burst_bytes, last_built_us; /* sent without a pause, for the record size */
    uint64_t keepalive_us, opened_us, last_read_us, ping_sent_us, next_ping_us;
    uint64_t ping_token;
    bool carried;      /* session data, since the peer was last asked for a sign of life */
    uint64_t asked_us; /* since when such a PING, sent after some silence, waits; 0: none does */
    bool stall_told;
    struct wire_error failed; /* code set: the circuit can no longer be used; the session can */
};

/* Takes in a circuit after message 2: copies (and wipes) the ciphers. A client's session moves to
 * it at once (unless it is on one with a higher number: c->failed then), an agent's at the client's
 * START. Ask for output then: no on_wake comes. False without memory. */
bool circuit_init(struct circuit *c, struct session *s, struct cipher *send, struct cipher *receive,
                  uint32_t number, uint64_t told_position, uint64_t now_us);

/* Frees its buffers, wipes its keys; the session has no circuit then if it was the current one. */
void circuit_free(struct circuit *c);

/* The space that the socket's bytes are read into: at least 64 KiB. Then circuit_received takes the
 * n that came. */
uint8_t *circuit_input_space(struct circuit *c, size_t *len);
void circuit_received(struct circuit *c, size_t n, uint64_t now_us);

/* Takes frames that were received until they have cost `work`: their bytes, but at least 256 for
 * each. Returns the cost; 0: no whole record is left. After it: look at c->failed and
 * session_state. */
size_t circuit_work(struct circuit *c, size_t work, uint64_t now_us);

/* True while circuit_work has left frames that were received: it wants to be called again, once
 * others have had their turn, and before more is read. */
bool circuit_has_work(const struct circuit *c);

/* The bytes to write next. When all earlier ones were written, builds records of the data that
 * waits; empty: none does. circuit_written says how many were written. */
struct view circuit_output(struct circuit *c, uint64_t now_us);
void circuit_written(struct circuit *c, size_t n);

/* The carrier has failed (CODE_NETWORK), or the circuit is no longer wanted. Returns false. */
bool circuit_fail(struct circuit *c, enum code code, const char *text);

/* Handles the timers that are due: ACK, PING, liveness. */
void circuit_tick(struct circuit *c, uint64_t now_us);
uint64_t circuit_deadline(const struct circuit *c);

#endif
