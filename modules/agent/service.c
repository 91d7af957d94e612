/* The life of a session: its circuits, its client and what it is asked. Who may begin one is
 * decided in agent/answer.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/budget.h"
#include "agent/ended.h"
#include "agent/events.h"
#include "agent/permits.h"
#include "agent/service.h"
#include "agent/service_state.h"
#include "audit/exchange.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

struct service *service_of_seat(struct list *place)
{
    return container_of(place, struct service, seat.place);
}

const struct agent_user *service_user(const struct service *v)
{
    const struct agent_user *user = agent_find_user(v->agent, v->seat.user_key);
    return user || !v->guest || v->guest->withdrawn ? user : &v->guest->user;
}

const char *service_user_name(const struct service *v)
{
    return v->access.user;
}

/* Whose its lines in the log are: the user's own from START on, which a recording cannot cause. */
static void party_of(const struct service *v, uint8_t out[LOG_PARTY_BYTES])
{
    if (v->seat.started)
        memcpy(out, v->seat.user_key, LOG_PARTY_BYTES);
    else
        agent_party(v->agent, out, v->seat.relay_key, v->seat.user_key);
}

struct log_fields service_fields(const struct service *v, const char *event)
{
    struct log_fields f = v->access.fields;
    f.event = event;
    return f;
}

struct log_fields service_counted_fields(const struct service *v, const char *event)
{
    struct session_summary summary = session_summary(v->session);
    struct log_fields f = service_fields(v, event);
    f.counted = true;
    f.streams = summary.streams_opened;
    f.bytes_up = summary.bytes_received;
    f.bytes_down = summary.bytes_sent;
    f.duration_us = loop_now(v->agent->loop) - v->begun_us;
    return f;
}

/* ---- The end of a session. ---- */

void service_let_go(struct service *v, struct attachment *t)
{
    if (v->current == t)
        v->current = NULL;
    if (v->candidate == t)
        v->candidate = NULL;
    attachment_end(t);
}

void service_free(struct service *v)
{
    teardown_stop(&v->teardown);
    session_free(v->session);
    access_free(&v->access);
    share_leave(v->share);
    list_remove(&v->seat.place);
    if (v->guest)
        permits_drop(v->agent, v->guest);
    free(v);
}

static void on_ended(struct teardown *t)
{
    struct service *v = container_of(t, struct service, teardown);
    if (v->over)
        service_free(v);
}

/* Who began the end, as far as the agent can tell. */
static void note_end(struct service *v, const struct log_fields *f)
{
    struct audit_entry more = v->subject.entry;
    char text[ERROR_TEXT_BYTES];
    more.by = session_state(v->session) == SESSION_CLOSED ? "client" : "agent";
    service_note(v, f, more.by);
    audit_want_head(v->agent->audit);
    snprintf(text, sizeof text, "the session of user %s has ended: %s", f->user, f->reason);
    event_tell(v->agent, EVENT_ENDED, v->seat.user_key, f, &more, text);
}

