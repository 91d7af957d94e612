/* Datagrams of two sessions that are joined, and of hostile peers (docs/PROTOCOL.md section 5,
 * "Datagrams"). */
#include "session_pair.h"

#include <string.h>

#include "session/internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Datagrams begin with their number; the rest follows from it. */
static uint8_t made[DATAGRAM_MAX + 1];

static struct view datagram(uint32_t number, size_t len)
{
    assert_true(len <= sizeof made);
    for (size_t i = 0; i < len; i++)
        made[i] = (uint8_t)(number * 131 + i * 7);
    if (len >= 4)
        store_be32(made, number);
    return view_of(made, len);
}

/* All that came to any application, since it was cleared. */
static struct {
    unsigned count;
    uint32_t number[256]; /* the first of them */
    size_t bytes, largest;
} came;

static void note(struct app *app, struct view d)
{
    uint32_t number = d.len >= 4 ? load_be32(d.data) : UINT32_MAX;
    (void)app;
    if (came.count < COUNT(came.number))
        came.number[came.count] = number;
    came.count++;
    came.bytes += d.len;
    if (d.len > came.largest)
        came.largest = d.len;
    if (number != UINT32_MAX)
        assert_memory_equal(d.data, datagram(number, d.len).data, d.len);
}

/* The pair, ready for datagrams, with nothing on its way. */
static struct pair *new_pair(void)
{
    struct pair *p = pair_new(NULL, NULL);
    memset(&came, 0, sizeof came);
    p->side[AGENT].model.on_datagram = note;
    return p;
}

static struct app *new_app(struct pair *p, unsigned number)
{
    struct app *app = app_open_datagrams(&p->side[CLIENT], number);
    assert_non_null(app);
    app->on_datagram = note;
    return app;
}

static struct app *accepted(struct pair *p, unsigned number)
{
    struct app *app = app_find(&p->side[AGENT], number);
    assert_non_null(app);
    return app;
}

static void send_ok(struct app *app, uint32_t number, size_t len)
{
    assert_true(stream_send_datagram(app->stream, datagram(number, len)));
}

/* How many of a stream's datagrams are taken before one is dropped. */
static unsigned send_many(struct app *app, size_t len)
{
    unsigned n = 0;
    while (n < 10000 && stream_send_datagram(app->stream, datagram(n, len)))
        n++;
    return n;
}

static void test_both_ways(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 4, 512, 1472, 9000, 16384, 65000, DATAGRAM_MAX};
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    pair_run(p);
    assert_int_equal(app->opened, 1);
    for (uint32_t i = 0; i < COUNT(sizes); i++) {
        send_ok(i % 2 ? app : accepted(p, 1), i, sizes[i]);
        pair_run(p);
        assert_int_equal(came.count, i + 1);
        assert_int_equal((i % 2 ? accepted(p, 1) : app)->datagrams, i / 2 + 1);
        if (sizes[i] >= 4)
            assert_int_equal(came.number[i], i);
        assert_int_equal(came.largest, sizes[i]);
    }
    assert_int_equal(p->side[CLIENT].s->bytes_sent, p->side[AGENT].s->bytes_received);
    assert_int_equal(p->side[CLIENT].s->bytes_sent + p->side[AGENT].s->bytes_sent, came.bytes);
    assert_false(stream_send_datagram(app->stream, view_of(made, DATAGRAM_MAX + 1)));
    pair_free(p);
}

/* The largest go also while acknowledgements and PINGs want a place in the record. */
static void test_largest_beside_others(void **state)
{
    struct pair *p = new_pair();
    struct app *app, *bulk;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    bulk = app_open(&p->side[CLIENT], 2);
    pair_run(p);
    for (uint32_t i = 0; i < 50; i++) {
        app_write(accepted(p, 2), 1000);
        app_write(bulk, 40000);
        pair_step(p);
        send_ok(app, i, DATAGRAM_MAX);
        pair_wait(p, 20 * CLOCK_US_PER_S);
        assert_int_equal(came.count, i + 1);
    }
    assert_int_equal(accepted(p, 2)->received, 50 * 40000);
    pair_free(p);
}

