/* A client's connection: sessions with an agent, one after the other, each over one circuit after
 * another. Their streams are client/forwards.h's, the lines about them client/report.h's. */
#include "client/connection.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_rates.h"
#include "base/random.h"
#include "base/text.h"
#include "client/forwards.h"
#include "client/reach.h"
#include "client/report.h"
#include "client/survey.h"
#include "hop/backoff.h"
#include "session/session.h"

#define STATUS_US CLOCK_US_PER_S
#define LOG_SWEEP_US (5 * CLOCK_US_PER_S)
#define SILENCE_US (3 * CLOCK_US_PER_S) /* that somebody who waits is told of */
#define RESUME_RETRY_MAX_S 30           /* a relay cannot make a session wait longer */

/* A session: connecting -> connected -> resuming -> connected … until it is closing or ends;
 * between two sessions: waiting. */
enum client_state {
    CLIENT_CONNECTING,
    CLIENT_WAITING,
    CLIENT_CONNECTED,
    CLIENT_RESUMING,
    CLIENT_CLOSING
};

static const char *const state_names[] = {"connecting", "waiting", "connected", "resuming",
                                          "closing"};

#define TRY_TEXT_BYTES \
    (ERROR_TEXT_BYTES + OUTGOING_RELAY_BYTES + TRUST_REMEDY_BYTES + 16) /* who failed, and why */

#define NO_RELAY SIZE_MAX

/* A round over the relays, from a pause to the next. None is waited at for the agent while another
 * is left; when none is, it is waited for at one. */
struct round {
    size_t failures; /* of relays, one after the other */
    size_t wait_at;  /* a relay where the agent may come; NO_RELAY: none is known */
    bool patient;    /* all were tried: this try waits */
    bool moved;      /* from wait_at to a relay that says that the agent is there; once, since a
                        relay may lie */
};

/* All agents that are reached at the same time. */
struct group {
    struct loop *loop;
    struct client *clients;
    size_t count, running;
};

struct client {
    struct group *group;
    struct loop *loop; /* the group's */
    const struct client_task *task;
    char prefix[NAME_TEXT_BYTES + 2]; /* of its log lines: "" when it is the only one */
    char label[CIRCUIT_LABEL_BYTES];  /* of the session's newest circuit */
    struct deferred over;             /* frees it */
    bool ended;
    enum client_state state;

    struct reach reach;
    size_t relay_index; /* of the relay being tried */
    struct round round;
    struct backoff backoff;
    struct timer retry;
    struct survey *others; /* the other relays, while the agent is waited for at one; or NULL */
    size_t found_at;       /* one of them where it is online now */
    struct deferred move;  /* goes there */
    uint64_t tried_us;     /* since when a relay is tried */
    struct timer silence;  /* a try takes long */
    bool silence_told;     /* since the last circuit */

    struct session *session; /* NULL: between two */
    /* The session's current one, or NULL; the other is for the next circuit. */
    struct circuit_driver *driver, drivers[2];
    uint64_t lost_us;      /* since when the session is without a circuit, or its circuit stalls */
    uint64_t connected_us; /* since when it has the current one */
    uint64_t began_us;     /* since when there is the session */
    bool reaching;         /* reach is under way */
    bool close_tried;      /* closing: the circuit broke, and another one was tried */
    bool ever_connected;
    struct timer give_up;
    struct forwards *forwards;

    struct log_rates log;
    struct log_party peers;   /* in it: the relays and the agent, as one */
    struct log_fields fields; /* of every line: the agent and the label */
    struct timer log_sweep;

    /* For the last line of the log. */
    struct report report;
    enum failure failure;
    char why[TRY_TEXT_BYTES];
    struct timer close_limit, status;
    struct partings partings;
};

static const struct client_relay *relay_of(const struct client *c)
{
    return &c->task->config->relays[c->relay_index];
}

static void show_status(const struct client *c)
{
    report_show(&c->report, c->session, c->task->agent, state_names[c->state], loop_now(c->loop));
}

/* The line of state, if there is one, tells at once: it is set before a line of the log that says
 * the same. */
