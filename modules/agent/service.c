/* The life of a session: its circuits, its client and its user's permissions. The decision that it
 * may begin is made in agent/answer.c. */
#include "agent/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/access.h"
#include "agent/budget.h"
#include "agent/ended.h"
#include "agent/policy.h"
#include "agent/shares.h"
#include "agent/term.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "forward/stream_audit.h"
#include "session/session.h"
#include "session/teardown.h"

#define NO_AUDIT_TEXT "the agent's audit cannot be written"

/* candidate: accepted, its START still to come; current: carries the session. Without a current one
 * the session waits. */
struct service {
    struct seat seat;
    struct agent *agent;
    struct session *session;
    struct access access;
    struct session_events events; /* on_stream only with an audit */
    struct audit_subject subject;
    struct share *share;
    struct attachment *current, *candidate;
    uint32_t number;                 /* in the order in which they started; 0: not yet */
    char label[CIRCUIT_LABEL_BYTES]; /* of the newest circuit */
    uint64_t begun_us;
    struct term term;         /* from its start on */
    enum code ended_as;       /* for a client that resumes it when it has ended */
    struct timer give_up;     /* waiting for its client, or for the ACK of its CLOSE */
    struct teardown teardown; /* of its streams, once nothing passes through it any more */
    bool over;                /* it has no place any more, only streams that have to end */
};

static struct service *service_of_seat(struct list *place)
{
    return container_of(place, struct service, seat.place);
}

/* Whose its lines in the log are: the user's own from START on, which a recording cannot cause. */
static void party_of(const struct service *v, uint8_t out[LOG_PARTY_BYTES])
{
    if (v->seat.started)
        memcpy(out, v->seat.user_key, LOG_PARTY_BYTES);
    else
        agent_party(v->agent, out, v->seat.relay_key, v->seat.user_key);
}

static struct log_fields fields_of(const struct service *v, const char *event)
{
    struct log_fields f = v->access.fields;
    f.event = event;
    return f;
}

static struct log_fields counted_fields(const struct service *v, const char *event)
{
    struct session_summary summary = session_summary(v->session);
    struct log_fields f = fields_of(v, event);
    f.counted = true;
    f.streams = summary.streams_opened;
    f.bytes_up = summary.bytes_received;
    f.bytes_down = summary.bytes_sent;
    f.duration_us = loop_now(v->agent->loop) - v->begun_us;
    return f;
}

/* ---- The end of a session. ---- */

static void let_go(struct service *v, struct attachment *t)
{
    if (v->current == t)
        v->current = NULL;
    if (v->candidate == t)
        v->candidate = NULL;
    attachment_end(t);
}

static void service_free(struct service *v)
{
    teardown_stop(&v->teardown);
    session_free(v->session);
    access_free(&v->access);
    share_leave(v->share);
    list_remove(&v->seat.place);
    free(v);
}

static void on_ended(struct teardown *t)
{
    struct service *v = container_of(t, struct service, teardown);
    if (v->over)
        service_free(v);
}

static void service_end(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    uint8_t party[LOG_PARTY_BYTES];
    struct log_fields f = counted_fields(v, "session_ended");
    char totals[LOG_TOTALS_BYTES];
    f.code = session_error(v->session)->code;
    f.reason = why;
    log_fields_totals(totals, &f);
    party_of(v, party);
    log_caused_event(&a->log, party, loop_now(a->loop), LOG_INFO, &f,
                     "circuit %s: ended: %s; user %s, %u stream%s, %s", v->label, why,
                     v->access.user, f.streams, f.streams == 1 ? "" : "s", totals);
    if (v->seat.started) {
        struct audit_entry e = v->subject.entry;
        e.by = session_state(v->session) == SESSION_CLOSED ? "client" : "agent";
        audit_note(a->audit, &f, &e);
    }
    if (v->seat.started)
        ended_remember(&a->ended, session_id(v->session), v->seat.user_key, v->ended_as, why,
                       loop_now(a->loop));
    if (v->candidate)
        let_go(v, v->candidate);
    if (v->current)
        let_go(v, v->current);
    timer_cancel(a->loop, &v->give_up);
    seats_leave(&a->seats, &v->seat);
    v->over = true;
    list_append(&a->over, &v->seat.place);
    if (teardown_begin(&v->teardown))
        service_free(v);
    if (seats_are_empty(&a->seats))
        a->on_no_session(a);
}