void service_end(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    uint8_t party[LOG_PARTY_BYTES];
    struct log_fields f = service_counted_fields(v, "session_ended");
    char totals[LOG_TOTALS_BYTES];
    f.code = session_error(v->session)->code;
    f.reason = why;
    log_fields_totals(totals, &f);
    party_of(v, party);
    log_caused_event(&a->log, party, loop_now(a->loop), LOG_INFO, &f,
                     "circuit %s: ended: %s; user %s, %u stream%s, %s", v->label, why,
                     v->access.user, f.streams, f.streams == 1 ? "" : "s", totals);
    if (v->seat.started) {
        note_end(v, &f);
        ended_remember(&a->ended, session_id(v->session), v->seat.user_key, v->ended_as, why,
                       loop_now(a->loop));
    }
    if (v->candidate)
        service_let_go(v, v->candidate);
    if (v->current)
        service_let_go(v, v->current);
    timer_cancel(a->loop, &v->give_up);
    service_ask_over(v);
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
    service_ask_over(v);
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
    if (v->guest && service_guests(a) > SESSIONS_BY_PERMIT) {
        close_current(v, CODE_FULL, FULL_OF_GUESTS_TEXT);
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

void service_enter(struct service *v)
{
    wipe(v->emergency, sizeof v->emergency);
    seats_start(&v->agent->seats, &v->seat);
    v->number = ++v->agent->sessions_started;
    keep_to_limit(v);
    service_begin_term(v);
    service_want_head(v);
}

void service_circuit_lost(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    struct log_fields f = service_fields(v, "session_lost");
    bool asks = v->request.number > 0;
    uint32_t left_s = asks ? service_ask_left_s(v) : session_resume_window_s(v->session);
    uint8_t party[LOG_PARTY_BYTES];
    f.reason = why;
    party_of(v, party);
    log_caused_event(&a->log, party, loop_now(a->loop), LOG_INFO, &f,
                     "circuit %s: lost: %s; the session of %s waits up to %u s for its client",
                     v->label, why, v->access.user, left_s);
    if (v->seat.started || !v->seat.waiting_since_us)
        v->seat.waiting_since_us = loop_now(a->loop);
    if (asks)
        service_ask_away(v);
    else
        timer_set(a->loop, &v->give_up, v->seat.waiting_since_us + left_s * CLOCK_US_PER_S);
    a->on_path_in_doubt(a);
}

/* A circuit ended before its START. The client may have message 2 and resume with data that its
 * applications have sent already. */
void service_candidate_lost(struct service *v, const char *why)
{
    if (!v->seat.started && !v->candidate)
        service_circuit_lost(v, why);
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
    service_let_go(v, t);
    if (!current)
        service_candidate_lost(v, why);
    else if (session_state(v->session) == SESSION_ACTIVE)
        service_circuit_lost(v, why);
    else if (!v->agent->stopping)
        service_end(v, why); /* a client that resumes is told the reason */
}

static void on_dropped(struct service *v, const struct attachment *t)
{
    if (v->candidate == t)
        v->candidate = NULL;
    service_candidate_lost(v, "its connection to the relay was lost");
}

const struct attachment_events service_attachment_events = {.on_change = on_change,
                                                            .on_dropped = on_dropped};

/* The current circuit is a new one, and the session begins or goes on with it. */
static void log_move(struct service *v, bool first, bool at_once)
{
    struct log_fields f = service_fields(v, first ? "session_began" : "session_resumed");
    uint64_t now = loop_now(v->agent->loop);
    char time[24], said[QUOTED_REASON_BYTES];
    f.circuit = v->current->label;
    f.reason = first ? v->reason : NULL;
    service_note(v, &f, NULL);
    if (first) {
        text_quote(said, sizeof said, v->reason);
        log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                         "circuit %s: session of user %s has begun%s%s%s", f.circuit, f.user,
                         v->reason[0] ? ", who says " : "", v->reason[0] ? said : "",
                         session_waits(v->session) ? "; it waits for approval" : "");
        return;
    }
    f.resumes = v->label;
    text_duration(time, now - v->seat.waiting_since_us);
    log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                     "circuit %s: resumes the session of circuit %s, user %s%s%s", f.circuit,
                     v->label, f.user, at_once ? "" : ", after ", at_once ? "" : time);
}

void service_close(struct service *v, enum code code, const char *text)
{
    if (v->current)
        close_current(v, code, text);
    else
        service_end(v, text); /* a client that resumes is told the reason */
}

/* ---- It starts, on a circuit, and what it is asked there. ---- */

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
    if (first)
        service_take_place(v);
    else
        service_want_head(v);
    v->seat.waiting_since_us = 0;
    snprintf(v->label, sizeof v->label, "%s", v->current->label);
    access_set_label(&v->access, v->label);
    remote_listeners_resume(v->access.listeners);
    if (session_state(s) == SESSION_ACTIVE)
        timer_cancel(v->agent->loop, &v->give_up);
    if (old)
        service_let_go(v, old);
    if (first)
        service_note_permit(v);
    if (!v->seat.asks && first)
        service_enter(v);
    else if (v->seat.asks && first)
        service_ask(v);
    else if (v->seat.asks)
        service_ask_back(v);
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
    return !v->seat.asks && budget_ring_may_grow(&v->agent->seats, s, more);
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
    service_note_stream(session_owner(s), report);
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
    .on_head = service_take_head,
};

/* ---- A session begins, or resumes. ---- */

struct service *service_new(struct agent *a, const struct agent_user *user,
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
    if (v)
        v->share = share_take(&a->shares, a->loop, user->public_key);
    if (!v || !v->share || !access_init(&v->access, a, &v->share->turns, user, in->label)) {
        share_leave(v ? v->share : NULL);
        free(v);
        return NULL;
    }
    v->events = events;
    v->events.on_stream = a->audit ? on_stream : NULL;
    v->session = session_new(&settings, &v->events, v);
    v->meter = meter_of(&a->meters, user->public_key);
    if (!v->session || !v->meter) {
        session_free(v->session);
        access_free(&v->access);
        share_leave(v->share);
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
    text_clean(v->reason, sizeof v->reason, in->hello->reason);
    text_clean(v->emergency, sizeof v->emergency, in->hello->emergency);
    audit_subject_init(&v->subject, v->access.user, v->access.agent, user->public_key);
    audit_subject_session(&v->subject, view_of(session_id(v->session), SESSION_ID_BYTES));
    seats_take(&a->seats, &v->seat, v->session, user->public_key, in->relay_key);
    return v;
}