static void set_state(struct client *c, enum client_state state)
{
    c->state = state;
    if (timer_is_set(&c->status))
        show_status(c);
}

/* Nothing is left to do: it ends with this round. */
static void finish(struct client *c)
{
    if (!c->ended)
        loop_defer(c->loop, &c->over);
}

/* Ends with a failure and a reason; the first one counts. */
static void stop_for(struct client *c, enum failure failure, const char *why)
{
    if (!c->why[0]) {
        c->failure = failure;
        snprintf(c->why, sizeof c->why, "%s", why);
    }
    finish(c);
}

static struct circuit_driver *spare_driver(struct client *c)
{
    return &c->drivers[c->driver == &c->drivers[0]];
}

static void drop_circuit(struct client *c)
{
    if (c->driver)
        circuit_driver_close(c->driver);
    c->driver = NULL;
}

static void stop_reaching(struct client *c)
{
    if (c->reaching)
        reach_end(&c->reach);
    c->reaching = false;
    timer_cancel(c->loop, &c->silence);
    loop_undefer(&c->move);
    survey_free(c->others);
    c->others = NULL;
}

static void end_session(struct client *c)
{
    struct session *s = c->session;
    if (!s)
        return;
    stop_reaching(c);
    timer_cancel(c->loop, &c->give_up);
    forwards_tie(c->forwards, NULL);
    circuit_driver_close(&c->drivers[0]); /* the other may have been to be the next */
    circuit_driver_close(&c->drivers[1]);
    c->driver = NULL;
    report_add(&c->report, s);
    c->session = NULL; /* the ends of its streams find none */
    session_free(s);
}

static void try_relay(struct client *c);

static void on_retry(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, retry);
    if (c->state != CLIENT_CONNECTED || session_stalled(c->session, loop_now(c->loop)))
        try_relay(c);
}

/* worked_us: how long the circuit of the last try has worked. */
static void retry_later(struct client *c, enum client_state meanwhile, uint64_t worked_us,
                        uint32_t at_least_s)
{
    uint64_t wait = backoff_next(&c->backoff, worked_us);
    char when[32];
    if (wait < at_least_s * CLOCK_US_PER_S)
        wait = at_least_s * CLOCK_US_PER_S;
    text_wait(when, wait);
    set_state(c, meanwhile);
    log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO, "%sretrying %s", c->prefix,
               when);
    timer_set(c->loop, &c->retry, loop_now(c->loop) + wait);
}

/* One stream and then the end, not listeners that wait for more. */
static bool is_single(const struct client *c)
{
    return c->task->options->stdio || c->task->question;
}

/* True if another try cannot help: a refusal is final until there was a session. */
static bool is_final(const struct client *c, const struct wire_error *e)
{
    if (is_single(c))
        return true;
    if (e->code == CODE_NETWORK || e->code == CODE_TIMEOUT || e->code == CODE_SHUTDOWN ||
        e->code == CODE_FULL || e->code == CODE_INTERNAL)
        return false;
    if (e->code == CODE_OFFLINE || e->code == CODE_NO_AGENT || e->code == CODE_NO_SESSION ||
        e->code == CODE_ENDED || e->code == CODE_RESUME_WINDOW || e->code == CODE_PROTOCOL ||
        e->code == CODE_REVOKED || e->code == CODE_UNKNOWN_KEY)
        return !c->ever_connected;
    return true;
}

/* The time since the current circuit was joined, if the agent has proven itself on it. */
static uint64_t circuit_worked_us(const struct client *c)
{
    return c->driver && c->driver->circuit.started ? loop_now(c->loop) - c->connected_us + 1 : 0;
}

/* The session is over, its applications are reset. A client with listeners begins another one,
 * unless that cannot help. */
static void session_over(struct client *c)
{
    struct wire_error e = *session_error(c->session);
    struct session_summary summary = session_summary(c->session);
    uint64_t worked_us = circuit_worked_us(c);
    struct log_fields f = log_party_fields(&c->peers, "session_ended");
    f.code = e.code;
    f.reason = e.text;
    f.counted = true;
    f.streams = summary.streams_opened;
    f.bytes_up = summary.bytes_sent;
    f.bytes_down = summary.bytes_received;
    f.duration_us = loop_now(c->loop) - c->began_us;
    log_caused_event(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING, &f,
                     "%sthe session has ended: %s", c->prefix, e.text);
    if (c->driver)
        circuit_driver_part(c->driver, &c->partings);
    end_session(c);
    if (is_final(c, &e))
        stop_for(c, code_failure(e.code), e.text);
    else
        retry_later(c, CLIENT_WAITING, worked_us, 0);
}

