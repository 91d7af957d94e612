/* The end-to-end session as an engine without I/O: positions, replay ring, streams
 * (docs/PROTOCOL.md section 5).
 *
 * A session outlives its circuits (session/circuit.h), through which its bytes come and go. Inside
 * an event the owner may use every stream_ function and session_close, but frees neither session
 * nor circuit. */
#ifndef SPX_SESSION_SESSION_H
#define SPX_SESSION_SESSION_H

#include "base/list.h"
#include "base/ring.h"
#include "base/table.h"
#include "session/pace.h"
#include "wire/codes.h"
#include "wire/frames.h"
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
    /* The ring is what limits: whether it may become so many bytes larger. No is asked again while
     * that lasts. NULL: always. */
    bool (*may_grow)(struct session *s, size_t more);
    /* The current circuit has carried something and is silent: the peer is asked now whether it is
     * there. An agent asks the relay at the same time. May be NULL. */
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
    uint16_t own_streams;    /* this side has open at once; an agent's: 0 without listeners */
    uint16_t listeners;      /* that the client may have; a client's: that it asks for at most */
    uint32_t early_credit;   /* agent: what the client may send on a stream before OPENED; every
                                stream's floor window. Cut where the floors of all streams would take
                                more than half of receive_limit. */
    uint64_t keepalive_us;
    uint32_t resume_window_s; /* agent: what it tells the client */
};

/* 64 MiB, 8 MiB twice doubled (an agent: 1 MiB five times), STREAMS_MAX, LISTENERS_DEFAULT (a
 * client: LISTENERS_MAX), 8 KiB, 15 s, 10 min. */
struct session_settings session_default_settings(bool client);

/* Invariants:
 * 1. ring.tail <= resend <= ring.head; frames from `resend` on are still to go out on the current
 * circuit.
 * 2. peer_position is the highest position the peer acknowledged or told; ring.tail is the lower of
 * it and resend, since a circuit carries every byte from its START on; sent_max is the highest
 * position ever given to a circuit.
 * 3. receive_position counts exactly the sequenced bytes delivered; it never goes back.
 * 4. the windows of all streams together stay within settings.receive_limit: pool_left and the
 * streams' shares of it are receive_limit less a floor for each place for a stream.
 * 5. own_open, peer_open, listeners and refused count the streams on `all`.
 * 6. datagrams wait only while there is a circuit; they take at most 128 KiB. */
struct session {
    enum session_state state;
    struct wire_error error; /* code: enum code */
    struct session_settings settings;
    const struct session_events *events;
    void *owner; /* the owner's own */
    uint8_t id[SESSION_ID_BYTES];
    uint32_t circuit_number; /* the highest told in a message 1 or moved to */
    uint32_t moved_number;   /* of the newest circuit the session moved to */
    struct circuit *circuit; /* the current one, or NULL */
    struct list circuits;    /* all that point here */

    /* What the peer told in its payload. */
    uint32_t peer_receive_limit, peer_ring;
    uint16_t peer_streams;
    uint32_t peer_early_credit;
    uint32_t peer_resume_window_s; /* how long the agent keeps the session without a circuit */

    /* Sending. */
    struct ring ring;
    uint64_t resend, sent_max, peer_position;
    struct pace pace;        /* of the current circuit */
    uint64_t waiting_us;     /* since when something sent waits for an ACK without any progress */
    uint64_t close_position; /* end of the own CLOSE frame, once encoded */
    uint16_t close_code;
    char close_text[128];
    bool close_owed, farewell_owed;

    /* Receiving. */
    uint64_t receive_position;
    uint64_t acked_position; /* told to the peer */
    uint64_t ack_due_us;     /* CLOCK_NEVER: nothing unacknowledged */
    bool ack_owed;

    /* Streams. */
    struct table streams; /* by id */
    struct list all;
    struct list owing;       /* owe a control frame */
    struct list ready_small; /* have data to send, and sent little lately */
    struct list ready_bulk;  /* have data to send */
    struct list closing;     /* sent EOF or RESET not acknowledged yet, in order of position */
    struct list dead;        /* to be freed at the end of the call */
    struct list datagrams;   /* not sent yet */
    size_t datagram_bytes;   /* of memory that they take */
    size_t datagrams_ahead;  /* bytes of them that went before frames that wait; 0: their turn */
    uint32_t next_id;        /* of the next own stream */
    uint32_t peer_next_id;   /* that the peer must use next */
    unsigned own_open, peer_open,
        refused;        /* counted streams of either side, and OPENs over the limit not done yet */
    unsigned listeners; /* of the client, asked for or live */
    bool room_wanted;
    unsigned depth;     /* of calls into the session; streams are freed at the outermost's end */
    uint32_t pool_left; /* of receive_limit, beyond every stream's floor */

    /* Measures. */
    uint64_t rtt_us;                     /* the last one; 0: not measured yet */
    uint64_t bytes_sent, bytes_received; /* payload of streams */
    unsigned streams_opened;
};

/* Nothing is sent or accepted before a circuit. False without memory (errno ENOMEM), or when the
 * settings leave a stream no window or DATA no ring (EINVAL). */
bool session_init(struct session *s, const struct session_settings *settings,
                  const struct session_events *events, void *owner);

/* Ends every stream with on_reset(RESET_SESSION_OVER, text) first. Frees all but the struct;
 * circuits that are left point to no session then and are the owner's to free. */
void session_free(struct session *s);

/* The handshake payloads as far as the session knows them: everything but version, flags and names
 * (client), version, code and text (agent). The client's raises circuit_number. */
void session_fill_hello(struct session *s, struct session_hello *hello);
void session_fill_welcome(const struct session *s, struct session_welcome *welcome);

/* Agent: whether a message 1 with this circuit number may carry the session on: the number is above
 * that of every circuit the session has moved to, and not below that of a message 1 taken since. */
bool session_may_resume(const struct session *s, uint32_t number);

/* What the peer's payload said: limits count until the session has moved to its first circuit, the
 * circuit number always. The early credit stays what the first WELCOME told. */
void session_take_hello(struct session *s, const struct session_hello *hello);
bool session_take_welcome(struct session *s, const struct session_welcome *welcome);

/* Owes CLOSE; the session ends when it is acknowledged. Every stream is reset. The text is cleaned
 * and cut to 127 bytes; code 0 is taken as CODE_DONE. */
void session_close(struct session *s, enum code code, const char *text);

/* Whether own frames wait for a circuit or an ACK. */
bool session_unacknowledged(const struct session *s);

/* Whether no byte was read for max(3 s, 4 round trips) though something waits to be acknowledged,
 * or after a PING that asked why the circuit fell silent: time for the next circuit, beside this
 * one. */
bool session_stalled(const struct session *s, uint64_t now_us);

#endif
