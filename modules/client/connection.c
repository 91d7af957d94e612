#include "client/connection.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "base/version.h"
#include "client/reach.h"
#include "forward/listener.h"
#include "forward/remote.h"
#include "hop/backoff.h"

#define STATUS_US CLOCK_US_PER_S
#define RESUME_RETRY_MAX_S 30 /* that a relay can make a session wait */

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
    struct listener **listeners; /* of the -L, -D and -U among the task's forwards */
    size_t listener_count;
    struct remotes *remotes; /* of the -R among them */

    /* What is told at the end. */
    uint64_t begun_us, sent, received;
    unsigned streams;
    enum failure failure;
    char why[480];
    struct timer close_limit, status;
    struct partings partings;
};

static const struct client_relay *relay_of(const struct client *c)
{
    return &c->task->config->relays[c->relay_index];
}

static void relay_text(char out[HOST_TEXT_BYTES + 8], const struct client_relay *relay)
{
    snprintf(out, HOST_TEXT_BYTES + 8, strchr(relay->address.host, ':') ? "[%s]:%u" : "%s:%u",
             relay->address.host, relay->address.port);
}

/* Ends the loop with an exit code and a reason; the first one counts. */
static void finish(struct client *c, enum failure failure, const char *why)
{
    if (!c->why[0]) {
        c->failure = failure;
        snprintf(c->why, sizeof c->why, "%s", why);
    }
    loop_stop(c->loop);
}

static void tie_listeners(struct client *c, struct session *s)
{
    for (size_t i = 0; i < c->listener_count; i++)
        listener_set_session(c->listeners[i], s);
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
    if (!c->session)
        return;
    stop_reaching(c);
    timer_cancel(c->loop, &c->give_up);
    tie_listeners(c, NULL);
    link_close(&c->links[0]); /* the other may have been to be the next */
    link_close(&c->links[1]);
    c->link = NULL;
    struct session_summary summary = session_summary(c->session);
    struct session *s = c->session;
    c->sent += summary.bytes_sent;
    c->received += summary.bytes_received;
    c->streams += summary.streams_opened;
    c->session = NULL; /* what its streams' ends bring about finds none */
    session_free(s);
}

static void try_relay(struct client *c);

static void on_retry(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, retry);
    if (c->state != CLIENT_CONNECTED || session_stalled(c->session, loop_now(c->loop)))
        try_relay(c);
}

/* worked_us: for how long what the last try brought has worked. */
static void retry_later(struct client *c, enum client_state meanwhile, uint64_t worked_us,
                        uint32_t at_least_s)
{
    uint64_t wait = backoff_next(&c->backoff, worked_us);
    char text[24];
    if (wait < at_least_s * CLOCK_US_PER_S)
        wait = at_least_s * CLOCK_US_PER_S;
    text_duration(text, wait);
    if (wait)
        log_info("trying again in %s", text);
    c->state = meanwhile;
    timer_set(c->loop, &c->retry, loop_now(c->loop) + wait);
}

/* Whether another try may help: a refusal is final until a session was there. */
static bool is_final(const struct client *c, const struct wire_error *e)
{
    if (c->task->options->stdio)
        return true;
    if (e->code == CODE_NETWORK || e->code == CODE_TIMEOUT || e->code == CODE_SHUTDOWN ||
        e->code == CODE_FULL || e->code == CODE_INTERNAL)
        return false;
    if (e->code == CODE_OFFLINE || e->code == CODE_NO_AGENT || e->code == CODE_NO_SESSION ||
        e->code == CODE_ENDED || e->code == CODE_RESUME_WINDOW || e->code == CODE_PROTOCOL ||
        e->code == CODE_REVOKED)
        return !c->ever_connected;
    return true;
}

/* For how long the current circuit works: the agent has proven itself on it. */
static uint64_t circuit_worked_us(const struct client *c)
{
    return c->link && c->link->circuit.started ? loop_now(c->loop) - c->connected_us + 1 : 0;
}

/* The session is over: its applications are reset. A client with listeners begins another unless it
 * cannot help. */