static void on_give_up(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, give_up);
    char text[80];
    stop_reaching(c);
    timer_cancel(c->loop, &c->retry);
    snprintf(text, sizeof text, "not resumed within the resume window of %u s",
             session_resume_window_s(c->session));
    session_abandon(c->session, CODE_RESUME_WINDOW, text);
    session_over(c);
}

/* True if the relay, or who answered through it, has another key for the agent than the client. */
static bool keys_differ(const struct reach_outcome *o)
{
    return o->answered &&
           (o->error.code == CODE_UNKNOWN_KEY || o->error.code == CODE_BAD_HANDSHAKE);
}

/* True if another relay may do better: not if the agent itself has answered, nor if keys differ
 * before there is a session, which the engineer must be told. */
static bool is_the_relays(const struct client *c, const struct reach_outcome *o)
{
    return !o->by_agent && !(keys_differ(o) && c->state == CLIENT_CONNECTING);
}

static void begin_round(struct client *c)
{
    c->round = (struct round){.wait_at = NO_RELAY};
}

/* At a relay that says that the agent is there, after another one where it may come. */
static bool is_elsewhere(const struct client *c)
{
    return c->round.moved && c->relay_index != c->round.wait_at;
}

/* Another relay may be tried at once. */
static bool is_impatient(const struct client *c)
{
    return is_elsewhere(c) ||
           (!c->round.patient && c->round.failures + 1 < c->task->config->relay_count);
}

/* Chooses the relay for the next try; true: at once, false: this one ended the round. */
static bool choose_relay(struct client *c, const struct reach_outcome *o)
{
    size_t count = c->task->config->relay_count, tried = c->relay_index;
    bool impatient = is_impatient(c);
    bool absent = o->answered && (o->error.code == CODE_OFFLINE || o->error.code == CODE_TIMEOUT);
    bool waited = absent && !impatient && c->reach.listed_offline &&
                  loop_now(c->loop) - c->tried_us >= SILENCE_US;
    if (!is_the_relays(c, o))
        return false;
    if (is_elsewhere(c)) {
        c->relay_index = c->round.wait_at;
        return true;
    }
    c->relay_index = (tried + 1) % count;
    if (absent && impatient && c->round.wait_at == NO_RELAY)
        c->round.wait_at = tried;
    if (++c->round.failures < count && !c->round.patient)
        return true;
    if (c->round.patient || waited || c->round.wait_at == NO_RELAY) {
        begin_round(c);
        return false;
    }
    c->relay_index = c->round.wait_at;
    c->round.patient = true;
    return true;
}

