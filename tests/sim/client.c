/* The client's role: attempts, circuits, resuming, as modules/client/connection.c, round.c and
 * reach.c. */
#include "base/clock.h"
#include "world.h"

#define ANSWER_US ((CONNECT_WAIT_S + 5) * CLOCK_US_PER_S)
#define CLOSE_WAIT_US (3 * CLOCK_US_PER_S)

static struct timeline *time_of(struct client *c)
{
    return &c->world->timeline;
}

static uint64_t now_at(const struct client *c)
{
    return party_now(&c->party);
}

static void note_client(struct client *c, const char *what, uint64_t n)
{
    note(time_of(c), "client", what, n, c->has_session ? c->session->receive_position : 0);
}

static void set_timer(struct client *c, struct event *e, uint64_t after_us)
{
    event_set(time_of(c), e, time_of(c)->now_us + after_us);
}

static void drop_link(struct client *c)
{
    if (c->link)
        end_close(c->link);
    c->link = NULL;
}

static void stop_attempt(struct client *c)
{
    c->attempt = 0;
    event_cancel(time_of(c), &c->answer_limit);
}

void client_end(struct client *c)
{
    if (!c->has_session)
        return;
    stop_attempt(c);
    event_cancel(time_of(c), &c->retry);
    event_cancel(time_of(c), &c->give_up);
    event_cancel(time_of(c), &c->close_limit);
    portions_stop(&c->closing);
    drop_link(c);
    c->has_session = false;
    c->talk->excused = true;
    session_free(c->session);
    talk_over(c->talk, CLIENT);
    world_progress(c->world);
}

static void session_over(struct client *c)
{
    note_client(c, "session over", (uint64_t)c->session->error.code);
    if (c->session->state == SESSION_ENDED && c->session->error.code == CODE_DONE)
        world_expect(c->world, !agent_serves(&c->world->agent, c->session->id),
                     "CLOSE is acknowledged, but the agent does not have it");
    client_end(c);
    if (c->world->talk_count < c->world->talks_planned)
        client_begin(c, c->world);
}

static void attempt(struct client *c)
{
    struct session_hello hello = {.version = PROTOCOL_VERSION, .agent = view_of_string("lab")};
    uint8_t payload[MESSAGE_BYTES];
    size_t len;
    session_fill_hello(c->session, &hello);
    len = session_hello_encode(&hello, payload, sizeof payload);
    c->attempt = ++c->attempts;
    note_client(c, "sends message 1 for circuit", hello.circuit);
    set_timer(c, &c->answer_limit, ANSWER_US);
    relay_connect(c->world, payload, len);
}

/* By the world's chance. */
static void retry_later(struct client *c, uint64_t worked_us)
{
    uint64_t most = backoff_most(&c->backoff, worked_us);
    set_timer(c, &c->retry, most ? 1 + chance(time_of(c), most) : 0);
}

static void on_retry(struct event *e)
{
    struct client *c = container_of(e, struct client, retry);
    if (party_puts_off(&c->party, e))
        return;
    if (c->state != CLIENT_CONNECTED || session_stalled(c->session, now_at(c)))
        attempt(c);
}

static void attempt_failed(struct client *c)
{
    note_client(c, "attempt failed", c->attempt);
    stop_attempt(c);
    world_fault(c->world, time_of(c)->now_us);
    if (c->state != CLIENT_CLOSING)
        retry_later(c, 0);
    else if (!c->link)
        session_over(c); /* it was the one try to tell the agent of the end */
}

static void on_answer_limit(struct event *e)
{
    struct client *c = container_of(e, struct client, answer_limit);
    if (!party_puts_off(&c->party, e))
        attempt_failed(c);
}

static void on_give_up(struct event *e)
{
    struct client *c = container_of(e, struct client, give_up);
    if (party_puts_off(&c->party, e))
        return;
    world_expect(c->world, !world_had_time(c->world), "no circuit though there was time");
    session_abandon(c->session, CODE_RESUME_WINDOW, "no circuit within the resume window");
    session_over(c);
}

static void link_lost(struct client *c)
{
    uint64_t worked_us = c->link->circuit.started ? now_at(c) - c->connected_us + 1 : 0;
    note_client(c, "link lost", c->link->path->serial);
    world_check_end(c->world, c->link);
    if (c->link->path->broken)
        world_fault(c->world, time_of(c)->now_us);
    drop_link(c);
    set_timer(c, &c->give_up, c->session->peer_resume_window_s * CLOCK_US_PER_S);
    c->state = CLIENT_RESUMING;
    if (!c->attempt)
        retry_later(c, worked_us);
}

/* The circuit broke before the agent has acknowledged CLOSE: it is told once more. */
static void close_again(struct client *c)
{
    note_client(c, "closes again", c->close_tried);
    drop_link(c);
    if (c->close_tried) {
        session_over(c);
        return;
    }
    c->close_tried = true;
    if (!c->attempt)
        attempt(c);
}

