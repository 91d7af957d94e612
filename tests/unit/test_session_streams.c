/* Streams and windows of two sessions that are joined (docs/PROTOCOL.md section 5). */
#include "session_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session/internal.h"

static struct app *accepted(struct pair *p, unsigned number)
{
    struct app *app = app_find(&p->side[AGENT], number);
    assert_non_null(app);
    return app;
}

static void check_done(const struct app *app, uint64_t received)
{
    assert_null(app->stream);
    assert_int_equal(app->dones, 1);
    assert_int_equal(app->eofs, 1);
    assert_int_equal(app->resets, 0);
    assert_int_equal(app->received, received);
}

static void check_reset(const struct app *app, enum reset_code code, const char *text)
{
    assert_null(app->stream);
    assert_int_equal(app->resets, 1);
    assert_int_equal(app->dones, 0);
    assert_int_equal(app->reset_code, code);
    assert_string_equal(app->reset_text, text);
}

/* One stream, bytes both ways; first: which side closes its half first, 2: both at once. */
static void both_ways(int first, size_t slice)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app[2];
    p->slice = slice;
    app[CLIENT] = app_open(&p->side[CLIENT], 7);
    pair_connect(p);
    pair_run(p);
    app[AGENT] = accepted(p, 7);
    assert_int_equal(app[CLIENT]->opened, 1);
    assert_string_equal(app[CLIENT]->address, "127.0.0.1:22");
    app_write(app[CLIENT], 70000);
    app_write(app[AGENT], 50000);
    if (first == 2) {
        app_close(app[CLIENT]);
        app_close(app[AGENT]);
    } else {
        app_close(app[first]);
        pair_wait(p, 100000);
        assert_int_equal(app[first]->eofs, 0);
        assert_int_equal(app[!first]->eofs, 1);
        assert_int_equal(app[!first]->dones, 0);
        app_write(app[!first], 3000); /* the other half still carries */
        app_close(app[!first]);
    }
    pair_wait(p, 100000);
    check_done(app[CLIENT], first == CLIENT ? 53000 : 50000);
    check_done(app[AGENT], first == AGENT ? 73000 : 70000);
    pair_check_empty(p);
    pair_free(p);
}

static void test_half_close(void **state)
{
    (void)state;
    for (int first = 0; first < 3; first++) {
        both_ways(first, 0);
        both_ways(first, SLICE_RANDOM);
    }
    both_ways(CLIENT, 1);
    both_ways(AGENT, 3);
}

static void test_stream_without_bytes(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app = app_open(&p->side[CLIENT], 1);
    (void)state;
    p->side[AGENT].model.closing = true;
    app_close(app);
    pair_connect(p);
    pair_wait(p, 100000);
    check_done(app, 0);
    check_done(accepted(p, 1), 0);
    pair_check_empty(p);
    pair_free(p);
}

static void test_thousand_streams(void **state)
{
    enum { STREAMS = 1000 };
    static struct app *app[STREAMS];
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    p->side[AGENT].model.available = 3000;
    p->side[AGENT].model.closing = true;
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < STREAMS; i++) {
        app[i] = app_open(&p->side[CLIENT], i);
        app_write(app[i], 5000 + i);
        app_close(app[i]);
    }
    pair_wait(p, 100000);
    for (unsigned i = 0; i < STREAMS; i++) {
        check_done(app[i], 3000);
        check_done(accepted(p, i), 5000 + i);
    }
    assert_int_equal(p->side[CLIENT].s->streams_opened, STREAMS);
    assert_int_equal(p->side[AGENT].s->streams_opened, STREAMS);
    assert_int_equal(p->side[AGENT].s->bytes_sent, 3000 * STREAMS);
    assert_int_equal(p->side[CLIENT].s->bytes_received, 3000 * STREAMS);
    pair_check_empty(p);
    pair_free(p);
}

/* As many streams as an agent can be configured for, all open at once, each with its floor; the
 * client has places for them once the agent has told it. */
static void test_most_streams(void **state)
{
    struct session_settings agent = session_default_settings(false);
    struct session *client;
    struct pair *p;
    struct app *first;
    (void)state;
    agent.streams = STREAMS_MAX;
    p = pair_new(NULL, &agent);
    client = p->side[CLIENT].s;
    p->side[AGENT].model.appetite = 0;
    first = app_open(&p->side[CLIENT], 0);
    assert_int_equal(session_places(client), 1);
    assert_int_equal(client->settings.early_credit, 8 << 10);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(session_places(client), STREAMS_MAX);
    assert_int_equal(client->settings.early_credit, (64 << 20) / 2 / STREAMS_MAX);
    session_check(client);
    for (unsigned i = 1; i < STREAMS_MAX; i++) {
        assert_false(session_is_full(client));
        app_write(app_open(&p->side[CLIENT], i), 3000);
    }
    assert_true(session_is_full(client));
    assert_null(app_open(&p->side[CLIENT], STREAMS_MAX));
    pair_wait(p, 100000);
    assert_int_equal(p->side[AGENT].s->peer_open, STREAMS_MAX);
    session_check(p->side[AGENT].s);
    app_reset(first, RESET_TIMEOUT, "");
    pair_wait(p, 100000);
    assert_false(session_is_full(client));
    assert_non_null(app_open(&p->side[CLIENT], STREAMS_MAX));
    pair_wait(p, 100000);
    session_check(client);
    pair_free(p);
}

