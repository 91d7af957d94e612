/* The insides of a session and a stream, for the files of this folder and for tests that look at
 * them; everybody else has the functions of session.h and stream.h. */
#ifndef SPX_SESSION_STATE_H
#define SPX_SESSION_STATE_H

#include "base/fifo.h"
#include "base/list.h"
#include "base/ring.h"
#include "base/table.h"
#include "session/pace.h"
#include "session/settings.h"
#include "wire/limits.h"
#include "wire/wire_error.h"

#define SESSION_ACCESS_TEXT_BYTES 400

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
 * 6. datagrams wait only while there is a circuit; they take at most 128 KiB.
 * 7. while an agent's session waits for approval, each of its streams is reset. */
struct session {
    enum session_state state;
    struct wire_error error;
    struct session_settings settings;
    const struct session_events *events;
    void *owner;
    unsigned depth; /* of calls into the session; streams are freed at the outermost's end */

    /* Identity, and the circuits that carry it. */
    uint8_t id[SESSION_ID_BYTES];
    uint32_t circuit_number; /* the highest told in a message 1 or moved to */
    uint32_t moved_number;   /* of the newest circuit the session moved to */
    struct circuit *circuit; /* the current one, or NULL */
    struct list circuits;    /* all that point here */

    /* From the peer's payload. */
    uint32_t peer_receive_limit, peer_ring;
    uint16_t peer_streams;
    bool peer_takes_access, peer_can_wait;
    uint32_t peer_early_credit;
    uint32_t peer_resume_window_s; /* how long the agent keeps the session without a circuit */

    /* Sending. */
    struct ring ring;
    uint64_t resend, sent_max, peer_position;
    struct pace pace;        /* of the current circuit */
    uint64_t waiting_us;     /* since when something sent waits for an ACK without any progress */
    uint64_t close_position; /* end of the own CLOSE frame, once encoded */
    enum code close_code;
    unsigned refused_waiting; /* agent: OPENs and LISTENs that came while it waited */
    char close_text[128];
    const char *end_text;    /* that its streams end with, once that is known; or NULL */
    uint64_t access_until_s; /* of the ACCESS owed, as its text and state */
    char access_text[SESSION_ACCESS_TEXT_BYTES];
    size_t head_len;
    uint8_t head[HEAD_MAX_BYTES]; /* of the owner's audit */
    uint8_t access_state;
    bool close_owed, farewell_owed, access_owed, head_owed, ack_owed;
    /* Agent: its client waits to be told ACCESS_GRANTED, and nothing in its place. */
    bool grant_owed;
    bool granted; /* client: it waits no more, whatever its agent says */

    /* Receiving. */
    uint64_t receive_position;
    uint64_t acked_position; /* told to the peer */
    uint64_t ack_due_us;     /* CLOCK_NEVER: nothing unacknowledged */

    /* Streams. */
    struct table streams;    /* by id */
    struct list all;         /* listeners first */
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
    unsigned own_places;     /* own streams that may be open at once: each is sure of its floor */
    unsigned own_open, peer_open,
        refused;        /* counted streams of either side, and OPENs over the limit not done yet */
    unsigned listeners; /* of the client, asked for or live */
    bool room_wanted;
    bool waits;         /* for approval: none is opened */
    uint32_t pool_left; /* of receive_limit, beyond every stream's floor */

    /* Measures. */
    uint64_t rtt_us;                     /* the last one; 0: not measured yet */
    uint64_t bytes_sent, bytes_received; /* payload of streams */
    unsigned streams_opened;
};

/* Invariants:
 * 1. credit_out + held.bytes <= window; window = the floor + a share of the session's pool (0: no
 * window, for a refused one, a listener and one for datagrams).
 * 2. it is on session->ready_* iff data_ready, send_credit > 0, sending, it has an owner, and no
 * EOF or RESET is owed or sent.
 * 3. it is on session->owing iff it owes a frame; on session->closing iff its EOF or RESET is in
 * the ring, or was when the session was still active: later ACKs are of no more interest to it. */
struct stream {
    struct table_entry entry;
    uint32_t id; /* the table's key; 0 until the own OPEN is encoded, since ids grow by 2 without a
                    gap */
    struct session *session;
    const struct stream_events *events; /* NULL: no owner (any more) */
    void *owner;
    struct traffic *traffic; /* the owner's, or NULL */
    struct account *account; /* for on_stream, or NULL */
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

    /* Frames owed. */
    bool open_owed, opened_owed, eof_owed, reset_owed, window_owed;
    enum reset_code reset_code;
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

#endif
