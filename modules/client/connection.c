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
#include "hop/backoff.h"

#define STATUS_US CLOCK_US_PER_S
#define LOG_SWEEP_US (5 * CLOCK_US_PER_S)
#define RESUME_RETRY_MAX_S 30 /* a relay cannot make a session wait longer */

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

#define TRY_TEXT_BYTES (ERROR_TEXT_BYTES + OUTGOING_RELAY_BYTES + 16) /* who failed, and why */

struct client {
    struct loop *loop;
    const struct client_task *task;
    enum client_state state;

    struct reach reach;
    size_t relay_index; /* of the relay being tried */
    size_t failures;    /* of relays, one after the other, since the last pause */
    struct backoff backoff;
    struct timer retry;

    struct session *session; /* NULL: between two */
    struct link links[2];
    struct link *link; /* the session's current one, or NULL; the other is for the next circuit */
    uint64_t lost_us;  /* since when the session is without a circuit, or its circuit stalls */
    uint64_t connected_us; /* since when it has the current one */
    bool reaching;         /* reach is under way */
    bool close_tried;      /* closing: the circuit broke, and another one was tried */
    bool ever_connected;
    struct timer give_up;
    struct forwards *forwards;

    struct log_rates log;
    struct log_party peers; /* in it: the relays and the agent, as one */
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
    report_show(&c->report, c->session, c->task->options->agent, state_names[c->state],
                loop_now(c->loop));
}

/* The line of state, if there is one, tells at once: it is set before a line of the log that says
 * the same. */
static void set_state(struct client *c, enum client_state state)
{
    c->state = state;
    if (timer_is_set(&c->status))
        show_status(c);
}

/* Ends the loop with a failure and a reason; the first one counts. */
static void stop_for(struct client *c, enum failure failure, const char *why)
{
    if (!c->why[0]) {
        c->failure = failure;
        snprintf(c->why, sizeof c->why, "%s", why);
    }
    if (c->loop)
        loop_stop(c->loop);
}

static struct link *spare_link(struct client *c)
{
    return &c->links[c->link == &c->links[0]];
}

static void drop_link(struct client *c)
{
    if (c->link)
        link_close(c->link);
    c->link = NULL;
}

static void stop_reaching(struct client *c)
{
    if (c->reaching)
        reach_end(&c->reach);
    c->reaching = false;
}

static void end_session(struct client *c)
{
    struct session *s = c->session;
    if (!s)
        return;
    stop_reaching(c);
    timer_cancel(c->loop, &c->give_up);
    forwards_tie(c->forwards, NULL);
    link_close(&c->links[0]); /* the other may have been to be the next */
    link_close(&c->links[1]);
    c->link = NULL;
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
    log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO, "retrying %s", when);
    timer_set(c->loop, &c->retry, loop_now(c->loop) + wait);
}

/* True if another try cannot help: a refusal is final until there was a session. */
static bool is_final(const struct client *c, const struct wire_error *e)
{
    if (c->task->options->stdio)
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
    return c->link && c->link->circuit.started ? loop_now(c->loop) - c->connected_us + 1 : 0;
}

/* The session is over, its applications are reset. A client with listeners begins another one,
 * unless that cannot help. */
static void session_over(struct client *c)
{
    struct wire_error e = *session_error(c->session);
    uint64_t worked_us = circuit_worked_us(c);
    log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING, "the session has ended: %s",
               e.text);
    if (c->link)
        link_part(c->link, &c->partings);
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

/* Goes to the next relay at once when this one did not help and others are left. */
static bool try_next_relay(struct client *c, const struct reach_outcome *o)
{
    if (!is_the_relays(c, o))
        return false;
    c->relay_index = (c->relay_index + 1) % c->task->config->relay_count;
    if (++c->failures >= c->task->config->relay_count) {
        c->failures = 0;
        return false;
    }
    try_relay(c);
    return true;
}