static void on_change(struct end *e)
{
    struct client *c = e->owner;
    world_check_end(c->world, e);
    if (e != c->link) { /* one before, not closed yet */
        end_close(e);
        return;
    }
    if (c->session->state == SESSION_CLOSED)
        end_flush(e); /* the ACK of its CLOSE */
    if (c->session->error.code)
        session_over(c);
    else if (c->state == CLIENT_CLOSING)
        close_again(c);
    else
        link_lost(c);
}

static void on_close_limit(struct event *e)
{
    struct client *c = container_of(e, struct client, close_limit);
    if (!party_puts_off(&c->party, e))
        session_over(c);
}

void client_close(struct client *c, const char *why)
{
    if (!c->has_session || c->state != CLIENT_CONNECTED || c->session->state != SESSION_ACTIVE)
        return;
    note_client(c, "closes the session", 0);
    c->talk->excused = true;
    c->state = CLIENT_CLOSING;
    event_cancel(time_of(c), &c->retry);
    set_timer(c, &c->close_limit, CLOSE_WAIT_US);
    session_close(c->session, CODE_DONE, why);
    portions_begin(&c->closing, time_of(c), c->session, NULL);
}

static void connected(struct client *c, struct path *path)
{
    struct end *before = c->link;
    c->link = &path->end[CLIENT];
    if (before)
        end_close(before);
    event_cancel(time_of(c), &c->give_up);
    event_cancel(time_of(c), &c->retry);
    if (c->state != CLIENT_CLOSING)
        c->state = CLIENT_CONNECTED;
    c->connected_us = now_at(c);
    note_client(c, "connected by circuit", path->number);
    talk_tell_head(c->talk, CLIENT, c->session);
    end_settle(c->link);
}

void client_answered(struct client *c, const struct letter *answer)
{
    struct session_welcome welcome;
    uint16_t unsupported;
    bool good = session_welcome_decode(&welcome, view_of(answer->bytes, answer->len), &unsupported);
    world_expect(c->world, good, "message 2 is not well formed");
    stop_attempt(c);
    if (welcome.code) {
        note_client(c, "refused", welcome.code);
        world_expect(c->world, c->talk->excused && welcome.code == CODE_NO_SESSION,
                     "a resume was refused");
        session_abandon(c->session, welcome.code, "refused");
        session_over(c);
    } else if (!session_take_welcome(c->session, &welcome)) {
        world_fail(c->world, "welcome: %s", c->session->error.text);
    } else if (!end_open(&answer->path->end[CLIENT], &c->party, c->session, c,
                         welcome.receive_position)) {
        world_fail(c->world, "no memory");
    } else {
        connected(c, answer->path);
    }
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct client *c = s->owner;
    (void)stream;
    (void)target;
    world_fail(c->world, "an OPEN at the client");
}

static void on_connection(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    struct client *c = s->owner;
    (void)listener;
    world_expect(c->world, c->talk->listener[CLIENT], "a connection to no listener");
    talk_answer(c->talk, CLIENT, &c->party, stream, peer);
}

static void on_wake(struct session *s)
{
    struct client *c = s->owner;
    if (c->link)
        end_wake(c->link);
}

static void on_room(struct session *s)
{
    struct client *c = s->owner;
    talk_room(c->talk, CLIENT);
}

static void on_stall(struct session *s, uint64_t since_us)
{
    struct client *c = s->owner;
    if (c->state != CLIENT_CONNECTED || c->attempt || c->retry.place)
        return;
    note_client(c, "stalls", now_at(c) - since_us);
    attempt(c);
}

static void on_stream(struct session *s, const struct stream_report *r)
{
    struct client *c = s->owner;
    talk_report(c->talk, CLIENT, r);
}

static void on_access(struct session *s, const struct access_frame *access)
{
    struct client *c = s->owner;
    note_client(c, "is told of access", access->state);
    world_expect(c->world, c->world->asks, "access is told of, though nothing is asked");
    world_expect(c->world, session_waits(s) == (access->state == ACCESS_WAITING),
                 "the client does not do what it is told");
    world_progress(c->world);
}

static void on_head(struct session *s, struct view head)
{
    struct client *c = s->owner;
    talk_hear_head(c->talk, CLIENT, head);
}

static const struct session_events events = {.on_stream = on_stream,
                                             .on_open = on_open,
                                             .on_connection = on_connection,
                                             .on_wake = on_wake,
                                             .on_room = on_room,
                                             .on_stall = on_stall,
                                             .on_access = on_access,
                                             .on_head = on_head};

void client_begin(struct client *c, struct world *w)
{
    *c = (struct client){
        .party = {.t = &w->timeline,
                  .name = "client",
                  .on_change = on_change,
                  .asleep_until_us = c->party.asleep_until_us,
                  .clock_behind_us = c->party.clock_behind_us},
        .world = w,
        .attempts = c->attempts,
        .retry.run = on_retry,
        .answer_limit.run = on_answer_limit,
        .give_up.run = on_give_up,
        .close_limit.run = on_close_limit,
    };
    c->talk = &w->talks[w->talk_count++];
    c->session = session_new(&w->settings[CLIENT], &events, c);
    if (!c->session) {
        world_fail(w, "no memory");
        return;
    }
    c->has_session = true;
    talk_begin(c->talk, w, w->talk_count, &c->party, c->session);
    attempt(c);
}