/* ---- A session's circuits come and go. ---- */

static void on_give_up(struct timer *timer)
{
    struct service *v = container_of(timer, struct service, give_up);
    service_end(v, session_state(v->session) == SESSION_CLOSING
                       ? session_reason(v->session)
                       : "no circuit came back within the resume window");
}

/* Sends CLOSE on the current circuit, and limits the wait for its ACK. */
static void close_current(struct service *v, enum code code, const char *text)
{
    if (session_state(v->session) != SESSION_ACTIVE)
        return;
    session_close(v->session, code, text);
    timer_set(v->agent->loop, &v->give_up,
              loop_now(v->agent->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
    teardown_begin(&v->teardown);
}

/* A session has started, which a recording cannot cause. If its user now has one too many, the one
 * that has waited for its client longest ends, or else this one. */
static void keep_to_limit(struct service *v)
{
    struct agent *a = v->agent;
    struct seat *oldest;
    if (!budget_has_room(&a->seats)) {
        close_current(v, CODE_FULL, "the sessions of this agent have no memory left");
        return;
    }
    if (!seats_too_many(&a->seats, v->seat.user_key))
        return;
    oldest = seats_longest_waiting(&a->seats, v->seat.user_key);
    if (oldest)
        service_end(container_of(oldest, struct service, seat),
                    "it was without a circuit, and the user has too many sessions");
    else
        close_current(v, CODE_FULL, "too many sessions are open at this agent");
}

static void circuit_lost(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    struct log_fields f = fields_of(v, "session_lost");
    uint8_t party[LOG_PARTY_BYTES];
    f.reason = why;
    party_of(v, party);
    log_caused_event(&a->log, party, loop_now(a->loop), LOG_INFO, &f,
                     "circuit %s: lost: %s; the session of %s waits up to %u s for its client",
                     v->label, why, v->access.user, session_resume_window_s(v->session));
    if (v->seat.started || !v->seat.waiting_since_us) {
        v->seat.waiting_since_us = loop_now(a->loop);
        timer_set(a->loop, &v->give_up,
                  v->seat.waiting_since_us + session_resume_window_s(v->session) * CLOCK_US_PER_S);
    }
    a->on_path_in_doubt(a);
}

/* A circuit ended before its START. The client may have message 2 and resume with data that its
 * applications have sent already. */
static void candidate_lost(struct service *v, const char *why)
{
    if (!v->seat.started && !v->candidate)
        circuit_lost(v, why);
}

/* The reason for the end of the circuit or session; a CLOSE says more than the circuit. */
static const char *reason_of(const struct service *v, const struct circuit_driver *driver)
{
    const char *reason = session_reason(v->session);
    return reason[0] ? reason : driver->circuit.failed.text;
}

static void on_change(struct attachment *t)
{
    struct service *v = t->service;
    bool current = t == v->current;
    char why[ERROR_TEXT_BYTES];
    snprintf(why, sizeof why, "%s", reason_of(v, &t->driver));
    if (session_error(v->session)->code) {
        if (v->current)
            circuit_driver_part(&v->current->driver, &v->agent->partings);
        service_end(v, why);
        return;
    }
    let_go(v, t);
    if (!current)
        candidate_lost(v, why);
    else if (session_state(v->session) == SESSION_ACTIVE)
        circuit_lost(v, why);
    else if (!v->agent->stopping)
        service_end(v, why); /* a client that resumes is told the reason */
}

static void on_dropped(struct service *v, const struct attachment *t)
{
    if (v->candidate == t)
        v->candidate = NULL;
    candidate_lost(v, "its connection to the relay was lost");
}

static const struct attachment_events attachment_events = {.on_change = on_change,
                                                           .on_dropped = on_dropped};

/* The current circuit is a new one, and the session begins or goes on with it. */
static void log_move(const struct service *v, bool first, bool at_once)
{
    struct log_fields f = fields_of(v, first ? "session_began" : "session_resumed");
    uint64_t now = loop_now(v->agent->loop);
    char time[24];
    f.circuit = v->current->label;
    audit_note(v->agent->audit, &f, &v->subject.entry);
    if (first) {
        log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                         "circuit %s: session of user %s has begun", f.circuit, f.user);
        return;
    }
    f.resumes = v->label;
    text_duration(time, now - v->seat.waiting_since_us);
    log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                     "circuit %s: resumes the session of circuit %s, user %s%s%s", f.circuit,
                     v->label, f.user, at_once ? "" : ", after ", at_once ? "" : time);
}