/* Who has failed or refused, and why. */
static void failure_text(char *out, size_t size, const struct client *c,
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

static void log_failed_try(struct client *c, const struct reach_outcome *o, enum log_level level,
                           const char *text)
{
    struct log_fields f =
        log_party_fields(&c->peers, o->answered ? "circuit_refused" : "hop_failed");
    f.circuit = o->answered ? c->reach.label : NULL;
    f.relay = c->reach.hop.relay;
    f.code = o->error.code;
    f.reason = o->error.text;
    log_caused_event(&c->log, c->peers.key, loop_now(c->loop), level, &f, "%s%s", c->prefix, text);
}

static void try_failed(struct client *c, const struct reach_outcome *o)
{
    char text[TRY_TEXT_BYTES];
    bool at_once;
    failure_text(text, sizeof text, c, o);
    if (c->state == CLIENT_CLOSING) {
        if (!c->driver)
            finish(c); /* it was the one try to tell the agent of the end */
        return;
    }
    if (c->state == CLIENT_RESUMING && o->by_agent) {
        session_abandon(c->session, o->error.code, o->error.text);
        session_over(c);
        return;
    }
    bool final = is_final(c, &o->error) || keys_differ(o);
    at_once = choose_relay(c, o);
    if (at_once && o->answered && o->error.code == CODE_OFFLINE)
        log_failed_try(c, o, LOG_INFO, text);
    else if (at_once || c->state == CLIENT_CONNECTED || c->state == CLIENT_RESUMING || !final)
        log_failed_try(c, o, LOG_WARNING, text); /* otherwise it is told at the end */
    if (at_once) {
        try_relay(c);
        return;
    }
    if (c->state == CLIENT_CONNECTED || c->state == CLIENT_RESUMING) {
        /* A relay can neither end a session nor make it wait beyond its resume window. Connected:
         * there is still the circuit that stalled. */
        retry_later(c, c->state, 0,
                    o->retry_s < RESUME_RETRY_MAX_S ? o->retry_s : RESUME_RETRY_MAX_S);
        return;
    }
    end_session(c);
    if (final)
        stop_for(c, code_failure(o->error.code), text);
    else
        retry_later(c, CLIENT_WAITING, 0, o->retry_s);
}

/* Owes CLOSE and gives the agent its time to acknowledge it. */
static void begin_closing(struct client *c, const char *text)
{
    session_close(c->session, CODE_DONE, text);
    set_state(c, CLIENT_CLOSING);
    timer_cancel(c->loop, &c->retry);
    timer_set(c->loop, &c->close_limit, loop_now(c->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
}

/* The last forward has ended, with this RESET or, code 0, cleanly; why is set. */
static void close_session(struct client *c, enum reset_code code)
{
    c->failure = !code                         ? FAILURE_NONE
                 : code == RESET_NOT_PERMITTED ? FAILURE_DENIED
                                               : FAILURE_OTHER;
    if (code && session_state(c->session) != SESSION_ACTIVE)
        c->failure = code_failure(session_error(c->session)->code);
    begin_closing(c, "finished");
}

static void on_forwards_ended(void *arg, enum reset_code code, const char *why)
{
    struct client *c = arg;
    if (!c->session)
        return; /* session_over tells what ended it */
    snprintf(c->why, sizeof c->why, "%s", why);
    close_session(c, code);
}

static void connected(struct client *c, struct circuit_driver *driver, const char *label)
{
    const char *relay = c->reach.hop.relay; /* of the try that has ended */
    bool resumed = c->state != CLIENT_CONNECTING;
    struct log_fields f = log_party_fields(&c->peers, "session_began");
    char time[24], before[CIRCUIT_LABEL_BYTES];
    f.relay = relay;
    memcpy(before, c->label, sizeof before);
    snprintf(c->label, sizeof c->label, "%s", label);
    drop_circuit(c); /* one that stalled */
    c->driver = driver;
    c->connected_us = loop_now(c->loop);
    timer_cancel(c->loop, &c->give_up);
    if (c->state == CLIENT_CLOSING)
        return; /* CLOSE goes out again */
    timer_cancel(c->loop, &c->retry);
    set_state(c, CLIENT_CONNECTED);
    if (resumed) {
        f.event = "session_resumed";
        f.resumes = before;
        text_duration(time, loop_now(c->loop) - c->lost_us);
        log_caused_event(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO, &f,
                         "%sresumed after %s, nothing lost: through relay %s, circuit %s",
                         c->prefix, time, relay, label);
    } else {
        c->began_us = loop_now(c->loop);
        log_caused_event(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO, &f,
                         "connected to agent %s through relay %s, circuit %s", c->task->agent,
                         relay, label);
    }
    c->ever_connected = true;
    c->silence_told = false;
    begin_round(c);
    forwards_tie(c->forwards, c->session);
}

static void reached(void *arg, struct reach *r)
{
    struct client *c = arg;
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
    struct client *c = session_owner(s);
    forwards_connect(c->forwards, stream, listener, peer);
}

static void on_wake(struct session *s)
{
    struct client *c = session_owner(s);
    if (c->driver)
        circuit_driver_wake(c->driver);
}

static void on_room(struct session *s)
{
    struct client *c = session_owner(s);
    forwards_resume(c->forwards);
}

/* The circuit stalls: the next one starts beside it. */
static void on_stall(struct session *s, uint64_t since_us)
{
    struct client *c = session_owner(s);
    if (c->state != CLIENT_CONNECTED || c->reaching || timer_is_set(&c->retry))
        return;
    log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING,
               "%sno answer from the agent: opening another circuit", c->prefix);
    c->lost_us = since_us;
    try_relay(c);
}

static const struct session_events session_events = {
    .on_open = on_open,
    .on_connection = on_connection,
    .on_wake = on_wake,
    .on_room = on_room,
    .on_stall = on_stall,
};

static void circuit_lost(struct client *c, const char *why)
{
    uint64_t worked_us = circuit_worked_us(c);
    struct log_fields f = log_party_fields(&c->peers, "session_lost");
    f.reason = why;
    log_caused_event(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING, &f,
                     "%scircuit lost: %s; resuming", c->prefix, why);
    drop_circuit(c);
    c->lost_us = loop_now(c->loop);
    timer_set(c->loop, &c->give_up,
              c->lost_us + session_resume_window_s(c->session) * CLOCK_US_PER_S);
    if (c->reaching)
        set_state(c, CLIENT_RESUMING); /* the next circuit is on its way already */
    else
        retry_later(c, CLIENT_RESUMING, worked_us, 0);
}

/* The circuit broke before the agent has acknowledged CLOSE: it is told once more. */
static void close_again(struct client *c)
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
static void on_change(struct client *c, struct circuit_driver *driver)
{
    if (driver != c->driver || driver->circuit.failed.code == CODE_REPLACED)
        return; /* the session is on another one, which connected() has noted */
    if (c->state == CLIENT_CLOSING && session_error(c->session)->code) {
        circuit_driver_part(driver, &c->partings);
        finish(c);
    } else if (c->state == CLIENT_CLOSING) {
        close_again(c);
    } else if (session_error(c->session)->code) {
        session_over(c);
    } else {
        circuit_lost(c, driver->circuit.failed.text);
    }
}

static void on_change_0(struct circuit_driver *driver)
{
    struct client *c = container_of(driver, struct client, drivers[0]);
    on_change(c, driver);
}

static void on_change_1(struct circuit_driver *driver)
{
    struct client *c = container_of(driver, struct client, drivers[1]);
    on_change(c, driver);
}

/* ---- The agent is waited for. ---- */

/* It is online at another relay. */
static void on_listed(void *arg, size_t relay, const struct agent_entry *entry)
{
    struct client *c = arg;
    bool is_there = entry->state == AGENT_ONLINE || entry->state == AGENT_DUPLICATE;
    if (!is_there || !view_equal(entry->name, view_of_string(c->task->agent)))
        return;
    c->found_at = relay;
    loop_defer(c->loop, &c->move);
}

static void on_list_complete(void *arg, size_t relay)
{
    (void)arg;
    (void)relay;
}

static void on_not_listed(void *arg, size_t relay, const struct wire_error *error)
{
    (void)arg;
    (void)relay;
    log_debug("%s", error->text);
}

static const struct survey_events survey_events = {
    .on_agent = on_listed, .on_complete = on_list_complete, .on_failed = on_not_listed};

static void move(struct deferred *deferred)
{
    struct client *c = container_of(deferred, struct client, move);
    stop_reaching(c);
    c->round.wait_at = c->relay_index;
    c->round.patient = c->round.moved = true;
    c->relay_index = c->found_at;
    try_relay(c);
}

static void tell_silence(struct client *c, const char *who, const char *what)
{
    if (c->silence_told || c->state == CLIENT_CLOSING || c->state == CLIENT_CONNECTED)
        return;
    c->silence_told = true;
    if (c->ever_connected)
        log_warning("%s %s; waiting (Ctrl-C ends)", who, what);
    else
        log_warning("%s %s; waiting up to %d s (Ctrl-C ends)", who, what, CONNECT_WAIT_S);
}

/* The relay says that the agent is offline: it may come there or to another one. */
static void on_waits(void *arg)
{
    struct client *c = arg;
    struct survey_request request = {
        .config = c->task->config,
        .party = c->task->party,
        .query = c->task->agent,
        .watch = true,
        .without = c->relay_index,
        .events = &survey_events,
        .arg = c,
    };
    tell_silence(c, c->task->agent, "is offline");
    if (c->task->config->relay_count > 1 && !c->round.moved)
        c->others = survey_new(c->loop, &request); /* without memory only this one is asked */
}

static void on_silence(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, silence);
    char relay[OUTGOING_RELAY_BYTES + 8];
    if (c->reach.outcome.answered) {
        tell_silence(c, c->task->agent, "does not answer yet");
        return;
    }
    snprintf(relay, sizeof relay, "relay %s", c->reach.hop.relay);
    tell_silence(c, relay, "does not answer yet");
}

static bool new_session(struct client *c)
{
    struct session_settings settings = session_default_settings(true);
    struct error e = {0};
    settings.streams = forwards_agent_streams(c->forwards);
    c->session = session_new(&settings, &session_events, c);
    if (!c->session) {
        stop_for(c, FAILURE_OTHER, NO_MEMORY_TEXT);
        return false;
    }
    set_state(c, CLIENT_CONNECTING);
    if (!forwards_begin(c->forwards, c->session, &e)) {
        stop_for(c, e.failure, e.text);
        return false;
    }
    return true;
}

static void try_relay(struct client *c)
{
    struct reach_request request = {
        .relay = relay_of(c),
        .party = c->task->party,
        .agent = c->task->agent,
        .agent_key = c->task->agent_key.key,
        .driver = spare_driver(c),
        .impatient = is_impatient(c),
        .hurried = is_impatient(c) || (!c->round.patient && c->round.wait_at != NO_RELAY),
        .waits = on_waits,
        .done = reached,
        .arg = c,
    };
    if (!c->session && !new_session(c))
        return;
    request.session = c->session;
    c->tried_us = loop_now(c->loop);
    c->reaching = reach_start(&c->reach, c->loop, &request);
    if (!c->reaching)
        stop_for(c, FAILURE_OTHER, NO_MEMORY_TEXT);
    else
        timer_set(c->loop, &c->silence, loop_now(c->loop) + SILENCE_US);
}

static void interrupt(struct client *c)
{
    bool again = c->state == CLIENT_CLOSING;
    c->failure = FAILURE_INTERRUPTED;
    snprintf(c->why, sizeof c->why, "interrupted");
    if (c->state != CLIENT_CONNECTED || again) {
        finish(c);
        return;
    }
    forwards_tie(c->forwards, NULL);
    begin_closing(c, "ended by the user");
}

static void on_status_signal(void *arg, int signo)
{
    struct group *g = arg;
    (void)signo;
    for (size_t i = 0; i < g->count; i++) {
        const struct client *c = &g->clients[i];
        if (!c->ended)
            report_log(&c->report, c->session, c->task->agent, state_names[c->state],
                       loop_now(c->loop));
    }
}

static void on_signal(void *arg, int signo)
{
    struct group *g = arg;
    (void)signo;
    for (size_t i = 0; i < g->count; i++)
        if (!g->clients[i].ended)
            interrupt(&g->clients[i]);
}

/* ssh ends its ProxyCommand by SIGHUP; under nohup the signal stays ignored. */
static bool heeds_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

static void on_close_limit(struct timer *timer)
{
    finish(container_of(timer, struct client, close_limit));
}

static void on_status(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, status);
    show_status(c);
    timer_set(c->loop, timer, loop_now(c->loop) + STATUS_US);
}

