/* The end-to-end session as an engine without I/O: positions, replay ring, streams
 * (docs/PROTOCOL.md section 5).
 *
 * A session outlives its circuits (session/circuit.h), through which its bytes come and go. Inside
 * an event the owner may use every stream_ function and session_close, but frees neither session
 * nor circuit. */
#ifndef SPX_SESSION_SESSION_H
#define SPX_SESSION_SESSION_H

#include "session/settings.h"
#include "wire/codes.h"
#include "wire/frames.h"
#include "wire/limits.h"
#include "wire/messages.h"
#include "wire/wire_error.h"

/* 64 MiB, 8 MiB twice doubled (an agent: 1 MiB five times), STREAMS_DEFAULT (a client's own:
 * STREAMS_MAX), LISTENERS_DEFAULT (a client: LISTENERS_MAX), 8 KiB, 15 s, 10 min. */
struct session_settings session_default_settings(bool client);

/* Nothing is sent or accepted before a circuit. An agent's session has its id from the beginning.
 * NULL without memory (errno ENOMEM), or when the settings leave a stream no window or DATA no ring
 * (EINVAL). */
struct session *session_new(const struct session_settings *settings,
                            const struct session_events *events, void *owner);

/* Ends every stream with on_reset(RESET_SESSION_OVER, text) first. Circuits that are left point to
 * no session then and are the owner's to free. NULL is harmless. */
void session_free(struct session *s);

/* ---- How it stands. ---- */

/* The settings that session_new was given, and where the session stands. */
void *session_owner(const struct session *s);
enum session_state session_state(const struct session *s);

/* SESSION_ID_BYTES; a client's: zeros at first. */
const uint8_t *session_id(const struct session *s);

/* Why it is over; code CODE_OK: it is not. */
const struct wire_error *session_error(const struct session *s);

/* The text of session_error, or of the own CLOSE that still waits for its ACK; "" when neither. */
const char *session_reason(const struct session *s);

/* True while it is on a circuit. */
bool session_has_circuit(const struct session *s);

/* As given to session_new and made to fit; and how large the ring is now. */
const struct session_settings *session_settings(const struct session *s);
size_t session_ring_bytes(const struct session *s);

/* Agent: as many streams of its own may be open from now on, if they were fewer. False: there is no
 * room for their windows. */
bool session_widen_own_streams(struct session *s, uint16_t streams);

/* The part of receive_limit that is in use: the floors of all streams there may be, and what the
 * windows of those there are have beyond. */
uint32_t session_window_bytes(const struct session *s);

/* The time that the agent keeps it without a circuit; a client's: 0 before the agent has told it.
 */
uint32_t session_resume_window_s(const struct session *s);

/* For logs. */
struct session_summary {
    uint64_t bytes_sent, bytes_received; /* of streams */
    unsigned streams_opened;             /* by either side, since the beginning */
    unsigned own_open;                   /* streams of this side that are open */
    uint64_t rtt_us;                     /* the last one; 0: not measured on this circuit yet */
};

/* As it is now. */
struct session_summary session_summary(const struct session *s);

/* ---- The handshake's payloads. ---- */

/* The handshake payloads as far as the session knows them: everything but version, flags, names and
 * the reason (client), version, code and text (agent). The client's raises circuit_number. */
void session_fill_hello(struct session *s, struct session_hello *hello);
void session_fill_welcome(const struct session *s, struct session_welcome *welcome);

/* Agent: true if a message 1 with this circuit number may resume the session: the number is above
 * that of every circuit the session has moved to, and not below that of a message 1 taken since. */
bool session_may_resume(const struct session *s, uint32_t number);

/* Takes the peer's payload: limits count until the session has moved to its first circuit, the
 * circuit number always. The early credit stays what the first WELCOME told. */
void session_take_hello(struct session *s, const struct session_hello *hello);
bool session_take_welcome(struct session *s, const struct session_welcome *welcome);

/* ---- The end, and what waits. ---- */

/* Owes CLOSE; the session ends when it is acknowledged. Every stream is reset, unless that is the
 * owner's to do. The text is cleaned and cut to 127 bytes; code 0 is taken as CODE_DONE. */
void session_close(struct session *s, enum code code, const char *text);

/* Agent: from now on the session waits for approval, or it no longer does; at first it does not.
 * It can begin to only before the client's first START. Whoever lets it go on tells ACCESS_GRANTED.
 * While it waits every OPEN and LISTEN is reset here with RESET_NOT_PERMITTED, and fails the
 * session if there are more than an honest client sends; payload 2 says that it waits. What the
 * client reads of it, the owner tells with session_tell_access. */
void session_set_waiting(struct session *s, bool waiting);

/* True while it waits: at the client from the first message 2 that says so, or from ACCESS in state
 * ACCESS_WAITING, until the first one in ACCESS_GRANTED. Meanwhile what the client asks for
 * (stream_open, listen_request) stays with it, and on_access comes after the change. */
bool session_waits(const struct session *s);

/* Agent: the client has said that it can wait. */
bool session_can_wait(const struct session *s);

/* Agent: owes ACCESS, in place of one that it still owes, if the client takes it; to one
 * that waits and may go on an end is told as a grant until then. The text is cleaned and cut to 399
 * bytes. */
void session_tell_access(struct session *s, const struct access_frame *access);

/* Owes HEAD, in place of one that it still owes: sent once, on whichever circuit is the next to
 * carry something, and lost with that. head: at most HEAD_MAX_BYTES. */
void session_tell_head(struct session *s, struct view head);

/* Ends it without telling the peer, which cannot be reached or does not know it any more. Its
 * circuits are of no more use. Its streams end with session_free. */
void session_abandon(struct session *s, enum code code, const char *text);

/* For settings.ends_in_portions, when the session is over, which it is after this call: ends at
 * most so many of its streams, and all of its listeners, with on_reset(RESET_SESSION_OVER, text).
 * Until their turn comes the others carry nothing more. True: there are no others. */
bool session_end_some(struct session *s, unsigned most);

/* True if no byte was read for max(3 s, 4 round trips) though something waits to be acknowledged,
 * or after a PING that asked why the circuit fell silent: time for the next circuit, beside this
 * one. */
bool session_stalled(const struct session *s, uint64_t now_us);

#endif
