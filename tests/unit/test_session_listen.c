/* Listeners, and the streams that the agent opens for them (docs/PROTOCOL.md section 5,
 * "Agent-opened streams"). */
#include "session_pair.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "session/internal.h"
#include "session/listen.h"

#define HERE "127.0.0.1:8080"

/* A listener's owner, and what it was told; the client's of the one it asked for, the agent's of
 * the one it has. */
struct owner {
    struct stream *listener; /* NULL: gone */
    unsigned listening, resets, dones;
    enum reset_code reset_code;
    char reset_text[TEXT_MAX_BYTES + 1], address[ADDRESS_MAX_BYTES + 1];
};

static struct owner asked, had; /* the last one of either side */

static ssize_t no_pull(void *owner, struct iovec *piece, int pieces)
{
    (void)owner;
    (void)piece;
    (void)pieces;
    fail_msg("a listener was asked for bytes");
    return STREAM_PULL_NONE;
}

static size_t no_push(void *owner, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)data;
    fail_msg("a listener was given %zu bytes", len);
    return 0;
}

static void no_eof(void *owner)
{
    (void)owner;
    fail_msg("a listener was told an end of file");
}

static void on_listening(void *owner, struct view address)
{
    struct owner *o = owner;
    o->listening++;
    text_clean(o->address, sizeof o->address, address);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct owner *o = owner;
    assert_non_null(o->listener);
    o->listener = NULL;
    o->resets++;
    o->reset_code = code;
    snprintf(o->reset_text, sizeof o->reset_text, "%s", text);
}

static void on_done(void *owner)
{
    struct owner *o = owner;
    assert_non_null(o->listener);
    o->listener = NULL;
    o->dones++;
}

static const struct stream_events owner_events = {
    .pull = no_pull,
    .push = no_push,
    .on_eof = no_eof,
    .on_opened = on_listening,
    .on_reset = on_reset,
    .on_done = on_done,
};

/* --- Two engines --- */

static void hold_listen(struct side *side, struct stream *listener, struct view address)
{
    (void)side;
    had = (struct owner){.listener = listener};
    text_clean(had.address, sizeof had.address, address);
    stream_set_owner(listener, &owner_events, &had);
}

static void accept_listen(struct side *side, struct stream *listener, struct view address)
{
    hold_listen(side, listener, address);
    stream_accept(listener, HERE);
}

/* One of many: nobody looks at what it is told. */
static void accept_any(struct side *side, struct stream *listener, struct view address)
{
    (void)side;
    (void)address;
    stream_accept(listener, HERE);
}

static void refuse_listen(struct side *side, struct stream *listener, struct view address)
{
    (void)side;
    (void)address;
    stream_reset(listener, RESET_NOT_PERMITTED, "not here");
}

static void on_connection(struct side *side, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    assert_ptr_equal(listener, asked.listener);
    assert_ptr_equal(listener->owner, &asked);
    app_answer(side, stream, peer);
}

static struct session_settings listening_settings(bool client)
{
    struct session_settings t = session_default_settings(client);
    *(client ? &t.streams : &t.own_streams) = AGENT_STREAMS_MAX;
    return t;
}

static struct pair *pair_of(const struct session_settings *client,
                            const struct session_settings *agent)
{
    struct pair *p = pair_new(client, agent);
    p->side[AGENT].on_listen = accept_listen;
    p->side[CLIENT].on_connection = on_connection;
    asked = had = (struct owner){0};
    return p;
}

static struct pair *listening_pair_with(const struct session_settings *client)
{
    struct session_settings agent = listening_settings(false);
    return pair_of(client, &agent);
}

static struct pair *listening_pair(void)
{
    struct session_settings client = listening_settings(true);
    return listening_pair_with(&client);
}

static void ask(struct session *s, const char *address)
{
    asked = (struct owner){.listener = listen_request(s, address, &owner_events, &asked)};
    assert_non_null(asked.listener);
}

/* A pair whose client has asked and was told where the agent listens. */
static struct pair *joined_pair(void)
{
    struct pair *p = listening_pair();
    ask(p->side[CLIENT].s, "127.0.0.1:0");
    pair_connect(p);
    pair_run(p);
    return p;
}

static struct app *other(struct pair *p, int which, unsigned number)
{
    struct app *app = app_find(&p->side[which], number);
    assert_non_null(app);
    return app;
}