static const char *on_answered(void *arg, struct view answer)
{
    const struct client *c = arg;
    return c->task->answered(c->task, answer);
}

static void on_log_sweep(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, log_sweep);
    log_rates_sweep(&c->log, loop_now(c->loop));
    timer_set(c->loop, timer, loop_now(c->loop) + LOG_SWEEP_US);
}

static bool start(struct client *c, struct error *e)
{
    const struct client_options *options = c->task->options;
    struct forwards_request request = {
        .forwards = c->task->forwards,
        .count = c->task->forward_count,
        .stdio = options->stdio ? &options->stdio_target : NULL,
        .question = c->task->question,
        .answered = on_answered,
        .agent = c->task->agent,
        .prefix = c->prefix,
        .by = &c->peers,
        .ended = on_forwards_ended,
        .arg = c,
    };
    partings_init(&c->partings, c->loop);
    c->report.begun_us = loop_now(c->loop);
    c->forwards = forwards_new(c->loop, &request, e);
    if (!c->forwards)
        return false;
    on_log_sweep(&c->log_sweep);
    try_relay(c);
    if (log_on_terminal() && !is_single(c))
        on_status(&c->status);
    return true;
}

/* Ends it at any stage. */
static void end(struct client *c)
{
    if (c->ended || !c->report.begun_us)
        return; /* over already, or not begun yet */
    c->ended = true;
    loop_undefer(&c->over);
    end_session(c);
    log_rates_free(&c->log);
    report_end(&c->report, c->failure, c->why, loop_refresh_now(c->loop));
    timer_cancel(c->loop, &c->retry);
    timer_cancel(c->loop, &c->close_limit);
    timer_cancel(c->loop, &c->status);
    timer_cancel(c->loop, &c->log_sweep);
    stop_reaching(c);
    forwards_free(c->forwards);
    partings_free(&c->partings);
}