/* A sink that takes nothing holds up its own stream, and takes no more memory than its window. */
static void test_stuck_sink(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *stuck, *busy;
    uint64_t window;
    (void)state;
    pair_connect(p);
    p->side[AGENT].model.appetite = 0;
    stuck = app_open(&p->side[CLIENT], 1);
    pair_run(p);
    p->side[AGENT].model.appetite = EVERYTHING;
    window = accepted(p, 1)->stream->window;
    assert_int_equal(window, INITIAL_WINDOW);
    app_write(stuck, 8 << 20);
    pair_wait(p, 100000);
    assert_int_equal(stuck->sent, window);
    assert_int_equal(accepted(p, 1)->stream->held.bytes, window);
    assert_int_equal(accepted(p, 1)->stream->window, window);
    busy = app_open(&p->side[CLIENT], 2);
    app_write(busy, 4 << 20);
    app_close(busy);
    pair_wait(p, 100000);
    assert_int_equal(accepted(p, 2)->received, 4 << 20);
    assert_int_equal(accepted(p, 2)->eofs, 1);
    assert_int_equal(stuck->sent, window);
    app_take(accepted(p, 1), 1000); /* less than half of the window is free: no WINDOW yet */
    pair_run(p);
    assert_int_equal(stuck->sent, window);
    app_take(accepted(p, 1), window / 2);
    pair_run(p);
    assert_int_equal(stuck->sent, window + window / 2 + 1000);
    app_close(stuck);
    app_take(accepted(p, 1), EVERYTHING);
    pair_wait(p, 100000);
    assert_int_equal(accepted(p, 1)->received, 8 << 20);
    assert_int_equal(accepted(p, 1)->eofs, 1);
    pair_free(p);
}

/* However many sinks are stuck, a new stream has its floor and gets through. */
static void test_many_stuck_sinks(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *last;
    uint64_t held = 0;
    (void)state;
    p->side[AGENT].model.appetite = 0;
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < STREAMS_DEFAULT - 1; i++)
        app_write(app_open(&p->side[CLIENT], i), 1 << 20);
    pair_wait(p, 100000);
    for (unsigned i = 0; i < STREAMS_DEFAULT - 1; i++)
        held += accepted(p, i)->stream->held.bytes;
    assert_true(held <= p->side[AGENT].s->settings.receive_limit);
    assert_true(held > 4 << 20);
    p->side[AGENT].model.appetite = EVERYTHING;
    last = app_open(&p->side[CLIENT], 5000);
    app_write(last, 1 << 20);
    app_close(last);
    pair_wait(p, 100000);
    assert_int_equal(accepted(p, 5000)->received, 1 << 20);
    pair_free(p);
}

/* Both sides send one stream's window each, one round trip of `us` a time. */
static void round_trip(struct pair *p, uint64_t us)
{
    conn_flush(p->conn, CLIENT);
    p->now += us;
    while (conn_deliver(p->conn, CLIENT, SIZE_MAX))
        ;
    conn_flush(p->conn, AGENT);
    while (conn_deliver(p->conn, AGENT, SIZE_MAX))
        ;
}

static void test_window_grows(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct stream *st;
    struct app *app;
    uint32_t last, limit;
    (void)state;
    p->pipe_bytes = SIZE_MAX;
    pair_connect(p);
    round_trip(p, 20000);
    round_trip(p, 20000);
    assert_int_equal(p->side[CLIENT].s->rtt_us, 20000);
    p->side[AGENT].s->rtt_us = 20000;
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 100 << 20);
    round_trip(p, 20000);
    st = accepted(p, 1)->stream;
    last = st->window;
    limit = p->side[AGENT].s->settings.receive_limit;
    for (int i = 0; i < 8; i++) {
        round_trip(p, 20000);
        assert_true(st->window >= last);
        last = st->window;
    }
    assert_true(st->window > 4 << 20); /* of the half that is shared, with some left to others */
    assert_true(st->window < limit / 2);
    app_reset(app, RESET_BY_TARGET, "enough");
    pair_run(p);
    pair_wait(p, 100000);
    pair_check_empty(p);
    pair_free(p);
}

/* The window after eight rounds of so long that each use it up, on a path with this round trip. */
static uint32_t grown_window(uint64_t rtt_us, uint64_t round_us)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    uint32_t window;
    p->pipe_bytes = SIZE_MAX;
    pair_connect(p);
    pair_run(p);
    p->side[AGENT].s->rtt_us = rtt_us;
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 100 << 20);
    for (int i = 0; i < 8; i++)
        round_trip(p, round_us);
    window = accepted(p, 1)->stream->window;
    app_reset(app, RESET_BY_TARGET, "enough");
    pair_run(p);
    pair_free(p);
    return window;
}

/* Where a round trip is shorter than the turns of the processes it does not measure the window
 * alone. */
static void test_window_grows_on_a_short_path(void **state)
{
    (void)state;
    assert_true(grown_window(100, 3000) >= 2 << 20);
    assert_true(grown_window(100, 5000) < 1 << 20);
}

/* A window that takes long to be used up is large enough. */
static void test_window_of_slow_link_stays(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    p->pipe_bytes = SIZE_MAX;
    pair_connect(p);
    pair_run(p);
    p->side[AGENT].s->rtt_us = 20000;
    app = app_open(&p->side[CLIENT], 1);
    for (int i = 0; i < 64; i++) {
        app_write(app, 32 << 10);
        round_trip(p, 20000);
    }
    assert_int_equal(accepted(p, 1)->stream->window, INITIAL_WINDOW);
    assert_int_equal(accepted(p, 1)->received, 2 << 20);
    pair_free(p);
}