static void session_over(struct client *c)
{
    struct wire_error e = *session_error(c->session);
    uint64_t worked_us = circuit_worked_us(c);
    log_warning("the session has ended: %s", e.text);
    if (c->link)
        link_part(c->link, &c->partings);
    end_session(c);
    if (is_final(c, &e))
        finish(c, code_failure(e.code), e.text);
    else
        retry_later(c, CLIENT_WAITING, worked_us, 0);
}

static void on_give_up(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, give_up);
    char text[80];
    stop_reaching(c);
    timer_cancel(c->loop, &c->retry);
    snprintf(text, sizeof text, "no circuit could be had within the resume window of %u s",
             session_resume_window_s(c->session));
    session_abandon(c->session, CODE_RESUME_WINDOW, text);
    session_over(c);
}

/* Whether another relay may do better: not when it is the agent's word, nor when keys differ before
 * there is a session, which the engineer is to be told. */
static bool is_the_relays(const struct client *c, const struct reach_outcome *o)
{
    bool keys_differ =
        o->answered && (o->error.code == CODE_UNKNOWN_KEY || o->error.code == CODE_BAD_HANDSHAKE);
    return !o->by_agent && !(keys_differ && c->state == CLIENT_CONNECTING);
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

static void try_failed(struct client *c, const struct reach_outcome *o)
{
    char relay[HOST_TEXT_BYTES + 8];
    relay_text(relay, relay_of(c));
    if (c->state == CLIENT_CLOSING) {
        if (!c->link)
            loop_stop(c->loop); /* it was the one try to tell the agent of the end */
        return;
    }
    if (o->answered)
        log_warning("relay %s: %s", relay, o->error.text);
    else
        log_warning("%s", o->error.text);
    if (c->state == CLIENT_RESUMING && o->by_agent) {
        session_abandon(c->session, o->error.code, o->error.text);
        session_over(c);
        return;
    }
    if (try_next_relay(c, o))
        return;
    if (c->state == CLIENT_CONNECTED || c->state == CLIENT_RESUMING) {
        /* What a relay says never ends a session, nor by a wait beyond its resume window.
         * Connected: the circuit that stalled is still there. */
        retry_later(c, c->state, 0,
                    o->retry_s < RESUME_RETRY_MAX_S ? o->retry_s : RESUME_RETRY_MAX_S);
        return;
    }
    end_session(c);
    if (is_final(c, &o->error))
        finish(c, code_failure(o->error.code), o->error.text);
    else
        retry_later(c, CLIENT_WAITING, 0, o->retry_s);
}

/* Owes CLOSE and gives the agent its time to acknowledge it. */
static void begin_closing(struct client *c, const char *text)
{
    session_close(c->session, CODE_DONE, text);
    c->state = CLIENT_CLOSING;
    timer_cancel(c->loop, &c->retry);
    timer_set(c->loop, &c->close_limit, loop_now(c->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
}

/* What the client was there for has ended, with this RESET or, code 0, cleanly; why is set. */
static void close_session(struct client *c, unsigned code)
{
    c->failure = !code                         ? FAILURE_NONE
                 : code == RESET_NOT_PERMITTED ? FAILURE_DENIED
                                               : FAILURE_OTHER;
    if (code && session_state(c->session) != SESSION_ACTIVE)
        c->failure = code_failure(session_error(c->session)->code);
    begin_closing(c, "finished");
}

static void stdio_ended(void *arg, unsigned code, const char *text)
{
    struct client *c = arg;
    if (!c->session)
        return; /* session_over tells what ended it */
    snprintf(c->why, sizeof c->why, "%s%s%s",
             code ? reset_code_text(code) : "the stream is finished", code && text[0] ? ": " : "",
             code ? text : "");
    close_session(c, code);
}

/* The client goes on as long as anything is forwarded. */
static void remote_ended(void *arg, unsigned code, const char *text)
{
    struct client *c = arg;
    if (c->listener_count || remotes_alive(c->remotes))
        return;
    snprintf(c->why, sizeof c->why, "the agent does not listen: %s", text);
    close_session(c, code);
}

static bool open_stdio(struct client *c)
{
    char target[TARGET_TEXT_BYTES];
    struct endpoint *e = endpoint_new_pair(c->loop, STDIN_FILENO, STDOUT_FILENO, stdio_ended, c);
    struct stream *st;
    target_to_text(target, &c->task->options->stdio_target);
    st = e ? stream_open(c->session, target, &endpoint_events, e) : NULL;
    if (!st)
        return false;
    endpoint_start(e, st);
    return true;
}

static void connected(struct client *c, struct link *link, const char *label)
{
    char relay[HOST_TEXT_BYTES + 8], time[24];
    relay_text(relay, relay_of(c));
    drop_link(c); /* one that stalled */
    c->link = link;
    c->connected_us = loop_now(c->loop);
    timer_cancel(c->loop, &c->give_up);
    if (c->state == CLIENT_CLOSING)
        return; /* CLOSE goes out again */
    timer_cancel(c->loop, &c->retry);
    if (c->state != CLIENT_CONNECTING) {
        text_duration(time, loop_now(c->loop) - c->lost_us);
        log_info("resumed after %s, nothing lost: through relay %s, circuit %s", time, relay,
                 label);
    } else {
        log_info("connected to agent %s through relay %s, circuit %s", c->task->options->agent,
                 relay, label);
    }
    c->state = CLIENT_CONNECTED;
    c->ever_connected = true;
    c->failures = 0;
    tie_listeners(c, c->session);
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
    stream_reset(stream, RESET_NOT_PERMITTED, "nothing is listened for");
}

static void on_connection(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    struct client *c = session_owner(s);
    remotes_connect(c->remotes, stream, listener, peer);
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
    for (size_t i = 0; i < c->listener_count; i++)
        listener_resume(c->listeners[i]);
}

/* A circuit on which nothing comes back is not waited for: the next one starts beside it. */
static void on_stall(struct session *s, uint64_t since_us)
{
    struct client *c = session_owner(s);
    if (c->state != CLIENT_CONNECTED || c->reaching || timer_is_set(&c->retry))
        return;
    log_warning("nothing comes back: trying another circuit beside this one");
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
    log_warning("link lost: %s; resuming", why);
    drop_link(c);
    c->lost_us = loop_now(c->loop);
    timer_set(c->loop, &c->give_up,
              c->lost_us + session_resume_window_s(c->session) * CLOCK_US_PER_S);
    if (c->reaching)
        c->state = CLIENT_RESUMING; /* the next circuit is on its way already */
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
        return; /* the session is on another one, and connected() takes note of it */
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
    settings.streams = remotes_count(c->remotes) ? AGENT_STREAMS_MAX : 0;
    c->session = session_new(&settings, &session_events, c);
    if (!c->session) {
        finish(c, FAILURE_OTHER, NO_MEMORY_TEXT);
        return false;
    }
    c->state = CLIENT_CONNECTING;
    if (c->task->options->stdio && !open_stdio(c)) {
        finish(c, FAILURE_OTHER, "standard input or output cannot be used");
        return false;
    }
    if (!remotes_ask(c->remotes, c->session, &e)) {
        finish(c, e.failure, e.text);
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
        finish(c, FAILURE_OTHER, NO_MEMORY_TEXT);
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
    tie_listeners(c, NULL);
    begin_closing(c, "the user is finished");
}

/* ssh tells its ProxyCommand by SIGHUP that it is done; under nohup it is not for us. */
static bool heeds_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

static void on_close_limit(struct timer *timer)
{
    loop_stop(container_of(timer, struct client, close_limit)->loop);
}

static void show_status(struct client *c)
{
    char text[256], up[16], down[16], time[24], rtt[24] = "-";
    uint64_t sent = c->sent, received = c->received;
    unsigned open = 0;
    if (c->session) {
        struct session_summary summary = session_summary(c->session);
        sent += summary.bytes_sent;
        received += summary.bytes_received;
        open = summary.own_open;
        if (summary.rtt_us)
            text_duration(rtt, summary.rtt_us);
    }
    text_bytes(up, sent);
    text_bytes(down, received);
    text_duration(time, (loop_now(c->loop) - c->begun_us) / CLOCK_US_PER_S * CLOCK_US_PER_S);
    snprintf(text, sizeof text, "%s: %s | round trip %s | %u streams | %s up, %s down | %s",
             c->task->options->agent, state_names[c->state], rtt, open, up, down, time);
    log_status(text);
}

static void on_status(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, status);
    show_status(c);
    timer_set(c->loop, timer, loop_now(c->loop) + STATUS_US);
}

/* Opens what listens for a forward here; false: e says why. */
static bool open_forward(struct client *c, const struct forward *f, struct error *e)
{
    char target[TARGET_TEXT_BYTES] = "what SOCKS or HTTP CONNECT asks for";
    struct listener *l;
    if (f->kind == FORWARD_REMOTE)
        return true; /* the agent listens for it */
    l = listener_new(c->loop, f, e);
    if (!l)
        return false;
    c->listeners[c->listener_count++] = l;
    if (f->kind != FORWARD_DYNAMIC)
        target_to_text(target, &f->target);
    log_info("forwarding %s to %s", listener_address(l), target);
    return true;
}

static bool open_forwards(struct client *c, struct error *e)
{
    c->listeners =
        calloc(c->task->forward_count ? c->task->forward_count : 1, sizeof *c->listeners);
    c->remotes = remotes_new(c->loop, c->task->forwards, c->task->forward_count, remote_ended, c);
    if (!c->listeners || !c->remotes)
        return error_no_memory(e);
    for (size_t i = 0; i < c->task->forward_count; i++)
        if (!open_forward(c, &c->task->forwards[i], e))
            return false;
    return true;
}

static void say_the_end(struct client *c)
{
    char up[16], down[16], time[24];
    text_bytes(up, c->sent);
    text_bytes(down, c->received);
    text_duration(time, loop_refresh_now(c->loop) - c->begun_us);
    log_status(NULL);
    log_line(c->failure == FAILURE_NONE || c->failure == FAILURE_INTERRUPTED ? LOG_INFO : LOG_ERROR,
             "ended: %s; %u stream%s, %s up, %s down, %s", c->why, c->streams,
             c->streams == 1 ? "" : "s", up, down, time);
}

static void run(struct client *c)
{
    struct error e = {0};
    c->begun_us = loop_now(c->loop);
    c->retry.on_fire = on_retry;
    c->close_limit.on_fire = on_close_limit;
    c->status.on_fire = on_status;
    c->give_up.on_fire = on_give_up;
    c->links[0].on_change = on_change_0;
    c->links[1].on_change = on_change_1;
    if (!loop_on_signal(c->loop, SIGINT, on_signal, c) ||
        !loop_on_signal(c->loop, SIGTERM, on_signal, c) ||
        (heeds_hangup() && !loop_on_signal(c->loop, SIGHUP, on_signal, c)))
        finish(c, FAILURE_OTHER, "signals cannot be watched");
    else if (!open_forwards(c, &e))
        finish(c, e.failure, e.text);
    else
        try_relay(c);
    if (log_on_terminal() && !c->task->options->stdio)
        on_status(&c->status);
    loop_run(c->loop);
    end_session(c);
    say_the_end(c);
}

static void clean_up(struct client *c)
{
    timer_cancel(c->loop, &c->retry);
    timer_cancel(c->loop, &c->close_limit);
    timer_cancel(c->loop, &c->status);
    stop_reaching(c);
    for (size_t i = 0; i < c->listener_count; i++)
        listener_free(c->listeners[i]);
    free(c->listeners);
    remotes_free(c->remotes);
    partings_free(&c->partings);
    loop_free(c->loop);
}

enum failure connection_run(const struct client_task *task)
{
    struct client c = {.task = task};
    c.loop = loop_new();
    if (!c.loop) {
        log_error("the event loop cannot be made: %s", strerror(errno));
        return FAILURE_OTHER;
    }
    partings_init(&c.partings, c.loop);
    run(&c);
    clean_up(&c);
    return c.failure;
}