static void on_over(struct deferred *over)
{
    struct client *c = container_of(over, struct client, over);
    end(c);
    if (--c->group->running == 0)
        loop_stop(c->loop);
}

static void client_init(struct client *c, struct group *g, const struct client_task *task)
{
    uint8_t hash_key[16];
    *c = (struct client){
        .group = g,
        .loop = g->loop,
        .task = task,
        .over.run = on_over,
        .retry.on_fire = on_retry,
        .close_limit.on_fire = on_close_limit,
        .status.on_fire = on_status,
        .log_sweep.on_fire = on_log_sweep,
        .give_up.on_fire = on_give_up,
        .silence.on_fire = on_silence,
        .move.run = move,
        .round.wait_at = NO_RELAY,
        .drivers[0].on_change = on_change_0,
        .drivers[1].on_change = on_change_1,
    };
    random_bytes(hash_key, sizeof hash_key);
    log_rates_init(&c->log, hash_key);
    c->peers.all = &c->log;
    c->peers.fields = c->report.fields = &c->fields;
    c->fields = (struct log_fields){.agent = task->agent, .circuit = c->label};
    if (g->count > 1)
        snprintf(c->prefix, sizeof c->prefix, "%s: ", task->agent);
    c->report.row = (unsigned)(c - g->clients);
    c->report.prefix = c->prefix;
}

