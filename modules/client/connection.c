/* Sessions with an agent, one after the other, each over one circuit after another. Their streams
 * are client/forwards.h's, the next try is client/round.h's to choose, the lines are
 * client/report.h's. */
#include "client/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/forwards.h"
#include "client/others.h"
#include "client/reach.h"
#include "client/report.h"
#include "client/round.h"
#include "session/session.h"
#include "session/teardown.h"

#define STATUS_US CLOCK_US_PER_S

/* A session: connecting -> connected -> resuming -> connected … until it is closing or ends;
 * between two sessions: waiting. */
enum connection_state {
    STATE_CONNECTING,
    STATE_WAITING,
    STATE_CONNECTED,
    STATE_RESUMING,
    STATE_CLOSING
};

static const char *const state_names[] = {"connecting", "waiting", "connected", "resuming",
                                          "closing"};

#define TRY_TEXT_BYTES \
    (ERROR_TEXT_BYTES + OUTGOING_RELAY_BYTES + TRUST_REMEDY_BYTES + 16) /* who failed, and why */

struct connection {
    struct connection_place place;
    struct loop *loop; /* the place's */
    const struct client_task *task;
    struct deferred over; /* ends it */
    bool ended;
    enum connection_state state;

    struct reach reach;
    struct round round;
    struct timer retry;
    struct others others; /* asked while the agent is waited for at a relay */
    struct timer silence; /* a try takes long */

    struct session *session;      /* NULL: between two */
    struct session_events events; /* on_stream only with an audit */
    /* The session's current one, or NULL; the other is for the next circuit. */
    struct circuit_driver *driver, drivers[2];
    struct turns turns;      /* of both */
    struct list remains;     /* of sessions that are over */
    struct teardown closing; /* of the session that is being closed */
    uint64_t lost_us;      /* since when the session is without a circuit, or its circuit stalls */
    uint64_t connected_us; /* since when it has the current one */
    bool reaching;         /* reach is under way */
    bool close_tried;      /* closing: the circuit broke, and another one was tried */
    struct timer give_up;
    struct timer patience; /* of the user, while the session waits for approval */
    bool was_granted;      /* what it waited for: an emergency code is used up by that */
    struct forwards *forwards;

    struct report report;
    /* For the last line of the log. */
    enum failure failure;
    enum code code; /* of the refusal that it ends for */
    char why[TRY_TEXT_BYTES];
    struct timer close_limit, status;
    struct rate relay_heads, agent_heads; /* of their audits, that are taken */
    bool head_due;                        /* the agent is owed one */
    struct partings partings;
};

static const struct client_relay *relay_of(const struct connection *c)
{
    return &c->task->config->relays[c->round.relay];
}

static void show_status(const struct connection *c)
{
    report_show(&c->report, c->session, state_names[c->state]);
}

/* The line of state, if there is one, tells at once: it is set before a line of the log that says
 * the same. */
static void set_state(struct connection *c, enum connection_state state)
{
    c->state = state;
    if (timer_is_set(&c->status))
        show_status(c);
}

/* Nothing is left to do: it ends with this round. */
static void finish(struct connection *c)
{
    if (!c->ended)
        loop_defer(c->loop, &c->over);
}

void connection_stop(struct connection *c, enum failure failure, const char *why)
{
    if (!c->why[0]) {
        c->failure = failure;
        snprintf(c->why, sizeof c->why, "%s", why);
    }
    finish(c);
}

/* The same for a refusal. */
static void stop_for(struct connection *c, enum code code, const char *why)
{
    if (!c->why[0])
        c->code = code;
    connection_stop(c, code_failure(code), why);
}

static struct circuit_driver *spare_driver(struct connection *c)
{
    return &c->drivers[c->driver == &c->drivers[0]];
}

static void drop_circuit(struct connection *c)
{
    if (c->driver)
        circuit_driver_close(c->driver);
    c->driver = NULL;
}

static void stop_reaching(struct connection *c)
{
    if (c->reaching)
        reach_end(&c->reach);
    c->reaching = false;
    timer_cancel(c->loop, &c->silence);
    others_leave(&c->others);
}

/* A session that is over, and has streams that still have to end. */
struct remains {
    struct list link; /* connection->remains */
    struct teardown teardown;
};