static void test_slow_sink_does_not_grow_its_window(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    pair_connect(p);
    pair_run(p);
    p->side[AGENT].model.appetite = 0;
    p->side[AGENT].s->rtt_us = 20000;
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 100 << 20);
    for (int i = 0; i < 100; i++) {
        pair_wait(p, 20000);
        app_take(accepted(p, 1), 40 << 10);
    }
    pair_run(p);
    assert_int_equal(accepted(p, 1)->stream->window, INITIAL_WINDOW);
    pair_free(p);
}

/* Bytes that the client sends before OPENED wait for the owner, count, and come first. */
static void early_data(uint64_t bytes, bool eof, const struct session_settings *agent)
{
    struct pair *p = pair_new(NULL, agent);
    uint64_t early = p->side[AGENT].s->settings.early_credit;
    struct app *client, *target;
    p->side[AGENT].answer = OPEN_HOLD;
    client = app_open(&p->side[CLIENT], 1);
    app_write(client, bytes);
    if (eof)
        app_close(client);
    pair_connect(p);
    pair_wait(p, 100000);
    target = accepted(p, 1);
    assert_int_equal(client->opened, 0);
    assert_int_equal(client->sent, bytes < early ? bytes : early);
    assert_int_equal(target->stream->held.bytes, client->sent);
    assert_int_equal(target->received + target->eofs, 0);
    app_accept(target, "10.0.0.1:80");
    assert_int_equal(target->received, client->sent);
    pair_wait(p, 100000);
    assert_int_equal(client->opened, 1);
    assert_string_equal(client->address, "10.0.0.1:80");
    assert_int_equal(target->received, bytes);
    assert_int_equal(target->eofs, eof);
    app_write(target, 1000);
    app_close(target);
    app_close(client);
    pair_wait(p, 100000);
    check_done(client, 1000);
    check_done(target, bytes);
    pair_check_empty(p);
    pair_free(p);
}

static void test_early_data(void **state)
{
    struct session_settings agent = session_default_settings(false);
    (void)state;
    for (int eof = 0; eof < 2; eof++) {
        early_data(0, eof, NULL);
        early_data(100, eof, NULL);
        early_data(8192, eof, NULL);
        early_data(8193, eof, NULL);
        early_data(3 << 20, eof, NULL);
    }
    agent.receive_limit =
        2 * STREAMS_DEFAULT * 1000; /* floors of 1,000 bytes, and as much to share */
    early_data(1 << 20, true, &agent);
    agent.early_credit = 1;
    early_data(100000, true, &agent);
}

/* Every stream's window is its floor when nothing is left to share. */
static void test_floor_alone(void **state)
{
    struct session_settings agent = session_default_settings(false);
    struct pair *p;
    struct app *app;
    (void)state;
    agent.streams = 4;
    agent.early_credit = 8192;
    agent.receive_limit = 65536;
    p = pair_new(NULL, &agent);
    p->side[AGENT].s->pool_left = 0; /* as if others had it; given back below */
    p->side[AGENT].s->settings.receive_limit = 4 * 8192;
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 1 << 20);
    app_close(app);
    pair_connect(p);
    pair_wait(p, 100000);
    assert_int_equal(accepted(p, 1)->received, 1 << 20);
    assert_int_equal(accepted(p, 1)->stream->window, 8192);
    pair_free(p);
}

/* The phases of a stream's life at which one side gives up. */
enum phase { UNSENT, OPEN_SENT, HELD, OPENED_SENT, TALKING, OWN_EOF, PEER_EOF, BOTH_EOF, PHASES };

static struct pair *reach_phase(enum phase phase, int who, struct app *app[2])
{
    struct pair *p = pair_new(NULL, NULL);
    pair_connect(p);
    pair_run(p);
    p->side[AGENT].answer = OPEN_HOLD;
    app[CLIENT] = app_open(&p->side[CLIENT], 3);
    app_write(app[CLIENT], 5000);
    if (phase >= OPEN_SENT)
        conn_flush(p->conn, CLIENT);
    if (phase >= HELD) {
        pair_run(p);
        app[AGENT] = accepted(p, 3);
    }
    if (phase >= OPENED_SENT) {
        app_accept(app[AGENT], "x");
        app_write(app[AGENT], 9000);
        conn_flush(p->conn, AGENT);
    }
    if (phase >= TALKING)
        pair_run(p);
    if (phase == OWN_EOF || phase == BOTH_EOF)
        app_close(app[who]);
    if (phase == PEER_EOF || phase == BOTH_EOF)
        app_close(app[!who]);
    if (phase == BOTH_EOF) {
        conn_flush(p->conn, CLIENT); /* they cross */
        conn_flush(p->conn, AGENT);
    } else if (phase > TALKING) {
        pair_run(p);
    }
    return p;
}

static void reset_in_phase(enum phase phase, int who)
{
    struct app *app[2] = {NULL, NULL};
    struct pair *p = reach_phase(phase, who, app);
    app_reset(app[who], RESET_TIMEOUT, "gave up \xe2\x80\x94 \x07then");
    pair_check(p);
    pair_wait(p, 100000);
    assert_int_equal(app[who]->resets + app[who]->dones, 0); /* no event after stream_reset */
    if (phase >= OPEN_SENT && phase != BOTH_EOF)
        check_reset(accepted(p, 3) == app[who] ? app[!who] : accepted(p, 3), RESET_TIMEOUT,
                    "gave up \xe2\x80\x94 ?then");
    else
        assert_int_equal(p->side[AGENT].opens, phase != UNSENT);
    pair_check_empty(p);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_ACTIVE);
    assert_int_equal(p->side[AGENT].s->state, SESSION_ACTIVE);
    pair_free(p);
}

