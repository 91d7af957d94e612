/* Every limit of the protocol (docs/PROTOCOL.md section 6 and the sections named). */
#ifndef SPX_WIRE_LIMITS_H
#define SPX_WIRE_LIMITS_H

#define PROTOCOL_VERSION 1

/* Records and messages (sections 2 and 3). */
#define RECORD_MAX 65535 /* ciphertext with its tag */
#define RECORD_PLAINTEXT_MAX \
    (RECORD_MAX - 16) /* 65,519: one control message with its type, or frames */
#define NAME_MAX_BYTES 64
#define NAME_TEXT_BYTES (NAME_MAX_BYTES + 1) /* of a name as a string */
#define TEXT_MAX_BYTES 1024
#define LABELS_MAX_BYTES 2048
#define QUERY_MAX_BYTES 256
#define VERSION_TEXT_MAX_BYTES 64
#define ADDRESS_MAX_BYTES 128
#define TARGET_MAX_BYTES 272
#define REASON_MAX_BYTES 256
#define EMERGENCY_MAX_BYTES 64 /* of an emergency code as it was typed */
#define PERMIT_MAX_BYTES 2048
#define VOUCH_MAX_BYTES 256
#define TICKET_BYTES 32
#define HEAD_MAX_BYTES 256        /* of an audit, signed */
#define SESSION_MESSAGE1_MAX 4120 /* header, Noise message, mac1 */
#define SESSION_MESSAGE2_MAX 4096
#define KEEPALIVE_MIN_S 5
#define KEEPALIVE_MAX_S 60
#define KEEPALIVE_DEFAULT_S 15
#define BYE_RETRY_MAX_S 3600
#define REFUSAL_RETRY_MAX_S 300

/* Time limits of hops and connects (sections 2, 4 and 6). */
#define SILENT_S 5     /* a connection without a valid mac1 */
#define HANDSHAKE_S 10 /* a handshake past mac1 */
#define TICKET_S 15
#define CONNECT_WAIT_S 20 /* a CONNECT waits for its agent */
#define CIRCUIT_START_S 15
#define CIRCUIT_DRAIN_S 5
#define CIRCUIT_IDLE_S 90
#define HOP_MAX_AGE_S 86400
#define DUPLICATE_WAIT_S 60    /* a newcomer that was replaced twice; doubled twice afterwards */
#define DUPLICATE_SETTLED_S 10 /* one that was online for so long is no newcomer */
#define DUPLICATE_RETURN_S 2   /* it comes back after this, doubled each time */

/* Counts (section 6). */
#define SILENT_CONNECTIONS 8192
#define SILENT_PER_SOURCE 64
#define HANDSHAKES 1024
#define HANDSHAKES_PER_SOURCE 128
#define SOURCE_MULTIPLICATIONS_PER_S 300 /* of the curve in vain, for one source; twice at once */
#define SOURCE_ANSWERS_PER_S 20          /* to unknown keys, for one source; four times at once */
#define MULTIPLICATIONS_PER_S 1000       /* in vain, for all; the reserve has as many */
#define ANSWERS_PER_S 50                 /* to unknown keys, in all; twice at once */
#define CROWD_TRUST_S 600                /* a source that opened a hop has the reserve */
#define HOPS_PER_USER 256                /* open, at a relay; circuits are none any more */
#define DESCRIPTORS_KEPT_PER_USER 8      /* a relay's last ones are for users with fewer */
#define HOPS_PER_RELAY 256               /* open, at an agent that it dials */
#define PENDING_PER_USER_AGENT 4
#define CONNECT_RATE_PER_S 1
#define CONNECT_BURST 10
#define CIRCUITS_PER_USER_AGENT 32 /* joined, at a relay */
#define LIST_RATE_PER_S 5          /* of a user, but for those of one agent by its name */
#define LIST_BURST 20
#define LOOK_RATE_PER_S 50000 /* agents looked at for a user, times the words of the query */
#define LOOK_BURST 50000
#define OFFERS_WORKING 4
#define OFFERS_QUEUED 16
#define OFFER_RATE_PER_S 50 /* session messages 1 through a relay that an agent computes with */
#define OFFER_BURST 200
#define SESSIONS_PER_USER 8
#define SESSIONS_NOT_STARTED_PER_RELAY 32 /* that came through it, and await START */
#define SESSIONS_PER_AGENT 64
#define SESSIONS_BY_PERMIT 48 /* of them: the others are for users of the file */
#define REQUESTS_PER_AGENT 16 /* for approval, that wait */
#define REQUESTS_PER_USER 2
#define REQUESTS_BY_PERMIT 12          /* the other places are for users of the file */
#define REQUESTS_PER_DAY 500           /* of a user */
#define RECEIVE_LIMIT_ALL (256U << 20) /* of all sessions of an agent */
#define RING_LIMIT_ALL (256U << 20)    /* the same, of what they have sent */
#define CALL_INTERVAL_S 10 /* a CALL; a relay of before CALLS ignores one that comes sooner */
#define CALLS_MAX 16       /* for help, that stand at an agent at the same time */

/* Sessions (section 5). */
#define SESSION_ID_BYTES 16
#define RESUME_WINDOW_DEFAULT_S 600
#define RESUME_WINDOW_MAX_S 86400
#define CLOSE_WAIT_S 3 /* for the ACK of a CLOSE */
#define ENDED_KEPT_S 60
#define FRAME_HEADER_BYTES 8
#define FRAME_PAYLOAD_MAX (RECORD_PLAINTEXT_MAX - FRAME_HEADER_BYTES) /* 65,511 */
#define DATAGRAM_MAX 65507  /* what UDP over IPv4 carries */
#define DATAGRAM_IDLE_S 120 /* a stream of datagrams without any */
#define EARLY_DATAGRAMS 4   /* kept for a target that is not there yet, of so many bytes in all */
#define EARLY_DATAGRAM_BYTES (8U << 10)
#define STREAMS_DEFAULT 1024  /* that a client may have open, unless the agent is configured */
#define STREAMS_MAX 16384     /* otherwise: at most */
#define AGENT_STREAMS_MAX 256 /* that an agent may have open for a client's listeners */
#define LISTENERS_DEFAULT 16  /* of a session, unless the agent is configured otherwise */
#define LISTENERS_MAX 256     /* that it can be configured for */
#define LISTEN_RATE_PER_S 10  /* of a session */
#define LISTEN_BURST 256
#define UDP_OPEN_RATE_PER_S 200 /* of a session */
#define UDP_OPEN_BURST 1024
#define CREDIT_MAX 0x7fffffffU
#define CONNECTS_IN_PROGRESS 64
#define TARGET_CONNECT_S 15

#endif