/* Who has failed or refused, and why. */
static void failure_text(char *out, size_t size, const struct client *c,
                         const struct reach_outcome *o)
{
    if (o->by_agent)
        snprintf(out, size, "agent %s: %s", c->task->options->agent, o->error.text);
    else if (o->answered)
        snprintf(out, size, "relay %s: %s", c->reach.hop.relay, o->error.text);
    else
        snprintf(out, size, "%s", o->error.text);
}

static void try_failed(struct client *c, const struct reach_outcome *o)
{
    char text[TRY_TEXT_BYTES];
    failure_text(text, sizeof text, c, o);
    if (c->state == CLIENT_CLOSING) {
        if (!c->link)
            loop_stop(c->loop); /* it was the one try to tell the agent of the end */
        return;
    }
    if (c->state == CLIENT_RESUMING && o->by_agent) {
        session_abandon(c->session, o->error.code, o->error.text);
        session_over(c);
        return;
    }
    bool final = is_final(c, &o->error) || keys_differ(o);
    if (c->state == CLIENT_CONNECTED || c->state == CLIENT_RESUMING || !final ||
        (is_the_relays(c, o) && c->failures + 1 < c->task->config->relay_count))
        log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING, "%s", text);
    /* otherwise it is told at the end */
    if (try_next_relay(c, o))
        return;
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

static void connected(struct client *c, struct link *link, const char *label)
{
    const char *relay = c->reach.hop.relay; /* of the try that has ended */
    bool resumed = c->state != CLIENT_CONNECTING;
    char time[24];
    drop_link(c); /* one that stalled */
    c->link = link;
    c->connected_us = loop_now(c->loop);
    timer_cancel(c->loop, &c->give_up);
    if (c->state == CLIENT_CLOSING)
        return; /* CLOSE goes out again */
    timer_cancel(c->loop, &c->retry);
    set_state(c, CLIENT_CONNECTED);
    if (resumed) {
        text_duration(time, loop_now(c->loop) - c->lost_us);
        log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO,
                   "resumed after %s, nothing lost: through relay %s, circuit %s", time, relay,
                   label);
    } else {
        log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_INFO,
                   "connected to agent %s through relay %s, circuit %s", c->task->options->agent,
                   relay, label);
    }
    c->ever_connected = true;
    c->failures = 0;
    forwards_tie(c->forwards, c->session);
}

static void reached(void *arg, struct reach *r)
{
    struct client *c = arg;
    struct reach_outcome outcome = r->outcome;
    struct link *link = r->request.link;
    char label[CIRCUIT_LABEL_BYTES];
    memcpy(label, r->label, sizeof label);
    reach_end(r); /* the next try uses it again */
    c->reaching = false;
    if (outcome.error.code)
        try_failed(c, &outcome);
    else
        connected(c, link, label);
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
    if (c->link)
        link_wake(c->link);
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
               "no answer from the agent: opening another circuit");
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

static void link_lost(struct client *c, const char *why)
{
    uint64_t worked_us = circuit_worked_us(c);
    log_caused(&c->log, c->peers.key, loop_now(c->loop), LOG_WARNING, "circuit lost: %s; resuming",
               why);
    drop_link(c);
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
    drop_link(c);
    if (c->close_tried) {
        loop_stop(c->loop);
        return;
    }
    c->close_tried = true;
    if (!c->reaching)
        try_relay(c);
}

/* The circuit failed or the session is over. */
static void on_change(struct client *c, struct link *link)
{
    if (link != c->link || link->circuit.failed.code == CODE_REPLACED)
        return; /* the session is on another one, which connected() has noted */
    if (c->state == CLIENT_CLOSING && session_error(c->session)->code) {
        link_part(link, &c->partings);
        loop_stop(c->loop);
    } else if (c->state == CLIENT_CLOSING) {
        close_again(c);
    } else if (session_error(c->session)->code) {
        session_over(c);
    } else {
        link_lost(c, link->circuit.failed.text);
    }
}