static void service_close(struct service *v, enum code code, const char *text)
{
    if (v->current)
        close_current(v, code, text);
    else
        service_end(v, text); /* a client that resumes is told the reason */
}

/* ---- Its user's rules for its end. ---- */

/* To the client, if it takes that. */
static void tell(struct service *v, enum access_state state, const struct rules *rules,
                 const struct ending *ending)
{
    char text[TERM_TEXT_BYTES];
    struct access_frame access = {.state = (uint8_t)state};
    term_text(text, v->agent, rules, ending);
    if (ending->rule != RULE_NONE && ending->at_wall > 0)
        access.until_s = (uint64_t)ending->at_wall;
    access.text = view_of_string(text);
    session_tell_access(v->session, &access);
}

static void announce(struct service *v, const struct rules *rules, const struct ending *ending)
{
    struct log_fields f = fields_of(v, "session_ends");
    uint64_t now = loop_now(v->agent->loop);
    char text[TERM_TEXT_BYTES], rule[ENDING_TEXT_BYTES], left[24];
    term_text(text, v->agent, rules, ending);
    ending_text(rule, ending, rules);
    text_duration(left, ending->at_us - now);
    f.reason = rule;
    log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                     "circuit %s: session of user %s ends in %s, at %s", v->label, v->access.user,
                     left, text);
    tell(v, ACCESS_ENDING, rules, ending);
}

static void end_by_rule(struct service *v, const struct rules *rules, const struct ending *ending)
{
    char rule[ENDING_TEXT_BYTES], text[ENDING_TEXT_BYTES + 32];
    ending_text(rule, ending, rules);
    snprintf(text, sizeof text, "ended by %s", rule);
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, text);
}

/* When it is to be looked at again. */
static uint64_t check_term(struct service *v)
{
    const struct agent_user *user = agent_find_user(v->agent, v->seat.user_key);
    struct session_summary carried = session_summary(v->session);
    struct ending ending;
    uint64_t next_us;
    enum term_step step;
    if (!user || session_state(v->session) != SESSION_ACTIVE)
        return CLOCK_NEVER;
    step = term_look(&v->term, v->agent, &user->given.rules,
                     carried.bytes_sent + carried.bytes_received, &ending, &next_us);
    if (step == TERM_TELL)
        tell(v, ACCESS_GRANTED, &user->given.rules, &ending);
    if (step == TERM_ANNOUNCE)
        announce(v, &user->given.rules, &ending);
    if (step == TERM_OVER)
        end_by_rule(v, &user->given.rules, &ending);
    return step == TERM_OVER ? CLOCK_NEVER : next_us;
}

static void check_terms(struct agent *a)
{
    uint64_t first_us = CLOCK_NEVER;
    list_each (link, &a->seats.all) {
        uint64_t next_us = check_term(service_of_seat(link));
        first_us = next_us < first_us ? next_us : first_us;
    }
    timer_set(a->loop, &a->terms, first_us);
}

static void on_terms(struct timer *timer)
{
    check_terms(container_of(timer, struct agent, terms));
}

/* Looks at those of all sessions then, in a round of its own. */
static void look_at_terms(struct agent *a, uint64_t at_us)
{
    a->terms.on_fire = on_terms;
    timer_set(a->loop, &a->terms, at_us);
}