static void remains_free(struct remains *r)
{
    teardown_stop(&r->teardown);
    session_free(r->teardown.session);
    list_remove(&r->link);
    free(r);
}

static void on_ended(struct teardown *t)
{
    remains_free(container_of(t, struct remains, teardown));
}

/* Ends the streams of a session in portions, and frees it; at once without memory. */
static void end_streams(struct connection *c, struct session *s)
{
    struct remains *r = calloc(1, sizeof *r);
    if (!r) {
        session_free(s);
        return;
    }
    list_append(&c->remains, &r->link);
    teardown_init(&r->teardown, &c->turns, s, on_ended);
    if (teardown_begin(&r->teardown))
        remains_free(r);
}

/* One stream and then the end, not listeners that wait for more. */
static bool is_single(const struct connection *c)
{
    return c->task->options->stdio || c->task->question;
}

/* For approval. What is there for one stream alone has a line of state only so long. */
static void stop_waiting(struct connection *c)
{
    timer_cancel(c->loop, &c->patience);
    if (is_single(c)) {
        timer_cancel(c->loop, &c->status);
        log_status(c->report.row, NULL);
    }
}

static void end_session(struct connection *c)
{
    struct session *s = c->session;
    if (!s)
        return;
    teardown_stop(&c->closing);
    stop_reaching(c);
    timer_cancel(c->loop, &c->give_up);
    stop_waiting(c);
    forwards_untie(c->forwards);
    circuit_driver_close(&c->drivers[0]); /* the other may have been to be the next */
    circuit_driver_close(&c->drivers[1]);
    c->driver = NULL;
    report_add(&c->report, s);
    c->session = NULL; /* the ends of its streams find none */
    end_streams(c, s);
}

static void try_relay(struct connection *c);

static void on_retry(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, retry);
    if (c->state != STATE_CONNECTED || session_stalled(c->session, loop_now(c->loop)))
        try_relay(c);
}

static void retry_later(struct connection *c, enum connection_state meanwhile, uint64_t pause_us)
{
    set_state(c, meanwhile);
    timer_set(c->loop, &c->retry, loop_now(c->loop) + pause_us);
}

/* The time since the current circuit was joined, if the agent has proven itself on it. */
static uint64_t circuit_worked_us(const struct connection *c)
{
    return c->driver && c->driver->circuit.started ? loop_now(c->loop) - c->connected_us + 1 : 0;
}

/* The session is over, its applications are reset. A client with listeners begins another one,
 * unless that cannot help. */
static void session_over(struct connection *c)
{
    struct wire_error e = *session_error(c->session);
    uint64_t worked_us = circuit_worked_us(c);
    struct round_decision decision = round_session_over(&c->round, e.code, worked_us);
    report_session_over(&c->report, c->session,
                        decision.step == ROUND_GIVE_UP ? CLOCK_NEVER : decision.pause_us);
    if (c->driver)
        circuit_driver_part(c->driver, &c->partings);
    end_session(c);
    if (decision.step == ROUND_GIVE_UP)
        stop_for(c, e.code, e.text);
    else
        retry_later(c, STATE_WAITING, decision.pause_us);
}

static void on_give_up(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, give_up);
    char text[80];
    stop_reaching(c);
    timer_cancel(c->loop, &c->retry);
    snprintf(text, sizeof text, "not resumed within the resume window of %u s",
             session_resume_window_s(c->session));
    session_abandon(c->session, CODE_RESUME_WINDOW, text);
    session_over(c);
}

/* Who has failed or refused, and why. */
static void failure_text(char *out, size_t size, const struct connection *c,
                         const struct reach_outcome *o)
{
    char remedy[TRUST_REMEDY_BYTES];
    if (o->keys_differ) {
        trust_remedy(remedy, &c->task->agent_key, c->reach.listed_key);
        snprintf(out, size, "relay %s: %s, %s", c->reach.hop.relay, o->error.text, remedy);
    } else if (o->by_agent)
        snprintf(out, size, "agent %s: %s", c->task->agent, o->error.text);
    else if (o->answered)
        snprintf(out, size, "relay %s: %s", c->reach.hop.relay, o->error.text);
    else
        snprintf(out, size, "%s", o->error.text);
}