static void test_reset_in_each_phase(void **state)
{
    (void)state;
    for (enum phase phase = UNSENT; phase < PHASES; phase++) {
        if (phase != BOTH_EOF)
            reset_in_phase(phase, CLIENT);
        if (phase >= HELD && phase != BOTH_EOF)
            reset_in_phase(phase, AGENT);
    }
}

/* Both ended cleanly, but neither knows that the other has all: one side may still give up. */
static void test_reset_after_both_eofs(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        struct app *app[2] = {NULL, NULL};
        struct pair *p = reach_phase(BOTH_EOF, who, app);
        app_reset(app[who], RESET_TIMEOUT, "too late");
        pair_wait(p, 100000);
        assert_int_equal(app[who]->resets + app[who]->dones, 0);
        assert_int_equal(app[!who]->resets + app[!who]->dones, 1);
        pair_check_empty(p);
        pair_free(p);
    }
}

/* A stream's place among those that wait for an ACK is that of its last frame. */
static void test_reset_after_own_eof(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app[3];
    (void)state;
    pair_connect(p);
    for (unsigned i = 0; i < 3; i++)
        app[i] = app_open(&p->side[CLIENT], i);
    pair_run(p);
    for (unsigned i = 0; i < 3; i++)
        app_close(app[i]);
    conn_flush(p->conn, CLIENT);
    app_reset(app[0], RESET_TIMEOUT, "after its EOF");
    conn_flush(p->conn, CLIENT);
    pair_wait(p, 100000);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(accepted(p, i)->eofs, 1);
    check_reset(accepted(p, 0), RESET_TIMEOUT, "after its EOF");
    app_close(accepted(p, 1));
    app_close(accepted(p, 2));
    pair_wait(p, 100000);
    pair_check_empty(p);
    pair_free(p);
}

static void test_resets_cross(void **state)
{
    struct app *app[2] = {NULL, NULL};
    struct pair *p = reach_phase(TALKING, CLIENT, app);
    (void)state;
    app_write(app[CLIENT], 100000);
    app_write(app[AGENT], 100000);
    app_reset(app[CLIENT], RESET_TIMEOUT, "one");
    app_reset(app[AGENT], RESET_BY_TARGET, "two");
    conn_flush(p->conn, CLIENT);
    conn_flush(p->conn, AGENT);
    pair_wait(p, 100000);
    assert_int_equal(app[CLIENT]->resets + app[AGENT]->resets, 0);
    pair_check_empty(p);
    pair_free(p);
}

static void test_refused_open(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app = app_open(&p->side[CLIENT], 1);
    (void)state;
    p->side[AGENT].answer = OPEN_REFUSE;
    app_write(app, 1 << 20);
    pair_connect(p);
    pair_wait(p, 100000);
    check_reset(app, RESET_REFUSED, "nobody listens there");
    pair_check_empty(p);
    pair_free(p);
}

