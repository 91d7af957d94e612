/* Streams: one application connection each, inside a session (docs/PROTOCOL.md section 5). */
#ifndef SPX_SESSION_STREAM_H
#define SPX_SESSION_STREAM_H

#include <sys/uio.h>

#include "base/fifo.h"
#include "session/session.h"

enum { STREAM_PULL_NONE = 0, STREAM_PULL_EOF = -1, STREAM_PULL_GONE = -2 };

/* What a stream's owner does; called from inside circuit_ and session_ calls, with the owner's own
 * pointer. */
struct stream_events {
    /* Fill the pieces with bytes to send: how many, or STREAM_PULL_NONE (nothing now: say
     * stream_readable later), STREAM_PULL_EOF (the end, after all before), STREAM_PULL_GONE (the
     * owner has called stream_reset). */
    ssize_t (*pull)(void *owner, struct iovec *piece, int pieces);
    /* Take received bytes: how many were taken (fewer: say stream_writable later). May call
     * stream_reset, then returns 0. */
    size_t (*push)(void *owner, const uint8_t *data, size_t len);
    /* A datagram came, on a stream to a "udp:" target; at an acceptor also before it has answered.
     * May call stream_reset. NULL: dropped. Of the other events only on_opened and on_reset come to
     * such a stream's owner: the others may be NULL. */
    void (*on_datagram)(void *owner, struct view datagram);
    /* The peer's half has ended and everything before was taken: close the writing side. */
    void (*on_eof)(void *owner);
    /* Own OPEN was answered; address: what the peer connected to. NULL if not wanted. */
    void (*on_opened)(void *owner, struct view address);
    /* It ended with an error (never an end of file): abort the connection. The stream is gone. text
     * is clean. */
    void (*on_reset)(void *owner, unsigned code, const char *text);
    /* Both halves ended cleanly and the peer has all. The stream is gone. */
    void (*on_done)(void *owner);
};

/* Invariants:
 * 1. credit_out + held.bytes <= window; window = the floor + a share of the session's pool (0: no
 * window, for a refused one, a listener and one for datagrams).
 * 2. it is on session->ready_* iff data_ready, send_credit > 0, sending, it has an owner, and no
 * EOF or RESET is owed or sent.
 * 3. it is on session->owing iff it owes a frame; on session->closing iff its EOF or RESET is in
 * the ring. */
struct stream {
    struct table_entry entry;
    uint32_t id; /* the table's key; 0 until the own OPEN is encoded, since ids grow by 2 without a
                    gap */
    struct session *session;
    const struct stream_events *events; /* NULL: no owner (any more) */
    void *owner;
    struct list all_link;
    struct list link;       /* ready_small, ready_bulk or dead */
    struct list owing_link; /* owing */
    struct list closing_link;
    bool own;       /* opened by this side */
    bool listener;  /* a LISTEN: it carries no bytes */
    bool datagrams; /* to a "udp:" target: no bytes in order, no EOF, no credit */
    bool refused;   /* over the limit: not counted */
    bool answered;  /* OPENED or LISTENING was sent or received */
    bool dead;

    /* What is owed. */
    bool open_owed, opened_owed, eof_owed, reset_owed, window_owed;
    uint16_t reset_code;
    uint32_t listener_id; /* agent's own: the LISTEN it answers */
    char *text; /* the target or peer of OPEN, the address of OPENED, LISTEN or LISTENING, or the
                   text of RESET; allocated */

    /* Sending half. */
    bool data_ready, sending; /* sending: OPEN or OPENED is in the ring */
    bool eof_sent, reset_sent, eof_acked;
    uint64_t send_credit;
    uint64_t open_position;           /* behind the OPEN or OPENED frame */
    uint64_t end_position;            /* of the EOF or RESET frame */
    uint64_t recent_us, recent_bytes; /* how much was sent lately */

    /* Receiving half. */
    bool eof_received, eof_told;
    uint32_t window, credit_out;
    struct fifo held;                     /* received, not taken by the owner yet */
    uint64_t taken_since_us, taken_bytes; /* by the owner, for growing the window */
};

/* Opens a stream to a target ("tcp:host:port"). NULL: the limit is reached (errno EAGAIN; on_room
 * comes) or the session is ending, the target is not UTF-8 or too long (EINVAL), or without memory
 * (ENOMEM). */
struct stream *stream_open(struct session *s, const char *target,
                           const struct stream_events *events, void *owner);

/* Whether stream_open would not meet the limit now; if it would, on_room comes when it no longer
 * does. */
bool session_may_open(struct session *s);

/* Acceptor: who takes the stream's events from now on. First inside on_open. */
void stream_set_owner(struct stream *st, const struct stream_events *events, void *owner);

/* Acceptor: the target is connected; address is shown to the peer, cleaned and cut. Early data is
 * pushed inside the call, so the stream may be gone after it. */
void stream_accept(struct stream *st, const char *address);

/* Something can be pulled; taken can be pushed. */
void stream_readable(struct stream *st);
void stream_writable(struct stream *st);

/* Sends a datagram, once, on the circuit there is, or drops it: without a circuit, when 64 KiB wait
 * to be sent, when it is larger than DATAGRAM_MAX, or without memory. Whether it was taken. */
bool stream_send_datagram(struct stream *st, struct view datagram);

/* Ends it with an error; no event comes any more. The stream is gone for the owner. The text is
 * cleaned and cut to TEXT_MAX_BYTES. */
void stream_reset(struct stream *st, enum reset_code code, const char *text);

/* Bytes received and not taken yet. */
static inline size_t stream_held(const struct stream *st)
{
    return st->held.bytes;
}

#endif
