/* The settings that a session has from its owner, and the states that it goes through: all that its
 * insides and its interface both need. */
#ifndef SPX_SESSION_SETTINGS_H
#define SPX_SESSION_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "wire/codes.h"

struct stream;
struct session;
struct circuit;
struct access_frame;

enum session_state {
    SESSION_ACTIVE,
    SESSION_CLOSING, /* own CLOSE is owed or waits for its ACK */
    SESSION_CLOSED,  /* the peer sent CLOSE: error says why; the ACK is still to be written */
    SESSION_ENDED,   /* over; error says why (CODE_DONE: own CLOSE was acknowledged). For a fault of
                        the peer's the current circuit's next output is CLOSE, if it can be */
};

/* A step of a stream or listener, as an audit tells of it. */
enum stream_step { STREAM_OPENED, STREAM_REFUSED, STREAM_ENDED };
struct stream_report {
    enum stream_step step; /* refused: it ended before it was answered */
    uint32_t id;
    bool own, listener;
    const char *target;   /* of OPEN or LISTEN; of a connection to a listener, its peer */
    const char *address;  /* opened: as in the answer */
    enum reset_code code; /* RESET_NONE: it ended cleanly */
    const char *text;
    bool by_peer; /* who ended it; not of RESET_SESSION_OVER */
    /* Bytes: put on their way by this side; of them those that the peer is known to have, at least;
     * and those that came, until it ended for its owner. */
    uint64_t sent, acknowledged, received;
    uint64_t *stamp; /* the owner's, kept with the stream; 0 at first */
};

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
    /* Client: the agent says whether it waits, or how long it may go on (valid during the call).
     * May be NULL. */
    void (*on_access)(struct session *s, const struct access_frame *access);
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
    /* The peer tells a head of its audit, 1 to HEAD_MAX_BYTES that nobody has looked at (valid
     * during the call). May be NULL. */
    void (*on_head)(struct session *s, struct view head);
    /* For an audit: a stream of either side was answered, or has ended for its owner. Must not call
     * back. The texts are clean and valid during the call. NULL: not wanted. */
    void (*on_stream)(struct session *s, const struct stream_report *report);
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
    bool ends_in_portions;    /* the owner ends the streams when the session is over:
                                 session_end_some */
};

#endif