static void test_listening(void **state)
{
    struct pair *p = joined_pair();
    struct app *at_agent, *at_client;
    (void)state;
    assert_string_equal(had.address, "127.0.0.1:0");
    assert_int_equal(asked.listening, 1);
    assert_string_equal(asked.address, HERE);
    assert_int_equal(p->side[CLIENT].s->listeners, 1);
    assert_int_equal(p->side[AGENT].s->listeners, 1);
    p->side[CLIENT].model.available = 50000;
    p->side[CLIENT].model.closing = true;
    at_agent = app_open_for(&p->side[AGENT], had.listener, 1);
    assert_non_null(at_agent);
    app_write(at_agent, 3 << 20);
    app_close(at_agent);
    pair_wait(p, 200000);
    at_client = other(p, CLIENT, 1);
    assert_int_equal(at_agent->opened, 1);
    assert_int_equal(at_agent->received, 50000);
    assert_int_equal(at_client->received, 3 << 20);
    assert_int_equal(at_agent->dones + at_client->dones, 2);
    assert_int_equal(p->side[AGENT].s->streams_opened, 1);
    assert_int_equal(p->side[CLIENT].s->streams_opened, 1);
    stream_reset(asked.listener, RESET_INTERNAL, "enough");
    pair_wait(p, 200000);
    assert_int_equal(had.resets, 1);
    assert_string_equal(had.reset_text, "enough");
    pair_check_empty(p);
    pair_free(p);
}

/* Without early credit the agent sends nothing before OPENED. */
static void test_nothing_before_opened(void **state)
{
    struct pair *p = joined_pair();
    struct app *at_agent;
    (void)state;
    p->side[CLIENT].answer = OPEN_HOLD;
    at_agent = app_open_for(&p->side[AGENT], had.listener, 1);
    app_write(at_agent, 100000);
    pair_wait(p, 200000);
    assert_int_equal(at_agent->pulls, 0);
    assert_int_equal(other(p, CLIENT, 1)->stream->credit_out, 0);
    app_accept(other(p, CLIENT, 1), "127.0.0.1:80");
    pair_wait(p, 200000);
    assert_int_equal(other(p, CLIENT, 1)->received, 100000);
    assert_string_equal(at_agent->address, "127.0.0.1:80");
    pair_free(p);
}

static void test_target_refuses(void **state)
{
    struct pair *p = joined_pair();
    struct app *at_agent;
    (void)state;
    p->side[CLIENT].answer = OPEN_REFUSE;
    at_agent = app_open_for(&p->side[AGENT], had.listener, 1);
    pair_wait(p, 200000);
    assert_int_equal(at_agent->resets, 1);
    assert_int_equal(at_agent->reset_code, RESET_REFUSED);
    assert_non_null(asked.listener);
    pair_free(p);
}

static void test_refused(void **state)
{
    struct pair *p = listening_pair();
    (void)state;
    p->side[AGENT].on_listen = refuse_listen;
    ask(p->side[CLIENT].s, "0.0.0.0:22");
    pair_connect(p);
    pair_wait(p, 200000);
    assert_int_equal(asked.resets, 1);
    assert_int_equal(asked.reset_code, RESET_NOT_PERMITTED);
    assert_string_equal(asked.reset_text, "not here");
    pair_check_empty(p);
    pair_free(p);
}

static void test_what_cannot_be_asked(void **state)
{
    struct pair *p = listening_pair();
    struct session *s = p->side[CLIENT].s;
    char text[ADDRESS_MAX_BYTES + 2];
    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_null(listen_request(s, text, &owner_events, &asked));
    assert_int_equal(errno, EINVAL);
    assert_null(listen_request(s, "\xff", &owner_events, &asked));
    assert_int_equal(errno, EINVAL);
    text[ADDRESS_MAX_BYTES] = '\0';
    ask(s, text);
    pair_connect(p);
    pair_wait(p, 200000);
    assert_string_equal(had.address, text);
    session_close(s, CODE_DONE, "");
    assert_null(listen_request(s, HERE, &owner_events, &asked));
    assert_int_equal(errno, EAGAIN);
    pair_free(p);
}