/* The first ones go with the OPEN, and come in before it is answered. */
static void test_before_opened(void **state)
{
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    pair_connect(p);
    pair_run(p);
    p->side[AGENT].answer = OPEN_HOLD;
    app = new_app(p, 1);
    for (uint32_t i = 0; i < 3; i++)
        send_ok(app, i, 100);
    pair_run(p);
    assert_int_equal(app->opened, 0);
    assert_int_equal(accepted(p, 1)->datagrams, 3);
    /* An acceptor's wait until OPENED is on its way. */
    send_ok(accepted(p, 1), 7, 100);
    pair_run(p);
    assert_int_equal(app->datagrams, 0);
    app_accept(accepted(p, 1), "192.0.2.1:53");
    pair_run(p);
    assert_int_equal(app->opened, 1);
    assert_int_equal(app->datagrams, 1);
    pair_free(p);
}

/* Those of a stream that ends go with it; those of others stay. */
static void test_end_of_stream(void **state)
{
    struct pair *p = new_pair();
    struct app *app, *other;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    other = new_app(p, 2);
    pair_run(p);
    send_ok(app, 1, 1000);
    send_ok(other, 2, 1000);
    app_reset(app, RESET_TIMEOUT, "idle");
    pair_run(p);
    assert_int_equal(came.count, 1);
    assert_int_equal(came.number[0], 2);
    assert_int_equal(accepted(p, 1)->resets, 1);
    assert_int_equal(accepted(p, 1)->reset_code, RESET_TIMEOUT);
    /* By the peer. */
    send_ok(other, 3, 1000);
    app_reset(accepted(p, 2), RESET_TIMEOUT, "idle");
    pair_wait(p, 100000);
    assert_int_equal(came.count, 1);
    assert_int_equal(other->resets, 1);
    pair_check_empty(p);
    assert_int_equal(p->side[CLIENT].s->datagram_bytes, 0);
    pair_free(p);
}

/* Up to 64 KiB wait, also of the smallest. */
static void test_bound(void **state)
{
    static const size_t sizes[] = {0, 100, 1472, 40000, DATAGRAM_MAX};
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    pair_run(p);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned before = came.count, taken = send_many(app, sizes[i]);
        assert_true(taken * (sizes[i] + 64) >= 64U << 10);
        assert_true((taken - 1) * (sizes[i] + 1) < 64U << 10);
        session_check(p->side[CLIENT].s);
        pair_run(p);
        assert_int_equal(came.count - before, taken); /* in order, none lost on the way */
    }
    pair_free(p);
}

static void test_no_circuit(void **state)
{
    struct pair *p = new_pair();
    struct app *app = new_app(p, 1);
    struct conn *c;
    (void)state;
    assert_false(stream_send_datagram(app->stream, datagram(1, 100)));
    c = pair_connect(p);
    pair_run(p);
    send_ok(app, 2, 100); /* is not written before the circuit ends */
    conn_drop(c);
    assert_int_equal(p->side[CLIENT].s->datagram_bytes, 0);
    assert_false(stream_send_datagram(app->stream, datagram(3, 100)));
    pair_connect(p);
    pair_run(p);
    assert_int_equal(came.count, 0);
    send_ok(app, 4, 100);
    pair_run(p);
    assert_int_equal(came.count, 1);
    assert_int_equal(came.number[0], 4);
    pair_free(p);
}

/* The peer has never heard of the stream when the circuit comes that brings both OPEN and
 * datagram, behind much that was sent before. */