/* Nothing that an owner says about a stream can make the peer end the session. */
static void test_texts_of_owners(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {{"", 0},     {"\xff\xfe broken", 9}, {"cut \xe2\x80", 6}, {NULL, 128},
                 {NULL, 129}, {NULL, 1024},           {NULL, 5000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair *p = pair_new(NULL, NULL);
        struct app *app = app_open(&p->side[CLIENT], 1);
        size_t max = cases[i].len < TEXT_MAX_BYTES ? cases[i].len : TEXT_MAX_BYTES;
        char text[6000];
        memset(text, 'x', sizeof text);
        if (cases[i].text)
            memcpy(text, cases[i].text, cases[i].len);
        text[cases[i].len] = '\0';
        p->side[AGENT].answer = OPEN_HOLD;
        pair_connect(p);
        pair_run(p);
        app_accept(accepted(p, 1), text);
        pair_run(p);
        assert_int_equal(app->opened, 1);
        assert_int_equal(strlen(app->address), max < ADDRESS_MAX_BYTES ? max : ADDRESS_MAX_BYTES);
        app_reset(accepted(p, 1), RESET_BY_TARGET, text);
        pair_wait(p, 100000);
        assert_int_equal(app->resets, 1);
        assert_int_equal(strlen(app->reset_text), max);
        pair_check_empty(p);
        pair_free(p);
    }
}

static void test_open_needs_a_target_that_the_peer_takes(void **state)
{
    static const struct stream_events none;
    struct pair *p = pair_new(NULL, NULL);
    char target[TARGET_MAX_BYTES + 2];
    (void)state;
    memset(target, 'a', sizeof target);
    target[TARGET_MAX_BYTES + 1] = '\0';
    errno = 0;
    assert_null(stream_open(p->side[CLIENT].s, target, &none, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(stream_open(p->side[CLIENT].s, "tcp:\xff:1", &none, NULL));
    assert_int_equal(errno, EINVAL);
    pair_check_empty(p);
    pair_free(p);
}

/* The agent allows four streams: a fifth is not opened, and on_room says when it may be. */
static void test_limit_of_streams(void **state)
{
    struct session_settings agent = session_default_settings(false);
    struct pair *p;
    struct app *app[4];
    (void)state;
    agent.streams = 4;
    p = pair_new(NULL, &agent);
    assert_non_null(app_open(&p->side[CLIENT], 100));
    assert_null(app_open(&p->side[CLIENT], 101)); /* one, until the agent has told its limit */
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(p->side[CLIENT].rooms, 0);
    pair_connect(p);
    assert_int_equal(p->side[CLIENT].rooms, 1);
    for (unsigned i = 1; i < 4; i++)
        assert_non_null(app[i] = app_open(&p->side[CLIENT], i));
    assert_false(session_may_open(p->side[CLIENT].s));
    pair_run(p);
    assert_int_equal(p->side[AGENT].s->peer_open, 4);
    assert_int_equal(p->side[CLIENT].rooms, 1);
    app_reset(app[1], RESET_TIMEOUT, "enough");
    pair_wait(p, 100000);
    assert_int_equal(p->side[CLIENT].rooms, 2);
    assert_true(session_may_open(p->side[CLIENT].s));
    assert_non_null(app_open(&p->side[CLIENT], 5));
    pair_run(p);
    assert_int_equal(app_find(&p->side[CLIENT], 5)->opened, 1);
    pair_free(p);
}

static void open_as_many_as_possible(struct side *side)
{
    struct app *app;
    while (side->rooms < 300 && (app = app_open(side, 1000 + side->rooms++)) != NULL) {
        app_write(app, 100);
        app_close(app);
    }
}

/* A client that keeps the limit is never refused: the ACK that frees a place comes before the OPEN
 * that takes it, whichever side ended the stream and how. */
static void limit_churns(bool by_reset, size_t slice)
{
    struct session_settings agent = session_default_settings(false);
    struct pair *p;
    unsigned ended = 0;
    agent.streams = 4;
    p = pair_new(NULL, &agent);
    p->slice = slice;
    if (by_reset) {
        p->side[AGENT].answer = OPEN_REFUSE;
    } else {
        p->side[AGENT].model.available = 50;
        p->side[AGENT].model.closing = true;
    }
    p->side[CLIENT].on_room = open_as_many_as_possible;
    pair_connect(p);
    open_as_many_as_possible(&p->side[CLIENT]);
    for (int i = 0; i < 1000 && p->side[CLIENT].rooms < 300; i++)
        pair_wait(p, 30000);
    pair_wait(p, 100000);
    list_each (link, &p->side[CLIENT].apps) {
        const struct app *app = container_of(link, struct app, link);
        if (by_reset)
            check_reset(app, RESET_REFUSED, "nobody listens there");
        else
            check_done(app, 50);
        ended++;
    }
    assert_true(ended > 100);
    pair_check_empty(p);
    pair_free(p);
}

static void test_limit_is_kept_by_both(void **state)
{
    (void)state;
    limit_churns(false, 0);
    limit_churns(true, 0);
    limit_churns(false, SLICE_RANDOM);
    limit_churns(true, 11);
}

/* --- Owners that act inside their events --- */

static bool close_session_when_done(struct app *app, enum app_event event)
{
    if (event == APP_DONE)
        session_close(app->side->s, CODE_DONE, "finished");
    return true;
}

/* Several streams end with one ACK, and the first one's owner closes the session. */
static void test_close_inside_on_done(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app[3];
    unsigned dones = 0, resets = 0;
    (void)state;
    p->side[AGENT].model.closing = true;
    pair_connect(p);
    for (unsigned i = 0; i < 3; i++) {
        app[i] = app_open(&p->side[CLIENT], i);
        app[i]->hook = close_session_when_done;
        app_close(app[i]);
    }
    pair_wait(p, 100000);
    for (unsigned i = 0; i < 3; i++) {
        dones += app[i]->dones;
        resets += app[i]->resets;
    }
    assert_int_equal(dones, 1);
    assert_int_equal(resets, 2);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_ENDED);
    assert_int_equal(p->side[CLIENT].s->error.code, CODE_DONE);
    assert_int_equal(p->side[AGENT].s->state, SESSION_CLOSED);
    pair_free(p);
}

static enum app_event give_up_at;

static bool give_up(struct app *app, enum app_event event)
{
    if (event != give_up_at || !app->stream)
        return true;
    app_reset(app, RESET_INTERNAL, "inside an event");
    return false;
}

/* Any event may reset its own stream. */
static void test_reset_inside_events(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        for (give_up_at = APP_PULL; give_up_at <= APP_EOF; give_up_at++) {
            struct pair *p = pair_new(NULL, NULL);
            struct app *app, *other;
            if (who == AGENT && give_up_at == APP_OPENED) {
                pair_free(p);
                continue;
            }
            pair_connect(p);
            pair_run(p);
            app = app_open(&p->side[CLIENT], 1);
            if (who == AGENT)
                p->side[AGENT].model.hook = give_up;
            else
                app->hook = give_up;
            p->side[AGENT].model.available = 20000;
            p->side[AGENT].model.closing = true;
            app_write(app, 20000);
            app_close(app);
            pair_wait(p, 100000);
            other = who == AGENT ? app : app_find(&p->side[AGENT], 1);
            assert_non_null(other);
            if (other->dones) /* the other side had all when this one gave up at the end */
                assert_int_equal(give_up_at, APP_EOF);
            else
                check_reset(other, RESET_INTERNAL, "inside an event");
            assert_int_equal(p->side[CLIENT].s->state, SESSION_ACTIVE);
            pair_check_empty(p);
            pair_free(p);
        }
    }
}

static bool reset_all(struct app *app, enum app_event event)
{
    struct side *side = app->side;
    if (event == APP_PUSH && app->received > 10000)
        list_each (link, &side->apps) {
            struct app *victim = container_of(link, struct app, link);
            if (victim->stream)
                app_reset(victim, RESET_INTERNAL, "all of them");
        }
    return app->stream != NULL;
}

/* One stream's event resets every stream of the session. */
static void test_reset_of_others_inside_an_event(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    p->side[AGENT].model.hook = reset_all;
    p->side[AGENT].model.available = 1 << 20;
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < 5; i++)
        app_write(app_open(&p->side[CLIENT], i), 100000);
    pair_wait(p, 100000);
    for (unsigned i = 0; i < 5; i++)
        check_reset(app_find(&p->side[CLIENT], i), RESET_INTERNAL, "all of them");
    pair_check_empty(p);
    pair_free(p);
}

