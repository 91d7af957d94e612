/* The control messages of a hop and the payloads of both handshakes: their layout (docs/PROTOCOL.md
 * sections 3 and 5). */
#ifndef SPX_WIRE_MESSAGES_H
#define SPX_WIRE_MESSAGES_H

#include "wire/limits.h"
#include "wire/reader.h"

enum role { ROLE_CLIENT = 1, ROLE_AGENT = 2, ROLE_AGENT_CIRCUIT = 3, ROLE_RELAY = 4 };

enum message_type {
    MESSAGE_INFO = 1,
    MESSAGE_LIST = 2,
    MESSAGE_WATCH = 3,
    MESSAGE_AGENT = 4,
    MESSAGE_END = 5,
    MESSAGE_CONNECT = 6,
    MESSAGE_OFFER = 7,
    MESSAGE_ACCEPT = 8,
    MESSAGE_REFUSE = 9,
    MESSAGE_CONNECTED = 10,
    MESSAGE_REFUSED = 11,
    MESSAGE_CALL = 12,
    MESSAGE_PING = 13,
    MESSAGE_PONG = 14,
    MESSAGE_BYE = 15,
    MESSAGE_IGNORED_FROM = 128, /* unknown types from here up are ignored */
    MESSAGE_CALLS = 128,
    MESSAGE_HEARD = 129,
    MESSAGE_HEAD = 130, /* body: as the frame's (wire/frames.h) */
};

/* "INFO", …; "?" for an unknown type. */
const char *message_name(unsigned type);
const char *role_name(unsigned role);

/* Views point into the bytes that were decoded. A decoder returns false unless every field is
 * there, within its limit, and nothing is left over; *unsupported (where given) is the type of an
 * extension that must be understood and is not, or 0. Encoders write the body without its type and
 * return its length, 0 when it does not fit (every body has at least one byte, except END's, which
 * has no encoder). */

/* version (1) role (1) ticket (32), extensions: type EXTENSION_PERMIT, the outer part of a permit
 * with its signature (section 7), 1 to PERMIT_MAX_BYTES */
#define EXTENSION_PERMIT 32
struct hello {
    uint8_t version;
    uint8_t role; /* one of enum role, or the decoder fails */
    uint8_t ticket[TICKET_BYTES];
    struct view permit; /* not decoded; empty: the extension is missing */
};
size_t hello_encode(const struct hello *m, uint8_t *out, size_t size);
bool hello_decode(struct hello *m, struct view body, uint16_t *unsupported);

/* code (2) text; with code 0 also: version (1) name keepalive seconds (2) extensions */
struct welcome {
    enum code code;
    struct view text;
    uint8_t version;
    struct view name; /* what the responder knows the initiator by */
    uint16_t keepalive_s;
};
size_t welcome_encode(const struct welcome *m, uint8_t *out, size_t size);
bool welcome_decode(struct welcome *m, struct view body, uint16_t *unsupported);

#define INFO_FLAG_AES 1U
#define INFO_FLAG_CALLS 2U /* a relay: CALLS is taken, and answered by HEARD */
/* software version, flags (2), labels, extensions */
struct info {
    struct view version;
    uint16_t flags;
    struct view labels;
};
size_t info_encode(const struct info *m, uint8_t *out, size_t size);
bool info_decode(struct info *m, struct view body, uint16_t *unsupported);

/* LIST and WATCH: query */
size_t query_encode(struct view query, uint8_t *out, size_t size);
bool query_decode(struct view *query, struct view body);

/* number (4), severity (1), age seconds (4), taken by (a name, or empty), text */
struct told_call {
    uint32_t number;
    uint8_t severity; /* not 0 */
    uint32_t age_s;
    struct view taken_by; /* empty: nobody */
    struct view text;
};

/* count (1), so many calls, no two with one number other than 0 */
struct told_calls {
    size_t count;
    struct told_call all[CALLS_MAX];
};
#define TOLD_CALL_BYTES (4 + 1 + 4 + 2 + NAME_MAX_BYTES + 2 + TEXT_MAX_BYTES) /* at most */
#define TOLD_CALLS_BYTES (1 + CALLS_MAX * TOLD_CALL_BYTES)
size_t told_calls_encode(const struct told_calls *m, uint8_t *out, size_t size);
bool told_calls_decode(struct told_calls *m, struct view bytes);

/* The gravest, of several the one that stands longest; NULL: there is none. */
const struct told_call *told_calls_gravest(const struct told_calls *m);

/* CALLS: revision (4), calls. The encoding is the caller's, as told_calls_decode takes it. */
struct calls {
    uint32_t revision;
    struct view calls;
};
size_t calls_encode(const struct calls *m, uint8_t *out, size_t size);
bool calls_decode(struct calls *m, struct view body);

/* HEARD: revision (4) */
bool heard_decode(uint32_t *revision, struct view body);

enum agent_state {
    AGENT_OFFLINE = 0,
    AGENT_ONLINE = 1,
    AGENT_DIALLED = 2,
    AGENT_DUPLICATE = 3,
    AGENT_UNLISTED = 4, /* only to watchers: no longer in the list; nothing more is told of it */
};
/* The word that lists show for it, also of a state that is not known. Static. */
const char *agent_state_name(unsigned state);

/* name, key (32), flags (2), labels, state (1), age seconds (4): time in this state, severity (1),
 * call text, extensions: type AGENT_EXTENSION_CALLS, calls; type EXTENSION_PERMIT, an authority's
 * statement about the agent (section 7), 1 to VOUCH_MAX_BYTES */