/* ---- It starts, on a circuit, and what it is asked there. ---- */

/* Between its accepted OFFER and its START the clock and the configuration have gone on. */
static void begin_term(struct service *v)
{
    struct agent *a = v->agent;
    const struct agent_user *user = agent_find_user(a, v->seat.user_key);
    struct wire_error no = {0};
    term_begin(&v->term, loop_now(a->loop));
    if (!user || policy_may_begin(a, user, &no)) {
        look_at_terms(a, loop_now(a->loop));
        return;
    }
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, no.text);
}

/* START has arrived on the candidate: it is the session's circuit now. */
static void on_move(struct session *s, struct circuit *circuit)
{
    struct service *v = session_owner(s);
    struct attachment *old = v->current;
    bool first = !v->seat.started;
    v->current = container_of(circuit, struct attachment, driver.circuit);
    if (v->candidate == v->current)
        v->candidate = NULL;
    audit_subject_circuit(&v->subject, v->current->circuit, v->current->relay_key);
    log_move(v, first, old != NULL);
    seats_start(&v->agent->seats, &v->seat);
    v->seat.waiting_since_us = 0;
    snprintf(v->label, sizeof v->label, "%s", v->current->label);
    access_set_label(&v->access, v->label);
    remote_listeners_resume(v->access.listeners);
    if (session_state(s) == SESSION_ACTIVE)
        timer_cancel(v->agent->loop, &v->give_up);
    if (old)
        let_go(v, old);
    if (!first)
        return;
    v->number = ++v->agent->sessions_started;
    keep_to_limit(v);
    begin_term(v);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct service *v = session_owner(s);
    if (audit_permits(v->agent->audit))
        access_open(&v->access, stream, target);
    else
        stream_reset(stream, RESET_INTERNAL, NO_AUDIT_TEXT);
}

static void on_listen(struct session *s, struct stream *listener, struct view address)
{
    struct service *v = session_owner(s);
    if (!audit_permits(v->agent->audit))
        stream_reset(listener, RESET_INTERNAL, NO_AUDIT_TEXT);
    else
        remote_listeners_add(v->access.listeners, listener, address);
}

static bool may_connect(void *service)
{
    const struct service *v = service;
    return audit_permits(v->agent->audit);
}

/* Whose listener is at the address; NULL: none of the agent's sessions'. */
static struct service *find_listening(const struct agent *a, const struct address *address)
{
    list_each (link, &a->seats.all) {
        struct service *v = service_of_seat(link);
        if (remote_listeners_hold(v->access.listeners, address))
            return v;
    }
    return NULL;
}

/* An address that a session's client wants to listen on is in use: a session of the same user that
 * waits for its client, who may have died, gives way. */
static bool on_taken(void *service, const struct address *address, struct error *why)
{
    const struct service *v = service;
    struct service *holder = find_listening(v->agent, address);
    if (!holder)
        return false;
    if (memcmp(holder->seat.user_key, v->seat.user_key, KEY_BYTES) != 0)
        return error_set(why, FAILURE_OTHER, "a session of another user listens there");
    if (holder == v)
        return error_set(why, FAILURE_OTHER, "this session listens there already");
    if (!holder->seat.waiting_since_us)
        return error_set(why, FAILURE_OTHER,
                         "another session of yours listens there, with circuit %s", holder->label);
    remote_listeners_give_way(holder->access.listeners, address);
    return true;
}

static void on_room(struct session *s)
{
    struct service *v = session_owner(s);
    remote_listeners_resume(v->access.listeners);
}

static void on_wake(struct session *s)
{
    struct service *v = session_owner(s);
    if (v->current)
        circuit_driver_wake(&v->current->driver);
}

static bool may_grow(struct session *s, size_t more)
{
    const struct service *v = session_owner(s);
    return budget_ring_may_grow(&v->agent->seats, s, more);
}

static bool may_widen(struct session *s, uint32_t more)
{
    const struct service *v = session_owner(s);
    return budget_windows_may_grow(&v->agent->seats, s, more);
}

