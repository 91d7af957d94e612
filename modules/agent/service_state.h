/* The parts of a session that the files about it share: service*.c, and nobody else. */
#ifndef SPX_AGENT_SERVICE_STATE_H
#define SPX_AGENT_SERVICE_STATE_H

#include "agent/access.h"
#include "agent/guest.h"
#include "agent/requests.h"
#include "agent/shares.h"
#include "agent/term.h"
#include "audit/note.h"
#include "session/session.h"
#include "session/teardown.h"

struct admission;
struct attachment;
struct attachment_events;

#define QUOTED_REASON_BYTES (REASON_MAX_BYTES + 3)
#define NO_AUDIT_TEXT "the agent's audit cannot be written"
#define FULL_OF_GUESTS_TEXT "too many sessions by permit are open at this agent"

/* candidate: accepted, its START still to come; current: carries the session. Without a current one
 * the session waits. */
struct service {
    struct seat seat;
    struct agent *agent;
    struct session *session;
    struct guest *guest; /* of the permit that it is by, or NULL */
    struct access access;
    struct session_events events; /* on_stream only with an audit */
    struct audit_subject subject;
    struct share *share;
    struct meter *meter; /* of what its user takes of the audit */
    bool head_due;       /* its client is owed a head of the audit */
    struct attachment *current, *candidate;
    uint32_t number;                 /* in the order in which they started; 0: not yet */
    char label[CIRCUIT_LABEL_BYTES]; /* of the newest circuit */
    uint64_t begun_us;
    char reason[REASON_MAX_BYTES + 1];       /* the user's words; "": none. Clean */
    char emergency[EMERGENCY_MAX_BYTES + 1]; /* the code that it gave, until START; "": none */
    bool awaits_grant;                       /* its client does, until it is told that it is */
    struct asked_request request;            /* with a number while it waits for approval */
    char request_text[12];                   /* that number */
    struct term term;                        /* from its start, or the grant, on */
    enum code ended_as;                      /* for a client that resumes it when it has ended */
    struct timer give_up;     /* waiting for its client, or for the ACK of its CLOSE */
    struct teardown teardown; /* of its streams, once nothing passes through it any more */
    bool over;                /* it has no place any more, only streams that have to end */
};

/* ---- service.c ---- */

/* Whose seat stands at this place of a list of seats. */
struct service *service_of_seat(struct list *place);

/* Its user as things are now: by the file, or else by the permit. NULL: nothing any more. */
const struct agent_user *service_user(const struct service *v);

/* An event's fields in the log; counted: with what it has carried. */
struct log_fields service_fields(const struct service *v, const char *event);
struct log_fields service_counted_fields(const struct service *v, const char *event);

/* A session for an admission, on its seat and without a circuit. NULL without memory. */
struct service *service_new(struct agent *a, const struct agent_user *user,
                            const struct admission *in);

/* Its attachments' events. */
extern const struct attachment_events service_attachment_events;

/* Ends a circuit, which is not its session's any more. */
void service_let_go(struct service *v, struct attachment *t);

/* Its circuit, or the one accepted last, has ended: it waits for its client. */
void service_circuit_lost(struct service *v, const char *why);
void service_candidate_lost(struct service *v, const char *why);

/* Sends CLOSE, or without a circuit ends at once; v may be gone then. */
void service_close(struct service *v, enum code code, const char *text);

/* Ends at once, without CLOSE; v may be gone then. */
void service_end(struct service *v, const char *why);

/* Its streams have ended, or nobody waits for that any more. */
void service_free(struct service *v);

/* It has started, or is granted what it asked for: it is one of its user's and the agent's from now
 * on. It may be closing then. */
void service_enter(struct service *v);

/* ---- service_admit.c ---- */

/* How many of the sessions that have started, and wait for no approval, are by permit. */
unsigned service_guests(const struct agent *a);

/* ---- service_code.c ---- */

/* Its request is approved by the code that its client gave, when that is on disk; without one
 * nothing happens. False: e says why the session is to be refused. */
bool service_use_code(struct service *v, struct error *e);

/* ---- service_ask.c ---- */

/* START has come: it takes a seat, and may have to ask. */
void service_take_place(struct service *v);

/* Asks for approval, or is closing then. */
void service_ask(struct service *v);

/* Its client has gone, or is back; then a grant takes effect that was given meanwhile. */
void service_ask_away(struct service *v);
void service_ask_back(struct service *v);

/* How long it may still wait, in seconds. */
uint32_t service_ask_left_s(const struct service *v);

/* It is over: it waits no longer. Harmless if it does not. */
void service_ask_over(struct service *v);

/* Looks at its request; it may be closing then. Returns when to look again. */
uint64_t service_ask_look(struct service *v);

/* ---- service_notes.c ---- */

/* Writes an entry about it. by: who decided, or NULL. */
void service_note(struct service *v, const struct log_fields *f, const char *by);
void service_note_stream(struct service *v, const struct stream_report *report);

/* An entry was written that its user has caused. */
void service_count_entry(struct service *v);

/* It has begun by a permit: why that was issued is said. Harmless without one. */
void service_note_permit(struct service *v);

/* False: the user has caused all the entries that are allowed in a day; no says so. */
bool service_quota_permits(struct agent *a, const uint8_t user_key[KEY_BYTES],
                           struct wire_error *no);

/* ---- service_all.c ---- */

/* Valid until it changes. */
struct service_party service_party_of(const struct service *v);

/* ---- service_heads.c ---- */

/* Its client and the relays get a head of the audit once all that is written now is signed. */
void service_want_head(struct service *v);

/* The session's on_head. */
void service_take_head(struct session *s, struct view head);

/* ---- service_rules.c ---- */

/* It starts: its user's rules for the begin are held against now, and those for its end from now
 * on. It may be closing then. */
void service_begin_term(struct service *v);

/* Looks at the rules of all sessions then, in a round of its own. */
void service_look_at_terms(struct agent *a, uint64_t at_us);

#endif