/* The round goes on: tells of this failure, unless it is told at the end, and tries again. */
static void try_again(struct connection *c, const struct reach_outcome *o, const char *text)
{
    struct round_failure failure = {
        .code = o->error.code,
        .answered = o->answered,
        .by_agent = o->by_agent,
        .listed_offline = c->reach.listed_offline,
        .has_session = c->state == STATE_CONNECTED || c->state == STATE_RESUMING,
        .retry_s = o->retry_s,
    };
    struct round_decision decision = round_failed(&c->round, &failure, loop_now(c->loop));
    bool absent = decision.step == ROUND_NEXT && o->answered && o->error.code == CODE_OFFLINE;
    if (decision.step != ROUND_GIVE_UP)
        report_failed(&c->report, absent ? LOG_INFO : LOG_WARNING, c->reach.hop.relay,
                      o->answered ? c->reach.label : NULL, &o->error, text,
                      decision.step == ROUND_NEXT ? CLOCK_NEVER : decision.pause_us);
    if (decision.step == ROUND_NEXT) {
        try_relay(c);
        return;
    }
    if (failure.has_session) {
        /* Connected: there is still the circuit that stalled. */
        retry_later(c, c->state, decision.pause_us);
        return;
    }
    end_session(c);
    if (decision.step == ROUND_GIVE_UP)
        stop_for(c, o->error.code, text);
    else
        retry_later(c, STATE_WAITING, decision.pause_us);
}

static void try_failed(struct connection *c, const struct reach_outcome *o)
{
    char text[TRY_TEXT_BYTES];
    if (o->answered && c->reach.circuit[0])
        report_refused(&c->report, c->reach.circuit, c->reach.request.relay->public_key,
                       o->by_agent, &o->error);
    if (c->state == STATE_CLOSING) {
        if (!c->driver)
            finish(c); /* it was the one try to tell the agent of the end */
        return;
    }
    if (c->state == STATE_RESUMING && o->by_agent) {
        session_abandon(c->session, o->error.code, o->error.text);
        session_over(c);
        return;
    }
    failure_text(text, sizeof text, c, o);
    try_again(c, o, text);
}

/* Its end waits for the agent alone. */
static void on_closed(struct teardown *t)
{
    (void)t;
}