static void test_limit_of_listeners(void **state)
{
    struct session_settings client = listening_settings(true), agent = listening_settings(false);
    struct owner owners[LISTENERS_MAX];
    struct session *s;
    struct pair *p;
    (void)state;
    agent.listeners = LISTENERS_MAX;
    p = pair_of(&client, &agent);
    s = p->side[CLIENT].s;
    p->side[AGENT].on_listen = accept_any;
    pair_connect(p);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < LISTENERS_MAX; i++) {
            owners[i] =
                (struct owner){.listener = listen_request(s, HERE, &owner_events, &owners[i])};
            assert_non_null(owners[i].listener);
        }
        assert_null(listen_request(s, HERE, &owner_events, &asked));
        assert_int_equal(errno, EAGAIN);
        pair_wait(p, 200000);
        assert_int_equal(p->side[AGENT].s->listeners, LISTENERS_MAX);
        for (unsigned i = 0; i < LISTENERS_MAX; i++) {
            assert_int_equal(owners[i].listening, 1);
            stream_reset(owners[i].listener, RESET_INTERNAL, "");
            assert_int_equal(s->listeners, LISTENERS_MAX - i);
            pair_wait(p, 200000);
            assert_int_equal(s->listeners, LISTENERS_MAX - 1 - i);
        }
        pair_check_empty(p);
    }
    pair_free(p);
}

/* The agent's configuration decides: one more is refused, until one has ended. */
static void test_agent_allows_fewer(void **state)
{
    struct session_settings client = listening_settings(true), agent = listening_settings(false);
    struct owner owners[4] = {0};
    struct session *s;
    struct pair *p;
    (void)state;
    agent.listeners = 2;
    p = pair_of(&client, &agent);
    s = p->side[CLIENT].s;
    p->side[AGENT].on_listen = accept_any;
    pair_connect(p);
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            stream_reset(owners[0].listener, RESET_INTERNAL, "");
        owners[i].listener = listen_request(s, HERE, &owner_events, &owners[i]);
        pair_wait(p, 200000);
        assert_int_equal(owners[i].listening, i != 2);
        assert_int_equal(p->side[AGENT].s->listeners, i == 0 ? 1 : 2);
    }
    assert_int_equal(owners[2].reset_code, RESET_LIMIT);
    pair_free(p);
}

/* A connection over the client's number waits; on_room says when it need not any more. */
static void test_limit_of_streams(void **state)
{
    struct session_settings client = listening_settings(true);
    struct pair *p;
    struct app *first;
    (void)state;
    client.streams = 2;
    p = listening_pair_with(&client);
    ask(p->side[CLIENT].s, HERE);
    pair_connect(p);
    pair_run(p);
    first = app_open_for(&p->side[AGENT], had.listener, 1);
    assert_non_null(app_open_for(&p->side[AGENT], had.listener, 2));
    assert_null(app_open_for(&p->side[AGENT], had.listener, 3));
    assert_int_equal(errno, EAGAIN);
    pair_run(p);
    assert_int_equal(p->side[AGENT].rooms, 0);
    app_reset(first, RESET_BY_TARGET, "");
    pair_wait(p, 200000);
    assert_int_equal(p->side[AGENT].rooms, 1);
    assert_non_null(app_open_for(&p->side[AGENT], had.listener, 3));
    assert_null(app_open_for(&p->side[AGENT], had.listener, 4));
    pair_free(p);

    client.streams = STREAMS_DEFAULT; /* the agent's own bound holds too */
    p = listening_pair_with(&client);
    ask(p->side[CLIENT].s, HERE);
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < AGENT_STREAMS_MAX; i++)
        assert_non_null(app_open_for(&p->side[AGENT], had.listener, i));
    assert_null(app_open_for(&p->side[AGENT], had.listener, AGENT_STREAMS_MAX));
    pair_wait(p, 200000);
    assert_int_equal(p->side[CLIENT].s->peer_open, AGENT_STREAMS_MAX);
    pair_free(p);
}

/* Both ends of the listener cross, and OPENs cross either of them: nothing is left, the session
 * goes on. */
