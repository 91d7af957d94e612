/* Shared by the files of modules/session, and by nobody else. */
#ifndef SPX_SESSION_INTERNAL_H
#define SPX_SESSION_INTERNAL_H

#include "session/state.h"
#include "wire/frames.h"

#define INITIAL_WINDOW (256U << 10)
#define RING_RESERVE (64U << 10) /* DATA leaves this much of the ring to control frames */
#define REFUSED_MAX 1024         /* OPENs over the limit whose RESET is not acknowledged */
#define WAITING_REFUSED_MAX 256  /* OPENs and LISTENs in a session that waits, in all */
#define STREAM_ID_LAST (UINT32_MAX - 2)
#define TX_RECORDS 4 /* built at once */
#define TX_BYTES ((size_t)TX_RECORDS * (2 + RECORD_MAX))

/* Ends the session with an error that this side has found and that the current circuit's next
 * output tells the peer. Returns false. */
bool session_fail(struct session *s, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Resets every stream towards its owner and frees them all. */
void session_end_streams(struct session *s, const char *text);

/* The session is over, and its streams are: they are ended, or left to the owner to end. text stays
 * where it is. */
void session_streams_over(struct session *s, const char *text);

/* Every public function that may kill a stream calls both; the outermost leave frees the dead. */
void session_enter(struct session *s);
void session_leave(struct session *s);

/* There is something to write: tells the owner, if there is a circuit. */
void session_wake(struct session *s);

/* The time that the current circuit may owe an answer before it counts as stalled. */
uint64_t session_patience_us(const struct session *s);

/* When the session's current circuit stalls (session_stalled), or has; CLOCK_NEVER: nothing is
 * waited for on it. */
uint64_t circuit_stalls_us(const struct circuit *c);

/* Moves the session to a circuit whose peer told its position. False: the session has failed, or
 * the circuit, because its number is not above that of the newest. */
bool session_move(struct session *s, struct circuit *c);

/* The size in bytes of the frame at a position of the ring. */
size_t session_frame_bytes(const struct session *s, uint64_t pos);

/* Forgets what the peer has, as far as the circuit has carried it: data that it had from an earlier
 * one is sent again, since a receiver counts from START on without a gap. */
void session_discard(struct session *s);

/* The peer acknowledged everything before position. False after session_fail: it was not sent, or
 * lies inside a frame. */
bool session_acknowledged(struct session *s, uint64_t position);

/* The stream of this id, a listener too; NULL: there is none (any more). */
struct stream *stream_find(struct session *s, uint32_t id);

/* The peer's OPEN or LISTEN, with this target or address: a stream with its id, or NULL after
 * session_fail. Over the limit it is `refused` and owes its RESET. */
struct stream *stream_new_from_peer(struct session *s, uint32_t id, bool listener,
                                    struct view target);

/* A stream or listener of this side, which owes OPEN or LISTEN with this text. NULL: EINVAL (the
 * text is not UTF-8 or longer than text_max) or ENOMEM. */
struct stream *stream_new_own(struct session *s, bool listener, const char *text, size_t text_max,
                              const struct stream_events *events, void *owner);

/* The bytes that the opener may send before OPENED: the client has the agent's early credit, the
 * agent none.
 */
static inline uint32_t early_credit_given(const struct session *s)
{
    return s->settings.client ? 0 : s->settings.early_credit;
}

/* Gives a stream its id and puts it in the table. False without memory. */
bool stream_set_id(struct stream *st, uint32_t id);

/* Removes a stream and tells neither owner nor peer. */
void stream_kill(struct stream *st);

/* The peer's RESET, or the session's end. */
void stream_ended_by_peer(struct stream *st, enum reset_code code, const char *text);

/* Puts the stream on a ready list, or takes it off, by invariant 2. A new one is put on
 * ready_small; whether it sent little lately is looked at when its turn comes. */
void stream_sort(struct stream *st);

/* Puts the stream on session->owing and wakes the session. */
void stream_owe(struct stream *st);

/* Bytes of the peer for this stream; false after session_fail. */
bool stream_receive(struct stream *st, struct view data, uint64_t now_us);

/* Tells the owner the peer's end once all before it was taken, and ends the stream when both halves
 * are done. */
void stream_settle(struct stream *st);

/* After the owner took bytes: owes WINDOW when half of the window is free. */
void stream_consumed(struct stream *st);

/* True if a target takes datagrams: "udp:…". */
bool target_takes_datagrams(struct view target);

/* A new stream carries datagrams: it needs no window. */
void stream_becomes_datagram(struct stream *st);

/* One of the peer's for this stream. */
void stream_receive_datagram(struct stream *st, struct view bytes);

/* Drops the datagrams that are not sent yet: of one stream, or all (NULL). */
void session_drop_datagrams(struct session *s, const struct stream *st);

/* True if one could be put into a record now. */
bool session_has_datagram(const struct session *s);

/* Puts those that wait into a record, as frames: about `room` bytes of them, or one that is larger;
 * never more than `most`. Returns the number of bytes. */
size_t session_put_datagrams(struct session *s, uint8_t *out, size_t room, size_t most);

/* The session's pool, after its settings were made to fit. False: they leave a stream no window. */
bool window_init(struct session *s);
/* The peer takes more streams than there are places: as many are made as the settings permit, with
 * floors that are smaller if need be. Windows stay as they are. */
void window_add_places(struct session *s, unsigned own_places);
/* The first window of a stream out of the session's pool; and its return. */
uint32_t window_begin(struct session *s);
void window_end(struct stream *st);
/* The credit that may be given now. */
uint32_t window_free(const struct stream *st);
/* Doubles the window when the owner took as much within two round trips. */
void window_grow(struct stream *st, uint64_t now_us);

/* Builds the CLOSE of a session that session_fail has ended, if one is owed and has its place. */
void session_put_farewell(struct circuit *c);

/* Takes one frame of a record; false: session or circuit has failed. */
bool session_take_frame(struct circuit *c, const struct frame *f, uint64_t now_us);

#endif
