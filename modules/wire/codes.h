/* The codes of refusals and ends on the wire, their texts, and the failures they are to a client.
 */
#ifndef SPX_WIRE_CODES_H
#define SPX_WIRE_CODES_H

#include "base/error.h"

/* WELCOME, REFUSE, REFUSED, BYE, session message 2 and CLOSE share these (section 3). */
enum code {
    CODE_OK = 0,
    CODE_UNKNOWN_KEY = 1,    /* the key is not in the receiver's configuration */
    CODE_WRONG_ROLE = 2,     /* the key is known, in another role */
    CODE_REVOKED = 3,        /* what was allowed is no longer */
    CODE_FULL = 4,           /* a limit is reached: later */
    CODE_VERSION = 5,        /* no common protocol version */
    CODE_UNSUPPORTED = 6,    /* an extension that must be understood is not */
    CODE_NO_AGENT = 7,       /* no such agent, or not permitted: one code */
    CODE_OFFLINE = 8,        /* the agent is not there */
    CODE_TIMEOUT = 9,        /* nobody answered in time */
    CODE_DENIED = 10,        /* the agent does not allow this user */
    CODE_WRONG_AGENT = 11,   /* another agent's name was asked for */
    CODE_NO_SESSION = 12,    /* resume of a session that is not known */
    CODE_ENDED = 13,         /* resume of a session that has ended */
    CODE_STALE = 14,         /* a circuit number not above the session's */
    CODE_PROTOCOL = 15,      /* the peer broke the protocol */
    CODE_INTERNAL = 16,      /* a failure on the sender's side */
    CODE_REPLACED = 17,      /* a newer hop of the same key took the place */
    CODE_SHUTDOWN = 18,      /* the sender is ending */
    CODE_BAD_HANDSHAKE = 19, /* session message 1 was not for this key, or not authentic */
    CODE_TICKET = 20,        /* the ticket is unknown, used or too old */
    CODE_DONE = 21,          /* CLOSE: the user is finished */
    CODE_RESUME_WINDOW = 22, /* the session was without a circuit for too long */
    CODE_NETWORK = 23,       /* local: the carrier failed; never on the wire */
};

/* "unknown key", …; "unknown code" for one that is not known. */
const char *code_text(enum code code);

/* The failure of a client that ends because of it; FAILURE_NONE for CODE_OK and CODE_DONE. */
enum failure code_failure(enum code code);

/* RESET's codes (section 5). */
enum reset_code {
    RESET_NONE = 0, /* local: a clean end; never on the wire */
    RESET_REFUSED = 1,
    RESET_UNREACHABLE = 2,
    RESET_TIMEOUT = 3,
    RESET_NOT_PERMITTED = 4,
    RESET_NO_NAME = 5,
    RESET_BY_TARGET = 6,
    RESET_LIMIT = 7,
    RESET_UNSUPPORTED = 8,
    RESET_INTERNAL = 9,
    RESET_SESSION_OVER = 10,   /* local: the whole session has ended; never on the wire */
    RESET_BY_APPLICATION = 11, /* local: this side's socket or file failed; never on the wire */
};

/* A text for people, also for a code that is not known. Static. */
const char *reset_code_text(enum reset_code code);

#define RESET_TEXT_BYTES 1088

/* A RESET for people: the code's text, then ": " and the peer's unless that says the same. */
void reset_to_text(char out[RESET_TEXT_BYTES], enum reset_code code, const char *text);

#endif
