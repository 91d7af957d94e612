/* Streams: one application connection each, inside a session (docs/PROTOCOL.md section 5). */
#ifndef SPX_SESSION_STREAM_H
#define SPX_SESSION_STREAM_H

#include <sys/uio.h>

#include "base/bytes.h"
#include "wire/codes.h"

struct session;
struct stream;

enum { STREAM_PULL_NONE = 0, STREAM_PULL_EOF = -1, STREAM_PULL_GONE = -2 };

/* A stream's owner; called from inside circuit_ and session_ calls, with the owner's own
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
    void (*on_reset)(void *owner, enum reset_code code, const char *text);
    /* Both halves ended cleanly and the peer has all. The stream is gone. */
    void (*on_done)(void *owner);
};

/* Opens a stream to a target ("tcp:host:port"). NULL: the limit is reached (errno EAGAIN; on_room
 * comes) or the session is ending, the target is not UTF-8 or too long (EINVAL), or without memory
 * (ENOMEM). */
struct stream *stream_open(struct session *s, const char *target,
                           const struct stream_events *events, void *owner);

/* True if stream_open would not meet the limit now; if it would, on_room comes when it no longer
 * does. */
bool session_may_open(struct session *s);

/* How many streams of this side may be open at once; and true if they are. */
unsigned session_places(const struct session *s);
bool session_is_full(const struct session *s);

/* Acceptor: who takes the stream's events from now on. First inside on_open. */
void stream_set_owner(struct stream *st, const struct stream_events *events, void *owner);

/* Acceptor: the target is connected; address is shown to the peer, cleaned and cut. Early data is
 * pushed inside the call, so the stream may be gone after it. */
void stream_accept(struct stream *st, const char *address);

/* Something can be pulled; taken can be pushed. */
void stream_readable(struct stream *st);
void stream_writable(struct stream *st);

/* Sends a datagram, once, on the circuit there is, or drops it: without a circuit, when 64 KiB wait
 * to be sent, when it is larger than DATAGRAM_MAX, or without memory. Returns true if it was taken.
 */
bool stream_send_datagram(struct stream *st, struct view datagram);

/* Ends it with an error; no event comes any more. The stream is gone for the owner. The text is
 * cleaned and cut to TEXT_MAX_BYTES. */
void stream_reset(struct stream *st, enum reset_code code, const char *text);

/* As stream_reset, and its owner hears of it by on_reset. */
void stream_cut(struct stream *st, enum reset_code code, const char *text);

/* Its session, and what its owner has given it. */
struct session *stream_session(const struct stream *st);
void *stream_owner(const struct stream *st);

/* As on the wire; 0: its OPEN or LISTEN has not been encoded yet. */
uint32_t stream_id(const struct stream *st);

/* The payload of one stream. */
struct traffic {
    uint64_t sent, received;
};

/* Counts the stream's bytes there (the owner's) until the stream is gone for its owner. */
void stream_count(struct stream *st, struct traffic *traffic);

#endif