static void cross(bool by_client, bool by_agent, unsigned before, unsigned after)
{
    struct pair *p = joined_pair();
    struct conn *c = p->conn;
    unsigned ended = 0;
    for (unsigned i = 0; i < before; i++)
        assert_non_null(app_open_for(&p->side[AGENT], had.listener, i));
    if (by_client)
        stream_reset(asked.listener, RESET_INTERNAL, "client");
    if (by_client)
        conn_flush(c, CLIENT);
    for (unsigned i = before; i < before + after; i++)
        assert_non_null(app_open_for(&p->side[AGENT], had.listener, i));
    if (by_agent)
        stream_reset(had.listener, RESET_INTERNAL, "agent");
    pair_wait(p, 200000);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_ACTIVE);
    assert_int_equal(p->side[AGENT].s->state, SESSION_ACTIVE);
    assert_int_equal(p->side[CLIENT].s->listeners + p->side[AGENT].s->listeners, 0);
    assert_int_equal(asked.resets, !by_client);
    assert_int_equal(had.resets, !by_agent);
    list_each (link, &p->side[AGENT].apps)
        ended += container_of(link, struct app, link)->reset_code == RESET_NOT_PERMITTED;
    assert_int_equal(ended, by_client ? before + after : 0);
    assert_int_equal(p->side[CLIENT].opens, by_client ? 0 : before + after);
    pair_free(p);
}

static void test_crossing(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 3; before++) {
        for (unsigned after = 0; after < 3; after++) {
            cross(true, false, before, after);
            cross(false, true, before, after);
            cross(true, true, before, after);
        }
    }
}

/* The agent's OPEN is lost with its circuit after the client's RESET had come: the next circuit
 * brings the OPEN after the acknowledgement of the RESET. */
static void test_crossing_over_a_resume(void **state)
{
    struct pair *p = joined_pair();
    struct app *at_agent;
    (void)state;
    stream_reset(asked.listener, RESET_INTERNAL, "client");
    conn_flush(p->conn, CLIENT);
    at_agent = app_open_for(&p->side[AGENT], had.listener, 1);
    conn_flush(p->conn, AGENT); /* on its way */
    while (conn_deliver(p->conn, CLIENT, SIZE_MAX))
        ;
    assert_int_equal(had.resets, 1);
    conn_drop(p->conn);
    pair_connect(p);
    assert_int_equal(p->side[CLIENT].s->listeners, 0); /* the handshake has told it */
    pair_wait(p, 200000);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_ACTIVE);
    assert_int_equal(at_agent->resets, 1);
    assert_int_equal(at_agent->reset_code, RESET_NOT_PERMITTED);
    pair_check_empty(p);
    pair_free(p);
}

/* The circuit is cut after every so many bytes. */
static void listen_over_cuts(uint64_t each)
{
    struct pair *p = listening_pair();
    struct app *app = NULL;
    unsigned cuts = 0;
    p->slice = SLICE_RANDOM;
    ask(p->side[CLIENT].s, HERE);
    for (; cuts < 1000 && (!app || app->dones + app->resets == 0); cuts++) {
        struct conn *c = pair_connect(p);
        while (c->carried[0] + c->carried[1] < each + 12 * (uint64_t)cuts && pair_step(p))
            ;
        if (had.listener && had.listener->sending == 0 && had.listener->answered && !app) {
            app = app_open_for(&p->side[AGENT], had.listener, 1);
            app_write(app, 2000);
            app_close(app);
            p->side[CLIENT].model.closing = true;
        }
        conn_drop(c);
        p->now += 1000;
    }
    pair_connect(p);
    pair_wait(p, 200000);
    assert_int_equal(app->dones, 1);
    assert_int_equal(other(p, CLIENT, 1)->received, 2000);
    assert_int_equal(asked.listening, 1);
    assert_non_null(asked.listener);
    assert_non_null(had.listener);
    assert_non_null(app_open_for(&p->side[AGENT], had.listener, 2)); /* it lives on */
    pair_wait(p, 200000);
    assert_int_equal(other(p, AGENT, 2)->opened, 1);
    pair_free(p);
}

static void test_resume_keeps_listeners(void **state)
{
    (void)state;
    for (uint64_t each = 1; each < 400; each += 7)
        listen_over_cuts(each);
}

static void test_end_of_the_session(void **state)
{
    struct pair *p = joined_pair();
    struct app *at_agent;
    (void)state;
    at_agent = app_open_for(&p->side[AGENT], had.listener, 1);
    pair_run(p);
    session_close(p->side[CLIENT].s, CODE_DONE, "finished");
    assert_int_equal(asked.resets, 1);
    pair_wait(p, 200000);
    assert_int_equal(had.resets, 1);
    assert_string_equal(had.reset_text, "finished");
    assert_int_equal(at_agent->resets, 1);
    pair_free(p);

    p = listening_pair(); /* the listener was asked for, never answered */
    p->side[AGENT].on_listen = hold_listen;
    ask(p->side[CLIENT].s, HERE);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(asked.listening, 0);
    session_close(p->side[AGENT].s, CODE_REVOKED, "no longer");
    pair_wait(p, 200000);
    assert_int_equal(asked.resets, 1);
    assert_int_equal(had.resets, 1);
    pair_free(p);
}