/* A lost path is lost for the control hop too: it is probed at the same time, not afterwards. */
static void on_silence(struct session *s)
{
    struct service *v = session_owner(s);
    v->agent->on_path_in_doubt(v->agent);
}

/* The client may already be trying another circuit, which needs the relay. */
static void on_stall(struct session *s, uint64_t since_us)
{
    struct service *v = session_owner(s);
    (void)since_us;
    v->agent->on_path_in_doubt(v->agent);
}

static void on_stream(struct session *s, const struct stream_report *report)
{
    const struct service *v = session_owner(s);
    stream_audit_note(v->agent->audit, false, loop_now(v->agent->loop), &v->subject.entry, report);
}

static const struct session_events events = {
    .on_open = on_open,
    .on_listen = on_listen,
    .on_wake = on_wake,
    .on_move = on_move,
    .on_room = on_room,
    .may_grow = may_grow,
    .may_widen = may_widen,
    .on_silence = on_silence,
    .on_stall = on_stall,
};

/* ---- A session begins, or resumes. ---- */

static struct service *service_new(struct agent *a, const struct agent_user *user,
                                   const struct admission *in)
{
    struct session_settings settings = session_default_settings(false);
    struct service *v = calloc(1, sizeof *v);
    settings.resume_window_s = a->config.resume_window_s;
    settings.receive_limit = budget_receive_limit(&a->seats);
    settings.own_streams = user->listen_count ? AGENT_STREAMS_MAX : 0;
    settings.listeners = LISTENERS_MAX; /* the user's number may change: see access.h */
    settings.streams = user->streams;
    settings.ends_in_portions = true;
    if (!v || !access_init(&v->access, a, user, in->label)) {
        free(v);
        return NULL;
    }
    v->events = events;
    v->events.on_stream = a->audit ? on_stream : NULL;
    v->session = session_new(&settings, &v->events, v);
    v->share = share_take(&a->shares, a->loop, user->public_key);
    if (!v->session || !v->share) {
        session_free(v->session);
        share_leave(v->share);
        access_free(&v->access);
        free(v);
        return NULL;
    }
    remote_listeners_on_taken(v->access.listeners, on_taken, v);
    remote_listeners_gate(v->access.listeners, may_connect, v);
    v->agent = a;
    v->begun_us = loop_now(a->loop);
    v->ended_as = CODE_ENDED;
    v->give_up.on_fire = on_give_up;
    teardown_init(&v->teardown, &v->share->turns, v->session, on_ended);
    snprintf(v->label, sizeof v->label, "%s", in->label);
    audit_subject_init(&v->subject, v->access.user, v->access.agent, user->public_key);
    audit_subject_session(&v->subject, view_of(session_id(v->session), SESSION_ID_BYTES));
    seats_take(&a->seats, &v->seat, v->session, user->public_key, in->relay_key);
    return v;
}

static struct service *find_on(const struct list *seats, const uint8_t id[SESSION_ID_BYTES])
{
    list_each (link, seats) {
        struct service *v = service_of_seat(link);
        if (memcmp(session_id(v->session), id, SESSION_ID_BYTES) == 0)
            return v;
    }
    return NULL;
}

static struct service *find_session(const struct agent *a, const uint8_t id[SESSION_ID_BYTES])
{
    struct service *v = find_on(&a->seats.all, id);
    return v ? v : find_on(&a->seats.unstarted, id);
}

static struct service *find_service(const struct agent *a, const uint8_t id[SESSION_ID_BYTES],
                                    const uint8_t key[KEY_BYTES])
{
    struct service *v = find_session(a, id);
    return v && memcmp(v->seat.user_key, key, KEY_BYTES) == 0 ? v : NULL;
}

bool service_awaits(struct agent *a, const struct attempt *earlier)
{
    const struct service *v = find_session(a, earlier->session_id);
    return v && session_may_resume(v->session, earlier->number);
}

/* A stopping agent need not wait for a client whose circuit broke before it acknowledged CLOSE: it
 * has come to resume, and is told in message 2. */