static unsigned count_apps(const struct side *side)
{
    unsigned n = 0;
    list_each (link, &side->apps)
        n++;
    return n;
}

static bool open_another(struct app *app, enum app_event event)
{
    if ((event == APP_RESET || event == APP_DONE) && app->number < 40) {
        struct app *next = app_open(app->side, app->number + 1);
        if (next) {
            next->hook = open_another;
            app_write(next, 10);
            app_close(next);
        }
    }
    return true;
}

/* Ends open new streams; a session that is over opens none. */
static void test_open_inside_ends(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    p->side[AGENT].model.closing = true;
    pair_connect(p);
    app = app_open(&p->side[CLIENT], 1);
    app->hook = open_another;
    app_close(app);
    for (int i = 0; i < 41; i++)
        pair_wait(p, 30000);
    check_done(app_find(&p->side[CLIENT], 40), 0);
    app = app_open(&p->side[CLIENT], 50);
    app->hook = open_another;
    app->number = 30;
    assert_int_equal(count_apps(&p->side[CLIENT]), 41);
    session_free(p->side[CLIENT].s);
    p->side[CLIENT].s = NULL;
    assert_int_equal(app->resets, 1);
    assert_int_equal(count_apps(&p->side[CLIENT]), 41);
    pair_free(p);
}

/* ---- The end in portions ---- */

#define MANY 20

static unsigned count_resets(const struct side *side)
{
    unsigned n = 0;
    list_each (link, &side->apps)
        n += container_of(link, struct app, link)->resets;
    return n;
}

static uint64_t count_received(const struct side *side)
{
    uint64_t n = 0;
    list_each (link, &side->apps)
        n += container_of(link, struct app, link)->received;
    return n;
}

static void steps(struct pair *p)
{
    for (int i = 0; i < 100; i++)
        pair_step(p);
}

/* Streams with bytes on their way, held and unsent. The side's owner ends them itself. */
static struct pair *busy_pair(int who)
{
    struct session_settings settings = session_default_settings(who == CLIENT);
    struct pair *p;
    settings.ends_in_portions = true;
    p = who == CLIENT ? pair_new(&settings, NULL) : pair_new(NULL, &settings);
    p->side[AGENT].model.available = 3000;
    p->side[AGENT].model.appetite = 100;
    pair_connect(p);
    for (unsigned i = 0; i < MANY; i++) {
        struct app *app = app_open(&p->side[CLIENT], i);
        app_write(app, 3000);
        app_take(app, 100);
    }
    steps(p);
    app_take(app_find(&p->side[who], 0), EVERYTHING);
    steps(p);
    app_write(app_find(&p->side[!who], 0), 500); /* on its way when the session is over */
    return p;
}

/* Until their turn comes they carry nothing; each then has the same end, and the text. */
static void check_end_in_portions(struct pair *p, int who, unsigned most, const char *text)
{
    struct side *side = &p->side[who];
    uint64_t received = count_received(side), sent = side->s->bytes_sent;
    unsigned ended = 0;
    assert_int_equal(count_resets(side), 0);
    list_each (link, &side->apps) {
        app_take(container_of(link, struct app, link), EVERYTHING);
        app_write(container_of(link, struct app, link), 500);
    }
    steps(p);
    assert_int_equal(count_received(side), received);
    assert_int_equal(side->s->bytes_sent, sent);
    while (!session_end_some(side->s, 3)) {
        ended += 3;
        assert_int_equal(count_resets(side), ended);
        steps(p);
    }
    assert_int_equal(count_resets(side), most);
    list_each (link, &side->apps) {
        const struct app *app = container_of(link, struct app, link);
        if (!app->resets)
            continue;
        assert_int_equal(app->reset_code, RESET_SESSION_OVER);
        assert_string_equal(app->reset_text, text);
        assert_int_equal(app->dones + app->eofs, 0);
    }
}

static void test_end_in_portions(void **state)
{
    (void)state;
    for (int who = CLIENT; who <= AGENT; who++) {
        struct pair *p = busy_pair(who);
        session_close(p->side[who].s, CODE_REVOKED, "own");
        conn_flush(p->conn, who); /* the owner resets one, which the peer is not told after CLOSE */
        app_reset(app_find(&p->side[who], MANY - 1), RESET_BY_APPLICATION, "");
        check_end_in_portions(p, who, MANY - 1, "own");
        assert_int_equal(p->side[who].s->state, SESSION_ENDED);   /* CLOSE was acknowledged */
        assert_int_equal(p->side[!who].s->state, SESSION_CLOSED); /* and nothing came after it */
        pair_free(p);

        p = busy_pair(who);
        session_close(p->side[!who].s, CODE_DONE, "the peer's");
        steps(p);
        assert_int_equal(p->side[who].s->state, SESSION_CLOSED);
        check_end_in_portions(p, who, MANY, "the peer's");
        pair_free(p);

        p = busy_pair(who);
        session_abandon(p->side[who].s, CODE_RESUME_WINDOW, "too late");
        check_end_in_portions(p, who, MANY, "too late");
        pair_free(p);
    }
}