static void open_again(struct pair *p, struct app *app, struct app *bulk, int from)
{
    struct conn *c = p->conn;
    app_write(bulk, 200000);
    conn_flush(c, from); /* into a pipe whose end nobody reads */
    conn_drop(c);
    c = pair_connect(p);
    if (from == AGENT) { /* the client's START moves its session */
        conn_flush(c, CLIENT);
        conn_deliver(c, CLIENT, SIZE_MAX);
    }
    send_ok(app, 5, 1000);
    pair_run(p);
    assert_int_equal(p->side[!from].s->error.code, 0);
    assert_int_equal(came.count, 1);
    assert_int_equal(came.number[0], 5);
}

static void test_after_open_only(void **state)
{
    struct pair *p = new_pair();
    struct app *bulk;
    (void)state;
    pair_connect(p);
    bulk = app_open(&p->side[CLIENT], 2);
    pair_run(p);
    app_write(bulk, 100000);
    open_again(p, new_app(p, 1), bulk, CLIENT);
    pair_free(p);

    p = new_pair();
    pair_connect(p);
    app_open(&p->side[CLIENT], 2);
    p->side[AGENT].answer = OPEN_HOLD;
    new_app(p, 1);
    pair_run(p);
    app_accept(accepted(p, 2), "");
    pair_run(p);
    app_accept(accepted(p, 1), "192.0.2.1:53");
    open_again(p, accepted(p, 1), accepted(p, 2), AGENT);
    pair_free(p);
}

/* Whenever the bulk is asked for bytes there are datagrams too. */
static struct app *flooder;
static size_t flood_len;

static bool flood(struct app *app, enum app_event event)
{
    (void)app;
    if (event == APP_PULL)
        send_many(flooder, flood_len);
    return true;
}

/* While both wait, DATA and datagrams of any size have the same share: in small records, as after a
 * pause, and in large ones. */
static void fairness(size_t len, uint64_t pause_us)
{
    struct pair *p = new_pair();
    struct app *app, *bulk;
    uint64_t data, datagrams;
    pair_connect(p);
    app = new_app(p, 1);
    bulk = app_open(&p->side[CLIENT], 2);
    pair_wait(p, 100000);
    p->pipe_bytes = 1; /* records are built as often as this side is asked */
    flooder = app;
    flood_len = len;
    bulk->hook = flood;
    app_write(bulk, 1ULL << 40);
    for (int i = 0; i < 200; i++) {
        p->now += pause_us;
        send_many(app, len);
        pair_step(p);
    }
    data = accepted(p, 2)->received;
    datagrams = came.bytes;
    assert_true(data > 1 << 20 && datagrams > 1 << 20);
    assert_true(data * 3 > datagrams && datagrams * 3 > data);
    assert_true(p->side[CLIENT].s->datagrams_ahead <= 128U << 10);
    pair_free(p);
}

static void test_fairness(void **state)
{
    static const size_t sizes[] = {200, 1472, 20000, DATAGRAM_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        fairness(sizes[i], 0);
        fairness(sizes[i], 2 * CLOCK_US_PER_S);
    }
}

/* Datagrams that were alone for long owe nothing to a stream that begins then. */
static void test_no_debt(void **state)
{
    struct pair *p = new_pair();
    struct app *app, *bulk;
    unsigned before;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    bulk = app_open(&p->side[CLIENT], 2);
    pair_run(p);
    for (int i = 0; i < 1000; i++) {
        send_many(app, 1472);
        pair_run(p);
    }
    before = came.count;
    p->pipe_bytes = 1;
    app_write(bulk, 1 << 30);
    send_many(app, 1472);
    pair_step(p);
    assert_true(accepted(p, 2)->received > 0);
    assert_true(came.count > before + 20);
    pair_free(p);
}