#define AGENT_EXTENSION_CALLS 16
struct agent_entry {
    struct view name;
    uint8_t public_key[32];
    uint16_t flags;
    struct view labels;
    uint8_t state;
    uint32_t age_s;
    uint8_t severity; /* of its gravest call; 0: no call */
    struct view call_text;
    struct view calls; /* all, as told_calls_decode takes them; empty: the extension is missing */
    struct view vouch; /* not decoded; empty: the extension is missing */
};
size_t agent_entry_encode(const struct agent_entry *m, uint8_t *out, size_t size);
bool agent_entry_decode(struct agent_entry *m, struct view body, uint16_t *unsupported);

/* name, then session message 1 (the rest; at least 1 byte, at most SESSION_MESSAGE1_MAX) */
struct connect {
    struct view agent;
    struct view message1;
};
size_t connect_encode(const struct connect *m, uint8_t *out, size_t size);
bool connect_decode(struct connect *m, struct view body);

/* ticket (32), user name, user key (32), user's address, session message 1 as length (2) and bytes,
 * extensions */
struct offer {
    uint8_t ticket[TICKET_BYTES];
    struct view user;
    uint8_t user_key[32];
    struct view user_address;
    struct view message1;
};
size_t offer_encode(const struct offer *m, uint8_t *out, size_t size);
bool offer_decode(struct offer *m, struct view body, uint16_t *unsupported);

/* ACCEPT and CONNECTED: the body is session message 2, 1 to SESSION_MESSAGE2_MAX bytes. */
bool message2_decode(struct view *message2, struct view body);

/* REFUSE: ticket (32), then as REFUSED: code (2), text, retry seconds (2), session message 2 (the
 * rest, may be empty) */
struct refusal {
    uint8_t ticket[TICKET_BYTES]; /* REFUSE only */
    enum code code;
    struct view text;
    uint16_t retry_s;
    struct view message2;
};
size_t refuse_encode(const struct refusal *m, uint8_t *out, size_t size);
bool refuse_decode(struct refusal *m, struct view body);
size_t refused_encode(const struct refusal *m, uint8_t *out, size_t size);
bool refused_decode(struct refusal *m, struct view body);

/* severity (1; 0 clears, then the text is empty), text */
struct call {
    uint8_t severity;
    struct view text;
};
size_t call_encode(const struct call *m, uint8_t *out, size_t size);
bool call_decode(struct call *m, struct view body);

/* PING and PONG: 8 bytes */
bool ping_decode(uint8_t out[8], struct view body);

/* code (2), text, retry seconds (4) */
struct bye {
    enum code code;
    struct view text;
    uint32_t retry_s;
};
size_t bye_encode(const struct bye *m, uint8_t *out, size_t size);
bool bye_decode(struct bye *m, struct view body);

/* Session handshake payload 1 (section 5): version (1) flags (2) agent name, session id (16),
 * circuit number (4), receive position (8), receive limit (4), ring (4), streams (2), extensions:
 * type HELLO_EXTENSION_TAKES, bits (1 and what later versions add); type HELLO_EXTENSION_REASON,
 * UTF-8 of 1 to REASON_MAX_BYTES; type HELLO_EXTENSION_EMERGENCY, UTF-8 of 1 to
 * EMERGENCY_MAX_BYTES; type EXTENSION_PERMIT, a permit (section 7), 1 to PERMIT_MAX_BYTES */
#define HELLO_EXTENSION_TAKES 16
#define HELLO_EXTENSION_REASON 17
#define HELLO_EXTENSION_EMERGENCY 20
#define HELLO_TAKES_ACCESS 1U
#define HELLO_TAKES_WAITING 2U /* it opens nothing until it is granted what it asks for */
struct session_hello {
    uint8_t version;
    uint16_t flags;
    struct view agent;
    uint8_t session_id[SESSION_ID_BYTES];
    uint32_t circuit;
    uint64_t receive_position;
    uint32_t receive_limit;
    uint32_t ring;
    uint16_t streams;
    uint8_t takes;         /* HELLO_TAKES_*; 0: the extension is missing */
    struct view reason;    /* the user's words, not clean; empty: the extension is missing */
    struct view emergency; /* an emergency code as it was typed; empty: the extension is missing */
    struct view permit;    /* not decoded; empty: the extension is missing */
};
size_t session_hello_encode(const struct session_hello *m, uint8_t *out, size_t size);
bool session_hello_decode(struct session_hello *m, struct view body, uint16_t *unsupported);

/* Session handshake payload 2: code (2) text; with code 0 also: version (1) session id (16),
 * receive position (8), receive limit (4), ring (4), streams (2), early credit (4), resume window
 * seconds (4), extensions: type WELCOME_EXTENSION_WAITS, bits (1 and what later versions add) */
#define WELCOME_EXTENSION_WAITS 16
#define WELCOME_WAITS 1U
struct session_welcome {
    enum code code;
    struct view text;
    uint8_t version;
    uint8_t session_id[SESSION_ID_BYTES];
    uint64_t receive_position;
    uint32_t receive_limit;
    uint32_t ring;
    uint16_t streams;
    uint32_t early_credit;
    uint32_t resume_window_s;
    bool waits; /* from START on, until ACCESS says more; false: the extension is missing */
};
size_t session_welcome_encode(const struct session_welcome *m, uint8_t *out, size_t size);
bool session_welcome_decode(struct session_welcome *m, struct view body, uint16_t *unsupported);

/* True if a peer's name keeps section 6's rule for names. Every name in these messages does, or its
 * decoder fails. */
bool name_valid(struct view name);

/* A string for which name_valid holds, else the reader fails. */
struct view read_name(struct reader *r);

#endif