static void end_told(struct agent *a, const uint8_t key[KEY_BYTES],
                     const struct session_hello *hello)
{
    struct service *v = find_service(a, hello->session_id, key);
    if (v && !v->current)
        service_end(v, session_reason(v->session));
}

/* A new session, or for a copy of its message 1 the same. NULL: no says why there is none. */
static struct service *begin(struct agent *a, const struct agent_user *user,
                             const struct admission *in, struct wire_error *no)
{
    struct seat *oldest;
    struct service *v = NULL;
    if (in->earlier && service_awaits(a, in->earlier))
        return find_session(a, in->earlier->session_id);
    if (in->earlier) {
        wire_error_set(no, CODE_STALE, "the client's first message was used before");
        return NULL;
    }
    if (!audit_permits(a->audit)) {
        wire_error_set(no, CODE_FULL, NO_AUDIT_TEXT);
        return NULL;
    }
    if (!seats_has_room(&a->seats, user->public_key)) {
        wire_error_set(no, CODE_FULL, "too many sessions are open at this agent");
        return NULL;
    }
    oldest = seats_in_the_way(&a->seats, in->relay_key);
    if (oldest)
        service_end(container_of(oldest, struct service, seat),
                    "it has not started, and too many others through its relay have not either");
    v = service_new(a, user, in);
    if (!v)
        wire_error_set(no, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    return v;
}

/* The session that is to be resumed. NULL: no says why it cannot be. */
static struct service *resume(struct agent *a, const uint8_t key[KEY_BYTES],
                              const struct session_hello *hello, struct wire_error *no)
{
    const struct wire_error *ended;
    struct service *v = find_service(a, hello->session_id, key);
    if (v && session_may_resume(v->session, hello->circuit))
        return v;
    if (v)
        wire_error_set(no, CODE_STALE, "a newer circuit carries the session");
    else if ((ended = ended_why(&a->ended, hello->session_id, key, loop_now(a->loop))) != NULL)
        wire_error_set(no, ended->code, "%s", ended->text);
    else
        wire_error_set(
            no, CODE_NO_SESSION,
            "the session is not known: the agent was restarted, or the session ended long ago");
    return NULL;
}

struct attachment *service_admit(struct agent *a, const struct admission *in, struct wire_error *no)
{
    const uint8_t *key = in->user_key;
    const struct session_hello *hello = in->hello;
    const struct agent_user *user = agent_find_user(a, key);
    bool is_new = bytes_are_zero(hello->session_id, SESSION_ID_BYTES);
    struct attachment *t;
    struct service *v;
    if (!user) {
        wire_error_set(no, CODE_DENIED, "this agent does not allow the user's key");
        return NULL;
    }
    if (a->stopping) {
        wire_error_set(no, CODE_SHUTDOWN, AGENT_ENDING_TEXT);
        end_told(a, key, hello);
        return NULL;
    }
    v = is_new ? begin(a, user, in, no) : resume(a, key, hello, no);
    if (!v)
        return NULL;
    t = attachment_new(a->loop, &attachment_events, v, v->session, &v->share->turns, hello,
                       in->label, in->relay_key);
    if (!t) {
        wire_error_set(no, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
        if (!v->seat.started)
            service_end(v, no->text);
        return NULL;
    }
    snprintf(t->from, sizeof t->from, "%s", in->from);
    snprintf(t->circuit, sizeof t->circuit, "%s", in->circuit);
    if (v->candidate)
        let_go(v, v->candidate);
    session_take_hello(v->session, hello);
    v->candidate = t;
    return t;
}

/* ---- All of them. ---- */

/* A circuit through a relay that is no longer in the configuration ends; the session may resume
 * through another. */
static void drop_removed_relay(struct service *v)
{
    static const char why[] = "its relay is no longer in the configuration";
    struct agent *a = v->agent;
    if (v->candidate && !agent_find_relay(a, v->candidate->relay_key)) {
        let_go(v, v->candidate);
        candidate_lost(v, why);
    }
    if (!v->current || agent_find_relay(a, v->current->relay_key))
        return;
    let_go(v, v->current);
    if (session_state(v->session) == SESSION_ACTIVE)
        circuit_lost(v, why);
    else
        service_end(v, why);
}

/* False: no memory for what they allow more. */
static bool update_permissions(struct service *v, const struct agent_user *user)
{
    if (user->listen_count && !session_widen_own_streams(v->session, AGENT_STREAMS_MAX))
        return false;
    if (!access_update(&v->access, user))
        return false;
    access_set_label(&v->access, v->label); /* with the user's name */
    return true;
}

static void check(struct service *v)
{
    const struct agent_user *user = agent_find_user(v->agent, v->seat.user_key);
    if (!user)
        service_close(v, CODE_REVOKED, "the user is no longer allowed at this agent");
    else if (!update_permissions(v, user))
        service_close(v, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    else
        drop_removed_relay(v);
}

void service_check_all(struct agent *a)
{
    list_each (link, &a->seats.all)
        check(service_of_seat(link));
    list_each (link, &a->seats.unstarted)
        check(service_of_seat(link));
    look_at_terms(a, loop_now(a->loop));
}

void service_calls_stored(struct agent *a)
{
    list_each (link, &a->seats.all)
        access_calls_stored(&service_of_seat(link)->access);
}

static void log_state(const struct service *v)
{
    struct log_fields f = counted_fields(v, "session_status");
    char totals[LOG_TOTALS_BYTES];
    log_fields_totals(totals, &f);
    log_event(LOG_INFO, &f, "status: circuit %s: user %s, %s, %u stream%s opened, %s", v->label,
              v->access.user, v->current ? "connected" : "waiting for its client", f.streams,
              f.streams == 1 ? "" : "s", totals);
}

void service_log_all(const struct agent *a)
{
    list_each (link, &a->seats.all)
        log_state(service_of_seat(link));
}

/* ---- For those who look at them and end them. ---- */

static struct service_facts facts_of(const struct service *v)
{
    return (struct service_facts){
        .number = v->number,
        .user = v->access.user,
        .user_key = v->seat.user_key,
        .circuit = v->label,
        .from = v->current ? v->current->from : "",
        .relay_key = v->current ? v->current->relay_key : NULL,
        .begun_us = v->begun_us,
        .waiting_since_us = v->seat.waiting_since_us,
        .carried = session_summary(v->session),
        .is_closing = session_state(v->session) != SESSION_ACTIVE,
        .targets = v->access.targets,
        .listeners = v->access.listeners,
    };
}

bool service_next(const struct agent *a, uint32_t after, struct service_facts *out)
{
    list_each (link, &a->seats.all) {
        const struct service *v = service_of_seat(link);
        if (v->number <= after)
            continue;
        *out = facts_of(v);
        return true;
    }
    return false;
}

/* Returns 1 if it was to end and does. */
static unsigned end_chosen(struct service *v, uint32_t number, const char *user, const char *text)
{
    if ((number && v->number != number) || (user && strcmp(v->access.user, user) != 0) ||
        session_state(v->session) != SESSION_ACTIVE)
        return 0;
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, text);
    return 1;
}

unsigned service_end_by_order(struct agent *a, uint32_t number, const char *user, const char *text)
{
    unsigned count = 0;
    list_each (link, &a->seats.all)
        count += end_chosen(service_of_seat(link), number, user, text);
    list_each (link, &a->seats.unstarted)
        end_chosen(service_of_seat(link), number, user, text);
    return count;
}

void service_close_all(struct agent *a, enum code code, const char *text)
{
    list_each (link, &a->seats.all)
        service_close(service_of_seat(link), code, text);
    list_each (link, &a->seats.unstarted)
        service_close(service_of_seat(link), code, text);
}

void service_end_all(struct agent *a)
{
    list_each (link, &a->seats.all)
        service_end(service_of_seat(link), AGENT_ENDING_TEXT);
    list_each (link, &a->seats.unstarted)
        service_end(service_of_seat(link), AGENT_ENDING_TEXT);
    list_each (link, &a->over)
        service_free(service_of_seat(link));
    ended_free(&a->ended);
}