/* Owes CLOSE and gives the agent its time to acknowledge it. */
static void begin_closing(struct connection *c, const char *text)
{
    set_state(c, STATE_CLOSING); /* the ends of streams are not why it ends */
    session_close(c->session, CODE_DONE, text);
    teardown_init(&c->closing, &c->turns, c->session, on_closed);
    teardown_begin(&c->closing);
    timer_cancel(c->loop, &c->retry);
    timer_set(c->loop, &c->close_limit, loop_now(c->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
}

/* The last forward has ended, with this RESET or, code 0, cleanly; why is set. */
static void close_session(struct connection *c, enum reset_code code)
{
    c->failure = !code                         ? FAILURE_NONE
                 : code == RESET_NOT_PERMITTED ? FAILURE_DENIED
                                               : FAILURE_OTHER;
    if (code && session_state(c->session) != SESSION_ACTIVE) {
        c->code = session_error(c->session)->code;
        c->failure = code_failure(c->code);
    }
    begin_closing(c, "finished");
}

static void on_forwards_ended(void *arg, enum reset_code code, const char *why)
{
    struct connection *c = arg;
    if (!c->session || c->state == STATE_CLOSING)
        return; /* session_over, or who closes, tells what ended it */
    snprintf(c->why, sizeof c->why, "%s", why);
    close_session(c, code);
}

/* The user, or what can go on no further, ends the session; why is set. */
static void leave(struct connection *c, const char *told)
{
    if (c->state != STATE_CONNECTED) {
        finish(c);
        return;
    }
    forwards_untie(c->forwards);
    begin_closing(c, told);
}

static void leave_for(struct connection *c, enum failure failure, const char *why)
{
    c->failure = failure;
    snprintf(c->why, sizeof c->why, "%s", why);
    leave(c, why);
}

static void on_patience_over(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, patience);
    char text[48], time[24];
    text_duration(time, c->task->options->wait_s * CLOCK_US_PER_S);
    snprintf(text, sizeof text, "not approved within %s", time);
    leave_for(c, FAILURE_NOT_APPROVED, text);
}

static void on_status(struct timer *timer);

static void wait_for_approval(struct connection *c)
{
    const struct client_options *o = c->task->options;
    report_waiting(&c->report, o->reason, o->emergency && !c->was_granted);
    if (o->wait_s && !timer_is_set(&c->patience))
        timer_set(c->loop, &c->patience, loop_now(c->loop) + o->wait_s * CLOCK_US_PER_S);
    if (log_on_terminal())
        on_status(&c->status);
}

/* Forwarding begins, or goes on, unless the session waits for approval. */
static void forward(struct connection *c)
{
    struct error e = {0};
    bool waits = session_waits(c->session);
    if (waits ? forwards_hold(c->forwards, &e) : forwards_tie(c->forwards, c->session, &e))
        if (waits)
            wait_for_approval(c);
        else
            stop_waiting(c);
    else
        leave_for(c, e.failure, e.text);
}

static void connected(struct connection *c, struct circuit_driver *driver, const char *label)
{
    const char *relay = c->reach.hop.relay; /* of the try that has ended */
    bool resumed = c->state != STATE_CONNECTING;
    report_circuit(&c->report, label, c->reach.circuit, c->reach.request.relay->public_key);
    drop_circuit(c); /* one that stalled */
    c->driver = driver;
    c->connected_us = loop_now(c->loop);
    timer_cancel(c->loop, &c->give_up);
    if (c->state == STATE_CLOSING)
        return; /* CLOSE goes out again */
    timer_cancel(c->loop, &c->retry);
    set_state(c, STATE_CONNECTED);
    connection_owe_head(c);
    if (resumed)
        report_resumed(&c->report, relay, c->lost_us);
    else
        report_connected(&c->report, c->session, relay);
    round_reached(&c->round);
    forward(c);
}

static void reached(void *arg, struct reach *r)
{
    struct connection *c = arg;
    struct reach_outcome outcome = r->outcome;
    struct circuit_driver *driver = r->request.driver;
    char label[CIRCUIT_LABEL_BYTES];
    memcpy(label, r->label, sizeof label);
    stop_reaching(c); /* the next try uses it again */
    if (outcome.error.code)
        try_failed(c, &outcome);
    else
        connected(c, driver, label);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    (void)s;
    (void)target;
    stream_reset(stream, RESET_NOT_PERMITTED, "the client has no listener");
}

static void on_connection(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    struct connection *c = session_owner(s);
    forwards_connect(c->forwards, stream, listener, peer);
}

static void on_wake(struct session *s)
{
    struct connection *c = session_owner(s);
    if (c->driver)
        circuit_driver_wake(c->driver);
}

static void on_room(struct session *s)
{
    struct connection *c = session_owner(s);
    forwards_resume(c->forwards);
}

/* The circuit stalls: the next one starts beside it. */
static void on_stall(struct session *s, uint64_t since_us)
{
    struct connection *c = session_owner(s);
    if (c->state != STATE_CONNECTED || c->reaching || timer_is_set(&c->retry))
        return;
    report_stalled(&c->report);
    c->lost_us = since_us;
    try_relay(c);
}

static void on_access(struct session *s, const struct access_frame *access)
{
    struct connection *c = session_owner(s);
    bool waited = c->report.waiting_us;
    if (session_waits(s) || waited)
        forward(c); /* before it is told: what is granted is there then */
    if (waited && !session_waits(s))
        connection_owe_head(c);
    report_access(&c->report, access);
    c->was_granted = c->was_granted || (waited && !session_waits(s));
}

static void on_stream(struct session *s, const struct stream_report *report)
{
    struct connection *c = session_owner(s);
    report_stream(&c->report, report);
}

static void on_head(struct session *s, struct view head)
{
    struct connection *c = session_owner(s);
    report_head(&c->report, &c->agent_heads, c->task->agent_key.key, head);
}

static const struct session_events session_events = {
    .on_open = on_open,
    .on_connection = on_connection,
    .on_wake = on_wake,
    .on_room = on_room,
    .on_stall = on_stall,
    .on_access = on_access,
    .on_head = on_head,
};

static void circuit_lost(struct connection *c, const char *why)
{
    uint64_t pause_us = c->reaching ? CLOCK_NEVER : round_lost(&c->round, circuit_worked_us(c));
    report_lost(&c->report, why, pause_us);
    drop_circuit(c);
    c->lost_us = loop_now(c->loop);
    timer_set(c->loop, &c->give_up,
              c->lost_us + session_resume_window_s(c->session) * CLOCK_US_PER_S);
    if (c->reaching)
        set_state(c, STATE_RESUMING); /* the next circuit is on its way already */
    else
        retry_later(c, STATE_RESUMING, pause_us);
}

/* The circuit broke before the agent has acknowledged CLOSE: it is told once more. */
static void close_again(struct connection *c)
{
    drop_circuit(c);
    if (c->close_tried) {
        finish(c);
        return;
    }
    c->close_tried = true;
    if (!c->reaching)
        try_relay(c);
}

/* The circuit failed or the session is over. */
static void on_change(struct connection *c, struct circuit_driver *driver)
{
    if (driver != c->driver || driver->circuit.failed.code == CODE_REPLACED)
        return; /* the session is on another one, which connected() has noted */
    if (c->state == STATE_CLOSING && session_error(c->session)->code) {
        circuit_driver_part(driver, &c->partings);
        finish(c);
    } else if (c->state == STATE_CLOSING) {
        close_again(c);
    } else if (session_error(c->session)->code) {
        session_over(c);
    } else {
        circuit_lost(c, driver->circuit.failed.text);
    }
}

static void on_change_0(struct circuit_driver *driver)
{
    struct connection *c = container_of(driver, struct connection, drivers[0]);
    on_change(c, driver);
}

static void on_change_1(struct circuit_driver *driver)
{
    struct connection *c = container_of(driver, struct connection, drivers[1]);
    on_change(c, driver);
}

/* The agent, which is waited for at one relay, is online at another. */
static void found(void *arg, size_t relay)
{
    struct connection *c = arg;
    if (reach_is_settled(&c->reach))
        return; /* it came here as well, in the same moment */
    stop_reaching(c);
    round_move(&c->round, relay);
    try_relay(c);
}

static void tell_silence(struct connection *c, const char *who, const char *what)
{
    if (c->state != STATE_CLOSING && c->state != STATE_CONNECTED)
        report_silence(&c->report, who, what, c->round.had_session);
}

/* The relay says that the agent is offline: it may come there or to another one. */
static void on_waits(void *arg)
{
    struct connection *c = arg;
    tell_silence(c, c->task->agent, "is offline");
    if (round_wants_others(&c->round))
        others_ask(&c->others, c->round.relay);
}

static void on_silence(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, silence);
    char relay[OUTGOING_RELAY_BYTES + 8];
    if (c->reach.outcome.answered) {
        tell_silence(c, c->task->agent, "does not answer yet");
        return;
    }
    snprintf(relay, sizeof relay, "relay %s", c->reach.hop.relay);
    tell_silence(c, relay, "does not answer yet");
}