static void on_change_0(struct link *link)
{
    struct client *c = container_of(link, struct client, links[0]);
    on_change(c, link);
}

static void on_change_1(struct link *link)
{
    struct client *c = container_of(link, struct client, links[1]);
    on_change(c, link);
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
        .agent = c->task->options->agent,
        .agent_key = c->task->agent_key,
        .link = spare_link(c),
        .done = reached,
        .arg = c,
    };
    if (!c->session && !new_session(c))
        return;
    request.session = c->session;
    c->reaching = reach_start(&c->reach, c->loop, &request);
    if (!c->reaching)
        stop_for(c, FAILURE_OTHER, NO_MEMORY_TEXT);
}

static void on_signal(void *arg, int signo)
{
    struct client *c = arg;
    bool again = c->state == CLIENT_CLOSING;
    (void)signo;
    c->failure = FAILURE_INTERRUPTED;
    snprintf(c->why, sizeof c->why, "interrupted");
    if (c->state != CLIENT_CONNECTED || again) {
        loop_stop(c->loop);
        return;
    }
    forwards_tie(c->forwards, NULL);
    begin_closing(c, "ended by the user");
}

static void on_status_signal(void *arg, int signo)
{
    struct client *c = arg;
    (void)signo;
    report_log(&c->report, c->session, c->task->options->agent, state_names[c->state],
               loop_now(c->loop));
}

/* ssh ends its ProxyCommand by SIGHUP; under nohup the signal stays ignored. */
static bool heeds_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

static void on_close_limit(struct timer *timer)
{
    loop_stop(container_of(timer, struct client, close_limit)->loop);
}

static void on_status(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, status);
    show_status(c);
    timer_set(c->loop, timer, loop_now(c->loop) + STATUS_US);
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
        .agent = options->agent,
        .by = &c->peers,
        .ended = on_forwards_ended,
        .arg = c,
    };
    c->loop = loop_new();
    if (!c->loop)
        return error_set(e, FAILURE_OTHER, "cannot create the event loop: %s", system_text(errno));
    partings_init(&c->partings, c->loop);
    c->report.begun_us = loop_now(c->loop);
    if (!loop_on_signals(c->loop, on_signal, heeds_hangup() ? on_signal : NULL, on_status_signal, c,
                         e))
        return false;
    c->forwards = forwards_new(c->loop, &request, e);
    if (!c->forwards)
        return false;
    on_log_sweep(&c->log_sweep);
    try_relay(c);
    if (log_on_terminal() && !options->stdio)
        on_status(&c->status);
    return true;
}

static void end(struct client *c)
{
    uint64_t now = c->loop ? loop_refresh_now(c->loop) : 0;
    end_session(c);
    log_rates_free(&c->log);
    report_end(&c->report, c->failure, c->why, now);
    if (!c->loop)
        return;
    timer_cancel(c->loop, &c->retry);
    timer_cancel(c->loop, &c->close_limit);
    timer_cancel(c->loop, &c->status);
    timer_cancel(c->loop, &c->log_sweep);
    stop_reaching(c);
    forwards_free(c->forwards);
    partings_free(&c->partings);
    loop_free(c->loop);
}

enum failure connection_run(const struct client_task *task)
{
    struct error e = {0};
    struct client c = {
        .task = task,
        .retry.on_fire = on_retry,
        .close_limit.on_fire = on_close_limit,
        .status.on_fire = on_status,
        .log_sweep.on_fire = on_log_sweep,
        .give_up.on_fire = on_give_up,
        .links[0].on_change = on_change_0,
        .links[1].on_change = on_change_1,
    };
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    log_rates_init(&c.log, hash_key);
    c.peers.all = &c.log;
    if (start(&c, &e))
        loop_run(c.loop);
    else
        stop_for(&c, e.failure, e.text);
    end(&c);
    return c.failure;
}