/* --- One engine --- */

static void send_open(struct raw *r, uint32_t stream, uint32_t listener)
{
    uint8_t payload[64];
    struct open_frame open = {
        .window = 1000, .listener = listener, .address = view_of_string("tcp:app:7")};
    raw_send(r, FRAME_OPEN, stream, payload, open_encode(&open, true, payload, sizeof payload));
}

static void send_address(struct raw *r, unsigned type, uint32_t stream)
{
    uint8_t payload[64];
    raw_send(r, type, stream, payload,
             address_encode(view_of_string(HERE), payload, sizeof payload));
}

#define LISTENER 1U
#define STREAM 3U
#define UNANSWERED 5U
#define UNUSED 7U

/* A client with a live listener, an open stream of its own, and a listener without an answer. */
static struct raw *client(void)
{
    struct session_settings t = listening_settings(true);
    static struct owner unanswered;
    struct raw *r;
    t.streams = 2;
    r = raw_new(true, &t);
    r->side.on_connection = on_connection;
    ask(r->s, HERE);
    assert_non_null(app_open(&r->side, STREAM));
    unanswered = (struct owner){.listener = listen_request(r->s, HERE, &owner_events, &unanswered)};
    raw_start(r);
    send_address(r, FRAME_LISTENING, LISTENER);
    raw_send_opened(r, STREAM, 10000);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(asked.listening, 1);
    raw_output(r);
    return r;
}

static void check_protocol_end(struct raw *r)
{
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    raw_free(r);
}

static void test_open_without_listen(void **state)
{
    static const uint32_t listeners[] = {0, STREAM,     UNANSWERED, UNUSED,    2,
                                         4, UNUSED + 2, 0x80000001, UINT32_MAX};
    struct raw *r;
    (void)state;
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
        r = client();
        send_open(r, 2, listeners[i]);
        assert_int_equal(r->side.opens, 0);
        check_protocol_end(r);
    }
    r = client();
    send_open(r, 4, LISTENER); /* ids must grow by 2 */
    check_protocol_end(r);
    r = client();
    send_open(r, LISTENER, LISTENER);
    check_protocol_end(r);
    r = raw_new(true, NULL); /* a client that never listens */
    raw_start(r);
    send_open(r, 2, 1);
    check_protocol_end(r);
}

/* The RESET that the engine sends now for a stream; its code. */
static unsigned reset_sent(struct raw *r, uint32_t stream)
{
    const struct sent *sent = raw_output(r);
    for (unsigned i = 0; i < sent->count; i++)
        if (sent->frame[i].type == FRAME_RESET && sent->frame[i].stream == stream)
            return load_be16(sent->frame[i].payload);
    return 0;
}

static void acknowledge(struct raw *r)
{
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
}

static void test_open_for_one_that_ended(void **state)
{
    struct raw *r = client();
    (void)state;
    stream_reset(asked.listener, RESET_INTERNAL, ""); /* owed */
    send_open(r, 2, LISTENER);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(reset_sent(r, 2), RESET_NOT_PERMITTED);
    send_open(r, 4, LISTENER); /* sent, not acknowledged */
    assert_int_equal(reset_sent(r, 4), RESET_NOT_PERMITTED);
    acknowledge(r);
    send_open(r, 6, LISTENER);
    assert_int_equal(reset_sent(r, 6), RESET_NOT_PERMITTED);
    assert_int_equal(r->side.opens, 0);
    raw_free(r);

    r = client();
    raw_send_code(r, FRAME_RESET, LISTENER, RESET_INTERNAL, "agent");
    assert_int_equal(asked.resets, 1);
    assert_string_equal(asked.reset_text, "agent");
    send_open(r, 2, LISTENER);
    assert_int_equal(r->side.opens, 0);
    assert_int_equal(reset_sent(r, 2), RESET_NOT_PERMITTED);
    raw_free(r);
}