static bool new_session(struct connection *c)
{
    struct session_settings settings = session_default_settings(true);
    struct error e = {0};
    settings.streams = forwards_agent_streams(c->forwards);
    settings.ends_in_portions = true;
    c->session = session_new(&settings, &c->events, c);
    if (!c->session) {
        connection_stop(c, FAILURE_OTHER, NO_MEMORY_TEXT);
        return false;
    }
    set_state(c, STATE_CONNECTING);
    if (!forwards_begin(c->forwards, c->session, &e)) {
        connection_stop(c, e.failure, e.text);
        return false;
    }
    return true;
}

static void try_relay(struct connection *c)
{
    struct reach_request request = {
        .relay = relay_of(c),
        .party = c->task->party,
        .agent = c->task->agent,
        .agent_key = c->task->agent_key.key,
        .reason = c->task->options->reason,
        .emergency = c->was_granted ? NULL : c->task->options->emergency,
        .audit = c->place.audit,
        .heads = &c->relay_heads,
        .permit = c->task->permit,
        .driver = spare_driver(c),
        .impatient = round_is_impatient(&c->round),
        .hurried = round_is_hurried(&c->round),
        .waits = on_waits,
        .done = reached,
        .arg = c,
    };
    if (!c->session && !new_session(c))
        return;
    request.session = c->session;
    round_try(&c->round, loop_now(c->loop));
    c->reaching = reach_start(&c->reach, c->loop, &request);
    if (!c->reaching)
        connection_stop(c, FAILURE_OTHER, NO_MEMORY_TEXT);
    else
        timer_set(c->loop, &c->silence, loop_now(c->loop) + ROUND_SILENCE_US);
}