/* Nor do they wait until all that was sent before is sent again. */
static void test_beside_what_is_sent_again(void **state)
{
    struct pair *p = new_pair();
    struct app *app, *bulk;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    bulk = app_open(&p->side[CLIENT], 2);
    pair_wait(p, 100000);
    app_write(bulk, 250000);
    conn_flush(p->conn, CLIENT);
    conn_drop(p->conn);
    pair_connect(p);
    p->pipe_bytes = 1;
    send_ok(app, 1, 1000);
    pair_step(p);
    assert_int_equal(came.count, 1);
    assert_true(accepted(p, 2)->received < 200000);
    pair_run(p);
    assert_int_equal(accepted(p, 2)->received, 250000);
    pair_free(p);
}

/* Frames that are owed go before datagrams, though they never end. */
static void test_control_goes_first(void **state)
{
    struct pair *p = new_pair();
    struct app *app, *late;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    pair_run(p);
    for (unsigned i = 0; i < 20; i++) {
        send_many(app, DATAGRAM_MAX);
        late = app_open(&p->side[CLIENT], 10 + i);
        for (int step = 0; step < 3; step++) {
            send_many(app, DATAGRAM_MAX);
            pair_step(p);
        }
        assert_int_equal(late->opened, 1);
    }
    pair_free(p);
}

/* Datagrams count in no window, and leave the pool to others. */
static void test_no_window(void **state)
{
    struct pair *p = new_pair();
    uint32_t pool[2] = {p->side[CLIENT].s->pool_left, p->side[AGENT].s->pool_left};
    (void)state;
    pair_connect(p);
    for (unsigned i = 0; i < 100; i++)
        new_app(p, i);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].s->pool_left, pool[CLIENT]);
    assert_int_equal(p->side[AGENT].s->pool_left, pool[AGENT]);
    for (unsigned i = 0; i < 100; i++)
        app_reset(accepted(p, i), RESET_TIMEOUT, "");
    pair_wait(p, 100000);
    pair_check_empty(p);
    pair_free(p);
}

/* Nothing that an owner says about bytes makes a stream of datagrams send any. */
static void test_no_bytes(void **state)
{
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    pair_connect(p);
    app = new_app(p, 1);
    app_write(app, 1000);
    app_close(app);
    pair_run(p);
    app_write(accepted(p, 1), 1000);
    stream_writable(app->stream);
    pair_run(p);
    assert_int_equal(app->pulls + accepted(p, 1)->pulls, 0);
    assert_int_equal(p->side[AGENT].s->error.code, 0);
    pair_free(p);
}

/* A listener's owner, or an application of bytes, has no datagrams to send. */
static void test_not_on_bytes(void **state)
{
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    pair_connect(p);
    app = app_open(&p->side[CLIENT], 1);
    pair_run(p);
    assert_false(stream_send_datagram(app->stream, datagram(1, 10)));
    pair_free(p);
}

/* An owner may end the stream, or send, inside its event. */
static void answer_and_end(struct app *app, struct view d)
{
    uint32_t number = load_be32(d.data);
    note(app, d);
    if (number == 9)
        app_reset(app, RESET_TIMEOUT, "enough");
    else
        send_ok(app, number + 1, d.len);
}

static void test_inside_events(void **state)
{
    struct pair *p = new_pair();
    struct app *app;
    (void)state;
    p->side[AGENT].model.on_datagram = answer_and_end;
    pair_connect(p);
    app = new_app(p, 1);
    app->on_datagram = answer_and_end;
    send_ok(app, 0, 500);
    pair_wait(p, 100000);
    assert_int_equal(came.count, 10);
    assert_int_equal(accepted(p, 1)->resets, 1);
    pair_check_empty(p);
    pair_free(p);
}

/* --- Hostile peers --- */

static void raw_open_udp(struct raw *r, uint32_t id)
{
    uint8_t payload[64];
    struct open_frame open = {.window = 5000, .target = view_of_string("udp:app:1")};
    raw_send(r, FRAME_OPEN, id, payload, open_encode(&open, false, payload, sizeof payload));
}