static void test_end_by_eof(void **state)
{
    struct raw *r = client();
    (void)state;
    raw_send(r, FRAME_EOF, LISTENER, NULL, 0);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(r->s->listeners, 1);
    send_open(r, 2, LISTENER);
    assert_int_equal(reset_sent(r, 2), RESET_NOT_PERMITTED);
    raw_send(r, FRAME_EOF, UNANSWERED, NULL, 0);
    assert_int_equal(r->s->listeners, 0);
    raw_send(r, FRAME_EOF, LISTENER, NULL, 0); /* forgotten: dropped */
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

static void test_listening_out_of_place(void **state)
{
    struct raw *r;
    (void)state;
    for (uint32_t id = 0; id <= UNUSED; id++) {
        r = client();
        send_address(r, FRAME_LISTENING, id);
        if (id != UNANSWERED) {
            check_protocol_end(r);
            continue;
        }
        assert_int_equal(r->s->state, SESSION_ACTIVE);
        send_address(r, FRAME_LISTENING, id); /* twice */
        check_protocol_end(r);
    }
    r = client();
    raw_send(r, FRAME_LISTENING, UNANSWERED, "\0\2a", 3);
    check_protocol_end(r);
    r = client();
    assert_non_null(app_open(&r->side, UNUSED)); /* a stream that waits for its answer */
    raw_output(r);
    send_address(r, FRAME_LISTENING, UNUSED);
    check_protocol_end(r);
    r = client(); /* the answer crosses the client's RESET, and comes after it was acknowledged */
    stream_reset(stream_find(r->s, UNANSWERED), RESET_INTERNAL, "");
    raw_output(r);
    send_address(r, FRAME_LISTENING, UNANSWERED);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    acknowledge(r);
    assert_int_equal(r->s->listeners, 1);
    raw_free(r);
}

static void test_other_frames_for_a_listener(void **state)
{
    struct raw *r;
    (void)state;
    for (uint32_t id = LISTENER; id <= UNANSWERED; id += UNANSWERED - LISTENER) {
        r = client();
        raw_send_opened(r, id, 20000);
        check_protocol_end(r);
        r = client();
        raw_send_data(r, id, 0, 1);
        check_protocol_end(r);
        r = client();
        raw_send_window(r, id, 1);
        check_protocol_end(r);
        r = client();
        raw_send(r, FRAME_EOF, id, "x", 1);
        check_protocol_end(r);
    }
    r = client();
    raw_send(r, FRAME_LISTEN, 2, "\0\1x", 3);
    check_protocol_end(r);
}

static void test_streams_from_the_agent(void **state)
{
    struct raw *r = client();
    struct app *app;
    (void)state;
    r->side.answer = OPEN_HOLD;
    send_open(r, 2, LISTENER);
    assert_int_equal(r->side.opens, 1);
    raw_send_data(r, 2, 0, 1); /* there is no early credit */
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    raw_free(r);

    r = client();
    r->side.answer = OPEN_HOLD;
    send_open(r, 2, LISTENER);
    send_open(r, 4, LISTENER);
    send_open(r, 6, LISTENER); /* over the limit of 2 */
    assert_int_equal(r->side.opens, 2);
    assert_int_equal(reset_sent(r, 6), RESET_LIMIT);
    assert_int_equal(r->s->peer_open, 2);
    app = app_find(&r->side, 7);
    app_accept(app, "127.0.0.1:80");
    app_write(app, 2000);
    assert_int_equal(sent_count(raw_output(r), FRAME_OPENED), 1);
    assert_int_equal(app->sent, 1000); /* the window that OPEN told */
    raw_send_opened(r, 2, 1000);       /* the acceptor's own frame */
    check_protocol_end(r);
}

static void test_extension_of_open(void **state)
{
    struct raw *r = client();
    (void)state;
    raw_send(r, FRAME_OPEN, 2, "\0\0\0\1\0\0\0\1\0\1a\x80\1\0\0", 15);
    assert_int_equal(r->side.opens, 0);
    assert_int_equal(reset_sent(r, 2), RESET_UNSUPPORTED);
    raw_send(r, FRAME_OPEN, 4, "\0\0\0\1\0\0\0\1\0\1a\x80", 12);
    check_protocol_end(r);
}

static void test_open_after_close(void **state)
{
    struct raw *r = client();
    (void)state;
    session_close(r->s, CODE_DONE, "");
    send_open(r, 2, LISTENER); /* on its way */
    assert_int_equal(r->s->state, SESSION_CLOSING);
    assert_int_equal(r->side.opens, 0);
    raw_free(r);
}

/* --- The agent's engine --- */

static struct raw *agent(void)
{
    struct session_settings t = listening_settings(false);
    struct raw *r = raw_new(false, &t);
    r->side.on_listen = accept_listen;
    raw_start(r);
    return r;
}

static void test_listeners_over_the_limit(void **state)
{
    struct raw *r = agent();
    uint32_t id = 1;
    (void)state;
    r->side.on_listen = refuse_listen;
    for (unsigned i = 0; i < LISTENERS_DEFAULT; i++, id += 2)
        send_address(r, FRAME_LISTEN, id);
    assert_int_equal(r->s->listeners, LISTENERS_DEFAULT); /* until their RESETs are acknowledged */
    raw_output(r);
    send_address(r, FRAME_LISTEN, id);
    assert_int_equal(reset_sent(r, id), RESET_LIMIT);
    assert_int_equal(r->s->refused, 1);
    acknowledge(r);
    assert_int_equal(r->s->listeners + r->s->refused, 0);
    for (unsigned i = 0; i < LISTENERS_DEFAULT + REFUSED_MAX; i++)
        send_address(r, FRAME_LISTEN, id += 2);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    send_address(r, FRAME_LISTEN, id + 2); /* on and on */
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_FULL);
    raw_free(r);
}

