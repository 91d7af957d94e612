/* The lines about a connection, and its line of state on a terminal. The lines that relays and the
 * agent can cause have one rate. */
#ifndef SPX_CLIENT_REPORT_H
#define SPX_CLIENT_REPORT_H

#include "audit/note.h"
#include "base/error.h"
#include "base/log_rates.h"
#include "config/values.h"
#include "crypto/circuit_label.h"
#include "net/loop.h"
#include "session/session.h"

#define UNTIL_TEXT_BYTES 40   /* " until Mon 2026-11-30 18:00 +01:00" */
#define REQUEST_TEXT_BYTES 32 /* of a request's code, which is shorter */

/* The owner reads prefix and peers, which streams and listeners need for their lines. */
struct report {
    struct loop *loop;
    const char *agent;
    unsigned row;                     /* of its line of state */
    char prefix[NAME_TEXT_BYTES + 2]; /* of log lines: "" when there is one connection only */
    char label[CIRCUIT_LABEL_BYTES], before[CIRCUIT_LABEL_BYTES]; /* of the newest circuit, and of
                                                                     the one before */
    struct log_rates log;
    struct log_party peers;   /* in it: the relays and the agent, as one */
    struct log_fields fields; /* of every line: the agent and the label */
    struct audit *audit;      /* or NULL */
    struct audit_subject subject;
    bool has_session; /* which has begun, for the audit */
    struct timer sweep;
    uint64_t begun_us, session_begun_us;
    uint64_t waiting_us; /* since when the session waits for approval; 0: it does not */
    bool silence_told;   /* since the last circuit */
    bool request_told;
    bool gives_code;                  /* an emergency code stands in place of the approval */
    char until[UNTIL_TEXT_BYTES];     /* when the agent ends the session; "": not told */
    char request[REQUEST_TEXT_BYTES]; /* the code of its request; "": it has none, or not yet */
    /* Of the sessions that have ended. */
    uint64_t sent, received;
    unsigned streams;
};

/* alone: lines need not name the agent. The agent's name is the caller's. */
void report_init(struct report *r, struct loop *loop, const char *agent, unsigned row, bool alone);

/* From now on this audit keeps what is reported, as of the user with this key. */
void report_audit(struct report *r, struct audit *audit, const uint8_t own_key[KEY_BYTES]);

/* For session_events.on_stream, with an audit. */
void report_stream(struct report *r, const struct stream_report *stream);

/* The agent has told a head of its audit; rate: of those that are taken. */
void report_head(struct report *r, struct rate *rate, const uint8_t agent_key[KEY_BYTES],
                 struct view head);

/* From now on time counts, and what the log leaves out is told every few seconds. */
void report_begin(struct report *r);

/* There is another circuit, with this label and this name, through the relay with this key. No
 * line. */
void report_circuit(struct report *r, const char *label, const char *circuit,
                    const uint8_t relay_key[KEY_BYTES]);

/* This session has begun on the circuit, through this relay. */
void report_connected(struct report *r, const struct session *s, const char *relay);

/* The session goes on, on the circuit. lost_us: since when it had none that worked. */
void report_resumed(struct report *r, const char *relay, uint64_t lost_us);

/* The circuit stalls, and another one is opened beside it. */
void report_stalled(struct report *r);

/* The circuit is lost, and the session resumes. pause_us, here and below: until the next try;
 * CLOCK_NEVER: there is none, or it is under way. */
void report_lost(struct report *r, const char *why, uint64_t pause_us);

/* A try failed; the error is told in these words. label: of the circuit that was asked for; NULL:
 * the relay itself did not let this one in. */
void report_failed(struct report *r, enum log_level level, const char *relay, const char *label,
                   const struct wire_error *error, const char *words, uint64_t pause_us);

/* The same for the audit, where each try counts: the circuit of this name was refused by the agent,
 * or by the relay with this key. */
void report_refused(struct report *r, const char *circuit, const uint8_t relay_key[KEY_BYTES],
                    bool by_agent, const struct wire_error *error);

/* A try takes long: told once until there is a circuit. had_session: it is waited for without an
 * end. */
void report_silence(struct report *r, const char *who, const char *what, bool had_session);

/* The session that has begun waits for approval, for which the user gave this reason, or NULL, and
 * if gives_code an emergency code. Once for each session. */
void report_waiting(struct report *r, const char *reason, bool gives_code);

/* The agent says by which code the session can be approved, that it is, or how long it may go on.
 */
void report_access(struct report *r, const struct access_frame *access);

/* This session ends, with the error that it has. */
void report_session_over(struct report *r, const struct session *s, uint64_t pause_us);

/* This session is freed: its counts are added. */
void report_add(struct report *r, const struct session *s);

/* Shows the line of state; s: the session there is, or NULL. */
void report_show(const struct report *r, const struct session *s, const char *state);

/* The same as a line of the log. */
void report_log(const struct report *r, const struct session *s, const char *state);

/* Logs what was left out and the last line, without counts if there was no stream, and removes the
 * line of state. code: of the refusal that ended it; CODE_OK: none did. */
void report_end(struct report *r, enum failure failure, enum code code, const char *why);

#endif