/* Starts all; if one cannot begin, it says why and none does. */
static bool start_all(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct error e = {0};
        if (start(&g->clients[i], &e))
            continue;
        stop_for(&g->clients[i], e.failure, e.text);
        while (i-- > 0)
            stop_for(&g->clients[i], e.failure, "not all forwards can be opened");
        return false;
    }
    return true;
}

static enum failure run(struct group *g)
{
    enum failure failure = FAILURE_NONE;
    if (start_all(g))
        loop_run(g->loop);
    for (size_t i = 0; i < g->count; i++) {
        const struct client *c = &g->clients[i];
        end(&g->clients[i]);
        failure = failure ? failure : c->failure;
    }
    return failure;
}

static bool prepare(struct group *g, const struct client_task *tasks, struct error *e)
{
    g->loop =
        loop_new_with_signals(on_signal, heeds_hangup() ? on_signal : NULL, on_status_signal, g, e);
    if (!g->loop)
        return false;
    g->clients = calloc(g->count, sizeof *g->clients);
    if (!g->clients)
        return error_no_memory(e);
    for (size_t i = 0; i < g->count; i++)
        client_init(&g->clients[i], g, &tasks[i]);
    return true;
}

enum failure connection_run(const struct client_task *tasks, size_t count)
{
    struct group g = {.count = count, .running = count};
    struct error e = {0};
    enum failure failure;
    if (prepare(&g, tasks, &e)) {
        failure = run(&g);
    } else {
        log_error("%s", e.text);
        failure = e.failure;
    }
    loop_free(g.loop);
    free(g.clients);
    return failure;
}