static void test_agent_takes_listens(void **state)
{
    struct raw *r = agent();
    const struct sent *sent;
    (void)state;
    send_address(r, FRAME_LISTEN, 1);
    sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_LISTENING), 1);
    assert_non_null(app_open_for(&r->side, had.listener, 2));
    sent = raw_output(r);
    assert_int_equal(sent_count(sent, FRAME_OPEN), 1);
    assert_int_equal(sent->frame[sent->count - 1].stream, 2);
    assert_int_equal(load_be32(sent->frame[sent->count - 1].payload + 4), 1);
    raw_send(r, FRAME_EOF, 1, NULL, 0); /* the client ends it */
    assert_int_equal(had.dones, 1);
    assert_int_equal(r->s->listeners, 0);
    assert_int_equal(r->s->own_open, 1); /* the stream goes on */
    raw_send_opened(r, 2, 500);
    assert_int_equal(app_find(&r->side, 2)->opened, 1);
    send_address(r, FRAME_LISTENING, 2); /* a client listens for nobody */
    check_protocol_end(r);
    r = agent();
    r->side.on_listen = hold_listen;
    send_address(r, FRAME_LISTEN, 1);
    send_address(r, FRAME_LISTENING, 1);
    check_protocol_end(r);
}

/* LISTENING goes out before the first OPEN for it. */
static void test_order(void **state)
{
    struct raw *r = agent();
    const struct sent *sent;
    unsigned listening = 0, open = 0;
    (void)state;
    send_address(r, FRAME_LISTEN, 1);
    assert_non_null(app_open_for(&r->side, had.listener, 2));
    sent = raw_output(r);
    for (unsigned i = 0; i < sent->count; i++) {
        if (sent->frame[i].type == FRAME_LISTENING)
            listening = i;
        if (sent->frame[i].type == FRAME_OPEN)
            open = i;
    }
    assert_true(listening > 0 && open > listening);
    stream_reset(had.listener, RESET_INTERNAL, "");
    assert_null(app_open_for(&r->side, had.listener, 4)); /* it has ended */
    raw_free(r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listening),
        cmocka_unit_test(test_nothing_before_opened),
        cmocka_unit_test(test_target_refuses),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_what_cannot_be_asked),
        cmocka_unit_test(test_limit_of_listeners),
        cmocka_unit_test(test_agent_allows_fewer),
        cmocka_unit_test(test_limit_of_streams),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_crossing_over_a_resume),
        cmocka_unit_test(test_resume_keeps_listeners),
        cmocka_unit_test(test_end_of_the_session),
        cmocka_unit_test(test_open_without_listen),
        cmocka_unit_test(test_open_for_one_that_ended),
        cmocka_unit_test(test_end_by_eof),
        cmocka_unit_test(test_listening_out_of_place),
        cmocka_unit_test(test_other_frames_for_a_listener),
        cmocka_unit_test(test_streams_from_the_agent),
        cmocka_unit_test(test_extension_of_open),
        cmocka_unit_test(test_open_after_close),
        cmocka_unit_test(test_listeners_over_the_limit),
        cmocka_unit_test(test_agent_takes_listens),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests_name("session_listen", tests, NULL, NULL);
}