static bool close_session(struct app *app, enum app_event event)
{
    if (event == give_up_at && app->side->s->state == SESSION_ACTIVE)
        session_close(app->side->s, CODE_SHUTDOWN, "from inside");
    return event == APP_PULL || app->stream != NULL; /* what it pulled counts for nothing */
}

static void test_close_inside_events(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        for (give_up_at = APP_PULL; give_up_at <= APP_EOF; give_up_at++) {
            struct pair *p = pair_new(NULL, NULL);
            struct app *app = NULL;
            pair_connect(p);
            pair_run(p);
            if (who == AGENT)
                p->side[AGENT].model.hook = close_session;
            p->side[AGENT].model.available = 20000;
            for (unsigned i = 0; i < 4; i++) {
                app = app_open(&p->side[CLIENT], i);
                if (who == CLIENT)
                    app->hook = close_session;
                app_write(app, 20000);
            }
            p->side[AGENT].model.closing = true;
            app_close(app);
            pair_wait(p, 100000);
            if (who == AGENT && give_up_at == APP_OPENED) {
                assert_int_equal(p->side[AGENT].s->state, SESSION_ACTIVE);
            } else if (give_up_at != APP_EOF || who == AGENT) {
                assert_int_equal(p->side[who].s->state, SESSION_ENDED);
                assert_int_equal(p->side[!who].s->state, SESSION_CLOSED);
                assert_int_equal(p->side[!who].s->error.code, CODE_SHUTDOWN);
            }
            pair_free(p);
        }
    }
}

/* --- Sending --- */

static unsigned first_pushed;

static bool note_push(struct app *app, enum app_event event)
{
    if (event == APP_PUSH && !first_pushed)
        first_pushed = app->number;
    return true;
}

/* Whose bytes come first at the agent. */
static unsigned first_data(struct pair *p)
{
    first_pushed = 0;
    pair_run(p);
    return first_pushed;
}

/* A keystroke passes before the bulk that waits, also of a stream that was bulk a while ago. */
static void test_small_before_bulk(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *bulk, *key;
    (void)state;
    p->side[AGENT].model.hook = note_push;
    pair_connect(p);
    pair_run(p);
    bulk = app_open(&p->side[CLIENT], 1);
    key = app_open(&p->side[CLIENT], 2);
    app_write(key, 100000);
    pair_run(p);
    p->now += 200000;
    app_write(bulk, 50000);
    pair_run(p);
    app_write(bulk, 100000);
    app_write(key, 10);
    assert_int_equal(first_data(p), 2);
    app_write(key, 50000); /* now both are bulk: in turn */
    pair_run(p);
    app_write(bulk, 100000);
    app_write(key, 10);
    assert_int_equal(first_data(p), 1);
    assert_int_equal(accepted(p, 1)->received, 250000);
    assert_int_equal(accepted(p, 2)->received, 150020);
    pair_free(p);
}

/* Streams with much to send have their turns. */
static void test_bulk_in_turn(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app[4];
    (void)state;
    p->pipe_bytes = 64 << 10;
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < 4; i++) {
        app[i] = app_open(&p->side[CLIENT], i);
        app_write(app[i], 10 << 20);
    }
    for (int i = 0; i < 100; i++) {
        uint64_t least = EVERYTHING, most = 0;
        for (int k = 0; k < 10; k++)
            pair_step(p);
        for (unsigned k = 0; k < 4; k++) {
            least = app[k]->sent < least ? app[k]->sent : least;
            most = app[k]->sent > most ? app[k]->sent : most;
        }
        assert_true(most - least <= 1 << 20);
    }
    pair_free(p);
}

static void test_64_mib(void **state)
{
    enum { BYTES = 64 << 20 };
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    p->slice = SLICE_RANDOM;
    p->side[AGENT].model.bite = 7777;
    pair_connect(p);
    app = app_open(&p->side[CLIENT], 1);
    app->slice = 54321;
    app_write(app, BYTES);
    app_close(app);
    pair_run(p);
    p->slice = 0; /* quicker */
    pair_wait(p, 100000);
    for (int i = 0; accepted(p, 1)->received < BYTES && i < 100000; i++) {
        app_take(accepted(p, 1), EVERYTHING);
        pair_run(p);
    }
    assert_int_equal(accepted(p, 1)->received, BYTES);
    assert_int_equal(accepted(p, 1)->eofs, 1);
    pair_free(p);
}

/* Both rings are full of what nobody takes; control frames still pass, and all goes on after. */
static void test_two_full_rings(void **state)
{
    struct session_settings client = session_default_settings(true);
    struct session_settings agent = session_default_settings(false);
    struct pair *p;
    struct app *app[10], *late;
    (void)state;
    client.ring_bytes = agent.ring_bytes = 256 << 10;
    client.ring_doublings = agent.ring_doublings = 0;
    p = pair_new(&client, &agent);
    p->side[AGENT].model.appetite = 0;
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < 8; i++) {
        app[i] = app_open(&p->side[CLIENT], i);
        app[i]->appetite = 0;
    }
    pair_run(p);
    assert_int_equal(ring_used(&p->side[CLIENT].s->ring), 0);
    p->pipe_bytes = SIZE_MAX;
    for (unsigned i = 0; i < 8; i++) {
        app_write(app[i], 1 << 20);
        app_write(accepted(p, i), 1 << 20);
    }
    conn_flush(p->conn, CLIENT); /* and nothing is delivered */
    conn_flush(p->conn, AGENT);
    for (int i = 0; i < 2; i++) {
        size_t room = ring_room(&p->side[i].s->ring);
        assert_true(room >= RING_RESERVE && room < RING_RESERVE + 2048);
    }
    app_reset(app[7], RESET_BY_TARGET, "control passes");
    late = app_open(&p->side[CLIENT], 9);
    conn_flush(p->conn, CLIENT);
    assert_false(late->stream->open_owed);
    pair_wait(p, 100000);
    check_reset(accepted(p, 7), RESET_BY_TARGET, "control passes");
    assert_int_equal(late->opened, 1);
    for (unsigned i = 0; i < 7; i++) {
        app_take(app[i], EVERYTHING);
        app_take(accepted(p, i), EVERYTHING);
    }
    pair_wait(p, 100000);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(app[i]->received, 1 << 20);
        assert_int_equal(accepted(p, i)->received, 1 << 20);
    }
    pair_free(p);
}