/* An engine with one stream of datagrams, its id 1, which is answered or not. */
static struct raw *raw_with_stream(bool client, bool answered)
{
    struct raw *r = raw_new(client, NULL);
    memset(&came, 0, sizeof came);
    raw_start(r);
    if (client) {
        assert_non_null(app_open_datagrams(&r->side, 1));
        raw_output(r);
        if (answered)
            raw_send_opened(r, 1, 0);
    } else {
        r->side.answer = answered ? OPEN_ACCEPT : OPEN_HOLD;
        r->side.model.on_datagram = note;
        raw_open_udp(r, 1);
    }
    raw_output(r);
    return r;
}

static const struct hostile {
    const char *what;
    unsigned type;
    uint32_t stream;
    size_t len;
    bool client, answered;
} hostile[] = {
    {"DATA at an agent", FRAME_DATA, 1, 1, false, true},
    {"DATA before the agent's answer", FRAME_DATA, 1, 1, false, false},
    {"DATA at a client", FRAME_DATA, 1, 1, true, true},
    {"EOF at an agent", FRAME_EOF, 1, 0, false, true},
    {"EOF at a client", FRAME_EOF, 1, 0, true, true},
    {"WINDOW at an agent", FRAME_WINDOW, 1, 4, false, true},
    {"WINDOW at a client", FRAME_WINDOW, 1, 4, true, true},
    {"too large at an agent", FRAME_DATAGRAM, 1, DATAGRAM_MAX + 1, false, true},
    {"too large at a client", FRAME_DATAGRAM, 1, FRAME_PAYLOAD_MAX, true, true},
    {"before OPENED", FRAME_DATAGRAM, 1, 10, true, false},
    {"for the session", FRAME_DATAGRAM, 0, 10, false, true},
    {"for a stream to come", FRAME_DATAGRAM, 3, 10, false, true},
    {"for the client's to come", FRAME_DATAGRAM, 3, 10, true, true},
    {"for the other side's", FRAME_DATAGRAM, 2, 10, false, true},
    {"for the last id", FRAME_DATAGRAM, UINT32_MAX, 10, true, true},
};

static void test_hostile(void **state)
{
    static const uint8_t payload[FRAME_PAYLOAD_MAX] = {0, 0, 0, 1};
    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        const struct hostile *h = &hostile[i];
        struct raw *r = raw_with_stream(h->client, h->answered);
        assert_int_equal(r->s->error.code, 0);
        raw_send(r, h->type, h->stream, payload, h->len);
        if (r->s->error.code != CODE_PROTOCOL)
            fail_msg("%s does not end the session", h->what);
        assert_int_equal(r->s->state, SESSION_ENDED);
        raw_free(r);
    }
}

static void test_harmless(void **state)
{
    struct raw *r = raw_with_stream(false, true);
    (void)state;
    raw_send(r, FRAME_DATAGRAM, 1, NULL, 0);
    raw_send(r, FRAME_DATAGRAM, 1, datagram(1, DATAGRAM_MAX).data, DATAGRAM_MAX);
    assert_int_equal(came.count, 2);
    /* On its way while this side ends the stream, and after. */
    app_reset(app_find(&r->side, 1), RESET_TIMEOUT, "idle");
    raw_send(r, FRAME_DATAGRAM, 1, datagram(2, 10).data, 10);
    raw_output(r);
    raw_send(r, FRAME_DATAGRAM, 1, datagram(3, 10).data, 10);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    raw_send(r, FRAME_DATAGRAM, 1, datagram(4, 10).data, 10);
    assert_int_equal(came.count, 2);
    assert_int_equal(r->s->error.code, 0);
    raw_free(r);
}

/* Nothing of a stream follows its RESET. */
static void test_nothing_after_reset(void **state)
{
    struct raw *r = raw_with_stream(true, true);
    (void)state;
    send_ok(app_find(&r->side, 1), 1, 100);
    app_reset(app_find(&r->side, 1), RESET_TIMEOUT, "idle");
    assert_int_equal(sent_count(raw_output(r), FRAME_DATAGRAM), 0);
    raw_free(r);
}

