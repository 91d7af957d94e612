/* The end-to-end session as an engine without I/O: positions, replay ring, streams
 * (docs/PROTOCOL.md section 5).
 *
 * A session outlives its circuits (session/circuit.h), through which its bytes come and go. Inside
 * an event the owner may use every stream_ function and session_close, but frees neither session
 * nor circuit. */
#ifndef SPX_SESSION_SESSION_H
#define SPX_SESSION_SESSION_H

#include "wire/codes.h"
#include "wire/limits.h"
#include "wire/messages.h"
#include "wire/wire_error.h"

struct stream;
struct session;
struct circuit;

enum session_state {
    SESSION_ACTIVE,
    SESSION_CLOSING, /* own CLOSE is owed or waits for its ACK */
    SESSION_CLOSED,  /* the peer sent CLOSE: error says why; the ACK is still to be written */
    SESSION_ENDED,   /* over; error says why (CODE_DONE: own CLOSE was acknowledged). For a fault of
                        the peer's the current circuit's next output is CLOSE, if it can be */
};

const char *session_state_name(enum session_state state);

struct session_events {
    /* The peer wants a stream to this target (valid during the call). Sets its owner during the
     * call, who is told when it is gone, or resets it; answers now or later with stream_accept or
     * stream_reset. */
    void (*on_open)(struct session *s, struct stream *stream, struct view target);
    /* Agent: the client wants it to listen on this address (valid during the call). As on_open:
     * sets the owner, answers with stream_accept (the address bound) or stream_reset. NULL: every
     * LISTEN is refused as unsupported. */
    void (*on_listen)(struct session *s, struct stream *listener, struct view address);
    /* Client: a connection of this peer came to a listener it had asked for. As on_open. May be
     * NULL when none is asked for. */
    void (*on_connection)(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer);
    /* There is something to write on the circuit: call circuit_output soon. Comes from inside any
     * stream_ call; must not call back. */
    void (*on_wake)(struct session *s);
    /* The session moved to this circuit at its START; the one before has failed. Must not free it.
     * May be NULL. */
    void (*on_move)(struct session *s, struct circuit *c);
    /* A stream may be opened again after stream_open had said that the limit is reached. May be
     * NULL. */
    void (*on_room)(struct session *s);
    /* The ring limits the speed: may it grow by so many bytes? After a no it is asked again while
     * that lasts. NULL: always. */
    bool (*may_grow)(struct session *s, size_t more);
    /* Windows are to take so many more bytes of receive_limit. No is asked again when they next
     * would grow. NULL: always. */
    bool (*may_widen)(struct session *s, uint32_t more);
    /* The current circuit has carried something and is silent: a PING goes to the peer. An agent
     * sends one to the relay at the same time. May be NULL. */
    void (*on_silence)(struct session *s);
    /* The current circuit carries nothing any more (session_stalled), since then: told once for
     * each stall, from circuit_tick. A client begins the next circuit beside this one, an agent
     * looks after its way to the relay. May be NULL. */
    void (*on_stall)(struct session *s, uint64_t since_us);
};

struct session_settings {
    bool client;             /* odd stream ids, opens targets, listens; otherwise the agent */
    uint32_t receive_limit;  /* all windows together; at most CREDIT_MAX */
    uint32_t ring_bytes;     /* a power of two, at least 128 KiB */
    unsigned ring_doublings; /* how often the ring may double while it is what limits */
    uint16_t streams;        /* the peer may have open at once; a client's: 0 without listeners */
    uint16_t own_streams;    /* this side has open at once, as many as the peer takes but at most so
                                many; an agent's: 0 without listeners */
    uint16_t listeners;      /* that the client may have; a client's: that it asks for at most */
    uint32_t early_credit;   /* agent: what the client may send on a stream before OPENED; every
                                stream's floor window. Cut where the floors of all streams would take
                                more than half of receive_limit. */
    uint64_t keepalive_us;
    uint32_t resume_window_s; /* agent: what it tells the client */
};

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

void *session_owner(const struct session *s);
enum session_state session_state(const struct session *s);
const uint8_t *session_id(
    const struct session *s); /* SESSION_ID_BYTES; a client's: zeros at first */

/* Why it is over; code CODE_OK: it is not. */
const struct wire_error *session_error(const struct session *s);

/* The text of session_error, or of the own CLOSE that still waits for its ACK; "" when neither. */
const char *session_reason(const struct session *s);

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

struct session_summary session_summary(const struct session *s);

/* ---- The handshake's payloads. ---- */

/* The handshake payloads as far as the session knows them: everything but version, flags and names
 * (client), version, code and text (agent). The client's raises circuit_number. */
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

/* Owes CLOSE; the session ends when it is acknowledged. Every stream is reset. The text is cleaned
 * and cut to 127 bytes; code 0 is taken as CODE_DONE. */
void session_close(struct session *s, enum code code, const char *text);

/* Ends it without telling the peer, which cannot be reached or does not know it any more. Its
 * circuits are of no more use. Its streams end with session_free. */
void session_abandon(struct session *s, enum code code, const char *text);

/* True if own frames wait for a circuit or an ACK. */
bool session_unacknowledged(const struct session *s);

/* True if no byte was read for max(3 s, 4 round trips) though something waits to be acknowledged,
 * or after a PING that asked why the circuit fell silent: time for the next circuit, beside this
 * one. */
bool session_stalled(const struct session *s, uint64_t now_us);

#endif