/* A full ring doubles when it may, and asks again when it may not: whatever the answer, all is
 * carried. */
static void test_ring_grows_as_it_may(void **state)
{
    struct session_settings agent = session_default_settings(false);
    struct session *s;
    struct pair *p;
    (void)state;
    agent.ring_bytes = 128 << 10;
    agent.ring_doublings = 2;
    p = pair_new(NULL, &agent);
    s = p->side[AGENT].s;
    p->side[AGENT].no_growth = true;
    pair_connect(p);
    app_open(&p->side[CLIENT], 1)->appetite = EVERYTHING;
    pair_run(p);
    app_write(accepted(p, 1), 10 << 20);
    p->pipe_bytes = SIZE_MAX;
    conn_flush(p->conn, AGENT); /* and nothing is delivered */
    assert_int_equal(s->ring.size, 128 << 10);
    assert_true(ring_room(&s->ring) < RING_RESERVE + 2048);
    pair_wait(p, 100000);
    assert_true(s->ring.size == 128 << 10 && s->bytes_sent == 10 << 20);

    p->side[AGENT].no_growth = false;
    app_write(accepted(p, 1), 10 << 20);
    conn_flush(p->conn, AGENT);
    assert_int_equal(s->ring.size, 512 << 10);
    pair_wait(p, 100000);
    assert_int_equal(app_find(&p->side[CLIENT], 1)->received, 20 << 20);
    assert_int_equal(s->ring.size, 512 << 10);
    pair_free(p);
}

/* More control frames than the ring's reserve holds: they go as the peer acknowledges. */
static void test_control_frames_beyond_the_ring(void **state)
{
    struct session_settings client = session_default_settings(true);
    struct pair *p;
    char text[TEXT_MAX_BYTES + 1];
    (void)state;
    client.ring_bytes = 128 << 10;
    client.ring_doublings = 0;
    p = pair_new(&client, NULL);
    memset(text, 'r', sizeof text);
    text[TEXT_MAX_BYTES] = '\0';
    pair_connect(p);
    pair_run(p);
    for (unsigned i = 0; i < STREAMS_DEFAULT; i++)
        assert_non_null(app_open(&p->side[CLIENT], i));
    pair_run(p);
    p->pipe_bytes = SIZE_MAX;
    list_each (link, &p->side[CLIENT].apps)
        app_reset(container_of(link, struct app, link), RESET_TIMEOUT, text);
    conn_flush(p->conn, CLIENT);
    assert_false(list_empty(&p->side[CLIENT].s->owing));
    assert_true(ring_room(&p->side[CLIENT].s->ring) < 2048);
    pair_wait(p, 1000000);
    for (unsigned i = 0; i < STREAMS_DEFAULT; i++)
        check_reset(accepted(p, i), RESET_TIMEOUT, text);
    pair_check_empty(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_stream_without_bytes),
        cmocka_unit_test(test_thousand_streams),
        cmocka_unit_test(test_most_streams),
        cmocka_unit_test(test_stuck_sink),
        cmocka_unit_test(test_many_stuck_sinks),
        cmocka_unit_test(test_window_grows),
        cmocka_unit_test(test_window_grows_on_a_short_path),
        cmocka_unit_test(test_window_of_slow_link_stays),
        cmocka_unit_test(test_slow_sink_does_not_grow_its_window),
        cmocka_unit_test(test_early_data),
        cmocka_unit_test(test_floor_alone),
        cmocka_unit_test(test_reset_in_each_phase),
        cmocka_unit_test(test_reset_after_both_eofs),
        cmocka_unit_test(test_reset_after_own_eof),
        cmocka_unit_test(test_resets_cross),
        cmocka_unit_test(test_refused_open),
        cmocka_unit_test(test_texts_of_owners),
        cmocka_unit_test(test_open_needs_a_target_that_the_peer_takes),
        cmocka_unit_test(test_limit_of_streams),
        cmocka_unit_test(test_limit_is_kept_by_both),
        cmocka_unit_test(test_close_inside_on_done),
        cmocka_unit_test(test_reset_inside_events),
        cmocka_unit_test(test_reset_of_others_inside_an_event),
        cmocka_unit_test(test_open_inside_ends),
        cmocka_unit_test(test_end_in_portions),
        cmocka_unit_test(test_close_inside_events),
        cmocka_unit_test(test_small_before_bulk),
        cmocka_unit_test(test_bulk_in_turn),
        cmocka_unit_test(test_64_mib),
        cmocka_unit_test(test_two_full_rings),
        cmocka_unit_test(test_ring_grows_as_it_may),
        cmocka_unit_test(test_control_frames_beyond_the_ring),
    };
    return crypto_start(false) ? cmocka_run_group_tests_name("session_streams", tests, NULL, NULL)
                               : 1;
}