/* A datagram makes a record larger only when it is that large itself. */
static void test_record_size(void **state)
{
    struct raw *r = raw_with_stream(true, true);
    const struct sent *sent;
    (void)state;
    app_open(&r->side, 2);
    send_ok(app_find(&r->side, 1), 1, 16384);
    sent = raw_output(r);
    assert_int_equal(sent->records, 2);
    assert_int_equal(sent->largest, FRAME_HEADER_BYTES + 16384);
    send_many(app_find(&r->side, 1), 1000);
    sent = raw_output(r);
    assert_true(sent->records >= 4 && sent->largest <= 16384);
    raw_free(r);
}

/* A flood of them costs no memory, and nothing is acknowledged for it. */
static void test_flood(void **state)
{
    struct raw *r = raw_with_stream(false, false);
    uint64_t received = r->s->receive_position;
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        raw_send(r, FRAME_DATAGRAM, 1, datagram(i, 8000).data, 8000);
    assert_int_equal(came.count, 1000);
    assert_int_equal(r->s->receive_position, received);
    assert_int_equal(app_find(&r->side, 1)->stream->held.bytes, 0);
    assert_int_equal(raw_output(r)->count, 0);
    raw_free(r);
}

/* An OPEN over the limit is refused; datagrams that follow it at once do no harm. */
static void test_over_the_limit(void **state)
{
    struct session_settings settings = session_default_settings(false);
    struct raw *r;
    (void)state;
    settings.streams = 1;
    r = raw_new(false, &settings);
    raw_start(r);
    raw_open_udp(r, 1);
    raw_open_udp(r, 3);
    raw_send(r, FRAME_DATAGRAM, 3, datagram(1, 10).data, 10);
    assert_int_equal(r->s->error.code, 0);
    assert_int_equal(sent_count(raw_output(r), FRAME_RESET), 1);
    raw_free(r);
}

/* Frames that cost little to send cost their receiver as much as 256 bytes, and what is left waits
 * for the next turn, also when nothing more is received. */
static void test_work_is_limited(void **state)
{
    enum { FRAMES = 4000, WORK = 256 };
    struct raw *r = raw_with_stream(false, true);
    static struct record record;
    uint8_t *space;
    size_t room, len;
    (void)state;
    record.len = 0;
    for (int i = 0; i < FRAMES; i++)
        record_frame(&record, FRAME_DATAGRAM, 1, NULL, 0);
    len = record_seal(&record, &r->send);
    space = circuit_input_space(&r->c, &room);
    memcpy(space, record.bytes, len);
    circuit_received(&r->c, len, r->now);
    assert_int_equal(came.count, 0);
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(circuit_work(&r->c, 10 * WORK, r->now), 10 * WORK);
        assert_int_equal(came.count, 10 * i);
        assert_true(circuit_has_work(&r->c));
    }
    circuit_work(&r->c, (FRAMES - 100) * WORK, r->now);
    assert_int_equal(came.count, FRAMES);
    assert_false(circuit_has_work(&r->c));
    assert_int_equal(circuit_work(&r->c, WORK, r->now), 0);
    raw_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_largest_beside_others),
        cmocka_unit_test(test_before_opened),
        cmocka_unit_test(test_end_of_stream),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_no_circuit),
        cmocka_unit_test(test_after_open_only),
        cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_no_debt),
        cmocka_unit_test(test_beside_what_is_sent_again),
        cmocka_unit_test(test_control_goes_first),
        cmocka_unit_test(test_no_window),
        cmocka_unit_test(test_no_bytes),
        cmocka_unit_test(test_not_on_bytes),
        cmocka_unit_test(test_inside_events),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_harmless),
        cmocka_unit_test(test_nothing_after_reset),
        cmocka_unit_test(test_record_size),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_work_is_limited),
        cmocka_unit_test(test_over_the_limit),
    };
    return cmocka_run_group_tests_name("session_datagram", tests, NULL, NULL);
}