void connection_interrupt(struct connection *c)
{
    if (c->ended)
        return;
    c->failure = FAILURE_INTERRUPTED;
    snprintf(c->why, sizeof c->why, "interrupted");
    leave(c, "ended by the user");
}

void connection_owe_head(struct connection *c)
{
    c->head_due = true;
}

void connection_tell_head(struct connection *c, struct view head)
{
    if (!c->head_due || !c->session || c->ended || session_waits(c->session))
        return;
    c->head_due = false;
    session_tell_head(c->session, head);
}

void connection_log_status(const struct connection *c)
{
    if (!c->ended)
        report_log(&c->report, c->session, state_names[c->state]);
}

static void on_close_limit(struct timer *timer)
{
    finish(container_of(timer, struct connection, close_limit));
}

static void on_status(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, status);
    show_status(c);
    timer_set(c->loop, timer, loop_now(c->loop) + STATUS_US);
}

static const char *on_answered(void *arg, struct view answer)
{
    const struct connection *c = arg;
    return c->task->answered(c->task, answer);
}

bool connection_start(struct connection *c, struct error *e)
{
    const struct client_options *options = c->task->options;
    struct forwards_request request = {
        .forwards = c->task->forwards,
        .count = c->task->forward_count,
        .stdio = options->stdio ? &options->stdio_target : NULL,
        .question = c->task->question,
        .answered = on_answered,
        .agent = c->task->agent,
        .prefix = c->report.prefix,
        .by = &c->report.peers,
        .ended = on_forwards_ended,
        .arg = c,
    };
    partings_init(&c->partings, c->loop);
    report_begin(&c->report);
    c->forwards = forwards_new(c->loop, &request, e);
    if (!c->forwards)
        return false;
    try_relay(c);
    if (log_on_terminal() && !is_single(c))
        on_status(&c->status);
    return true;
}

enum failure connection_end(struct connection *c)
{
    if (c->ended || !c->report.begun_us)
        return c->failure; /* over already, or not begun yet */
    c->ended = true;
    loop_undefer(&c->over);
    end_session(c);
    list_each (link, &c->remains)
        remains_free(container_of(link, struct remains, link));
    turns_end(&c->turns);
    report_end(&c->report, c->failure, c->code, c->why);
    timer_cancel(c->loop, &c->retry);
    timer_cancel(c->loop, &c->close_limit);
    timer_cancel(c->loop, &c->status);
    timer_cancel(c->loop, &c->patience);
    stop_reaching(c);
    forwards_free(c->forwards);
    partings_free(&c->partings);
    return c->failure;
}

static void on_over(struct deferred *over)
{
    struct connection *c = container_of(over, struct connection, over);
    connection_end(c);
    c->place.ended(c->place.arg);
}

static void init(struct connection *c, const struct client_task *task,
                 const struct connection_place *place)
{
    *c = (struct connection){
        .place = *place,
        .loop = place->loop,
        .task = task,
        .over.run = on_over,
        .retry.on_fire = on_retry,
        .close_limit.on_fire = on_close_limit,
        .status.on_fire = on_status,
        .give_up.on_fire = on_give_up,
        .patience.on_fire = on_patience_over,
        .silence.on_fire = on_silence,
        .others.loop = place->loop,
        .others.config = task->config,
        .others.party = task->party,
        .others.agent = task->agent,
        .others.found = found,
        .others.arg = c,
        .drivers[0].on_change = on_change_0,
        .drivers[1].on_change = on_change_1,
        .drivers[0].turns = &c->turns,
        .drivers[1].turns = &c->turns,
    };
    turns_init(&c->turns, place->loop);
    teardown_init(&c->closing, &c->turns, NULL, on_closed);
    list_init(&c->remains);
    round_init(&c->round, task->config->relay_count, is_single(c));
    report_init(&c->report, place->loop, task->agent, place->row, place->alone);
    report_audit(&c->report, place->audit, task->party->own->public_key);
    c->events = session_events;
    c->events.on_stream = place->audit ? on_stream : NULL;
}

struct connection *connection_new(const struct client_task *task,
                                  const struct connection_place *place)
{
    struct connection *c = malloc(sizeof *c);
    if (c)
        init(c, task, place);
    return c;
}

void connection_free(struct connection *c)
{
    free(c);
}
