/* The sessions that the agent serves, each from its first OFFER to its end, over one circuit after
 * another. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/attachment.h"
#include "agent/state.h"
#include "session/session.h"

struct targets;
struct remote_listeners;

/* An authentic session message 1. */
struct admission {
    const uint8_t *user_key;  /* that it proves */
    const uint8_t *relay_key; /* that it came through */
    const struct session_hello *hello;
    const struct attempt *earlier; /* NULL: it was not admitted before */
    const char *label, *circuit;   /* of its circuit: its label, its name */
    const char *from;              /* the client's address, as the relay says; clean */
};

/* A circuit for the session that an authentic session message 1 asks for, new or resumed, within
 * the limits (docs/PROTOCOL.md sections 5 and 6); the caller gives it its carrier. Without a user
 * with this key in the configuration there is no session, whatever a policy has said. NULL: no says
 * why. */
struct attachment *service_admit(struct agent *a, const struct admission *in,
                                 struct wire_error *no);

/* The name of its session's user, to show. */
const char *service_user_name(const struct service *v);

/* True if the session of an earlier message 1 still waits for a START that it may bring. */
bool service_awaits(struct agent *a, const struct attempt *earlier);

/* Ends what the configuration as it is now no longer allows: sessions, or of a session the streams
 * and listeners that its user may have no longer. */
void service_check_all(struct agent *a);

/* The calls for help are on disk, as users who have taken one may hear now. */
void service_calls_stored(struct agent *a);

/* Whose a session is, and how it comes here. */
struct service_party {
    const char *user;
    const uint8_t *user_key;
    const char *reason;       /* the user's words; "": none */
    const char *circuit;      /* the label of its newest circuit */
    const char *from;         /* the client's address, as the relay says; "": it has no circuit */
    const uint8_t *relay_key; /* NULL: it has no circuit */
};

/* A session that has started, as it stands; valid until it changes. */
struct service_facts {
    uint32_t number; /* from 1, in the order in which they started */
    struct service_party party;
    uint64_t begun_us, waiting_since_us; /* the latter 0: it has one */
    uint64_t idle_since_us;              /* its streams have carried nothing since */
    struct session_summary carried;
    bool is_closing;
    const struct targets *targets;
    const struct remote_listeners *listeners;
};

/* The first one whose number is above `after`. False: there is none. */
bool service_next(const struct agent *a, uint32_t after, struct service_facts *out);

/* Ends the session of this number (0: any), of this user (NULL: any), by CLOSE with a text for the
 * user; also those that ask for approval, and those that have not started. Returns how many, but
 * for the last. */
unsigned service_end_by_order(struct agent *a, uint32_t number, const char *user, const char *text);

/* The agent's quota.run: ends the sessions of users who have caused too many entries of the audit.
 */
void service_end_spent(struct deferred *quota);

/* ---- Those that wait for approval. ---- */

/* A request as it stands; valid until it changes. */
struct request_facts {
    uint32_t number;
    struct service_party party;
    uint64_t asked_us;
    uint32_t left_s; /* until it lapses */
    bool is_away, is_approved;
};

/* The first one whose number is above `after`. False: there is none. */
bool service_next_request(const struct agent *a, uint32_t after, struct request_facts *out);

/* True if a request, by its number, may be approved: it waits, and lock, rules and places allow the
 * session now. False: e says what is in the way. */
bool service_may_grant(struct agent *a, uint32_t number, struct error *e);

/* Writes into the audit that it is approved, by whom, and for how long its key need not ask (0:
 * this session alone). Returns as audit_write. */
uint64_t service_note_approval(struct agent *a, uint32_t number, const char *by, uint32_t for_s);

/* Grants it, after service_may_grant. False: its client is away; it is granted when that is back.
 */
bool service_grant(struct agent *a, uint32_t number, const char *by, uint32_t for_s);

/* Denies it; its key may not ask for a while. False: there is none with this number. */
bool service_deny(struct agent *a, uint32_t number, const char *by, const char *why);

/* Ends it, as one that is refused, with this text. Harmless if there is none. */
void service_end_request(struct agent *a, uint32_t number, const char *text);

/* True if nothing has changed since that configuration, which has been reloaded, for the user with
 * this key and name, of the file or by a permit. */
bool service_is_same_user(const struct agent *a, const uint8_t key[KEY_BYTES], const char *name,
                          const struct agent_config *old);

/* Ends those of users for whom anything has changed since that configuration. */
void service_end_changed_requests(struct agent *a, const struct agent_config *old);

/* ---- All. ---- */

/* The audit's on_head: those who are owed a head get it. */
void service_head_signed(void *agent, struct view head);

/* Logs a line for each session that has started. */
void service_log_all(const struct agent *a);

/* Sends CLOSE on every session. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends all sessions at once, and forgets those that have ended. */
void service_end_all(struct agent *a);

#endif
