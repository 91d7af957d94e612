/* A session and its circuits: positions, acknowledgements, resume, liveness, the end
 * (docs/PROTOCOL.md section 5). */
#include "session_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session/internal.h"
#include "session_short.h"

static uint64_t position_of(const struct sent *sent, unsigned i)
{
    return load_be64(sent->frame[i].payload);
}

/* --- Setting up --- */

static void test_settings(void **state)
{
    static const struct session_events none;
    struct session_settings t = session_default_settings(false);
    struct session *s;
    (void)state;
    t.early_credit = 0;
    assert_null(session_new(&t, &none, NULL));
    assert_int_equal(errno, EINVAL);
    t.early_credit = 8192;
    t.ring_bytes = 64 << 10;
    assert_null(session_new(&t, &none, NULL));
    assert_int_equal(errno, EINVAL);
    t.ring_bytes = 3 << 20;
    assert_null(session_new(&t, &none, NULL));
    t.ring_bytes = 128 << 10;
    t.receive_limit = UINT32_MAX;
    t.early_credit = UINT32_MAX;
    s = session_new(&t, &none, NULL);
    assert_non_null(s);
    assert_int_equal(session_settings(s)->receive_limit, CREDIT_MAX);
    assert_int_equal(session_settings(s)->early_credit, CREDIT_MAX / 2 / STREAMS_DEFAULT);
    session_check(s);
    session_free(s);
    session_free(NULL);
}

static void test_welcome(void **state)
{
    struct session_welcome w = {.streams = 4, .ring = RAW_RING, .early_credit = 100};
    struct raw *r = raw_new(true, NULL);
    struct app *app = app_open(&r->side, 1);
    (void)state;
    app_write(app, 1000);
    raw_output(r);
    assert_int_equal(app->sent, RAW_EARLY_CREDIT < 1000 ? RAW_EARLY_CREDIT : 1000);
    memcpy(w.session_id, r->s->id, sizeof w.session_id);
    assert_true(session_take_welcome(r->s, &w)); /* of a resume */
    assert_int_equal(r->s->peer_streams, 4);
    assert_int_equal(r->s->peer_early_credit, RAW_EARLY_CREDIT);
    raw_start(r);
    raw_send_opened(r, 1, 1000);
    assert_int_equal(app->stream->send_credit, 0);
    w.session_id[0] ^= 1;
    assert_false(session_take_welcome(r->s, &w));
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    raw_free(r);
}

static void test_welcome_without_sense(void **state)
{
    static const struct session_events none;
    struct session_settings t = session_default_settings(true);
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct session_welcome w = {.early_credit = i ? CREDIT_MAX : CREDIT_MAX + 1U};
        struct session *s = session_new(&t, &none, NULL);
        assert_non_null(s);
        w.session_id[0] = i ? 0 : 1;
        assert_false(session_take_welcome(s, &w));
        assert_int_equal(session_state(s), SESSION_ENDED);
        session_free(s);
    }
}

static void test_agent_says_nothing_before_start(void **state)
{
    struct raw *r = raw_new(false, NULL);
    const struct sent *sent;
    (void)state;
    assert_null(r->s->circuit);
    assert_int_equal(raw_output(r)->records, 0);
    r->now += 10000000;
    circuit_tick(&r->c, r->now);
    assert_int_equal(raw_output(r)->records, 0);
    session_close(r->s, CODE_SHUTDOWN, "ending");
    assert_int_equal(raw_output(r)->records, 0);
    raw_send_position(r, FRAME_START, 0);
    assert_true(r->side.woken);
    sent = raw_output(r);
    assert_int_equal(sent->frame[0].type, FRAME_START);
    assert_int_equal(sent_count(sent, FRAME_START), 1);
    assert_int_equal(sent_count(sent, FRAME_CLOSE), 1);
    raw_free(r);
}

static void test_client_starts_at_once(void **state)
{
    struct raw *r = raw_new(true, NULL);
    const struct sent *sent = raw_output(r);
    (void)state;
    assert_int_equal(sent->frame[0].type, FRAME_START);
    assert_int_equal(position_of(sent, 0), 0);
    assert_int_equal(sent_count(sent, FRAME_PING), 1);
    raw_free(r);
}

/* --- Acknowledgements --- */

static struct raw *agent_with_stream(uint32_t window)
{
    struct raw *r = raw_new(false, NULL);
    raw_start(r);
    raw_send_open(r, 1, window);
    raw_output(r);
    return r;
}

static void test_ack_by_size(void **state)
{
    struct raw *r = agent_with_stream(1000);
    const struct sent *sent;
    (void)state;
    raw_send_data(r, 1, 0, RAW_RING / 4 - 13 - FRAME_HEADER_BYTES);
    raw_send_data(r, 1, RAW_RING / 4 - 13 - FRAME_HEADER_BYTES, 4);
    assert_false(r->side.woken);
    assert_int_equal(raw_output(r)->records, 0); /* one byte is missing */
    raw_free(r);
    r = agent_with_stream(1000);
    raw_send_data(r, 1, 0, RAW_RING / 4 - 12 - FRAME_HEADER_BYTES);
    assert_false(r->side.woken);
    raw_send(r, FRAME_WINDOW, 1, "\0\0\0\1", 4);
    assert_true(r->side.woken);
    sent = raw_output(r);
    assert_int_equal(sent->count, 1);
    assert_int_equal(sent->frame[0].type, FRAME_ACK);
    assert_int_equal(position_of(sent, 0), r->sequenced);
    assert_int_equal(raw_output(r)->records, 0);
    raw_free(r);
}

static void test_ack_by_timer(void **state)
{
    struct raw *r = agent_with_stream(1000);
    const struct sent *sent;
    uint64_t first = r->now;
    (void)state;
    raw_send_data(r, 1, 0, 10);
    assert_int_equal(circuit_deadline(&r->c), first + 25000);
    r->now += 20000;
    raw_send_data(r, 1, 10, 10); /* counts from the oldest */
    assert_int_equal(circuit_deadline(&r->c), first + 25000);
    r->now = first + 24999;
    circuit_tick(&r->c, r->now);
    assert_int_equal(raw_output(r)->records, 0);
    r->now = first + 25000;
    circuit_tick(&r->c, r->now);
    assert_true(r->side.woken);
    assert_true(circuit_deadline(&r->c) > r->now);
    sent = raw_output(r);
    assert_int_equal(sent->count, 1);
    assert_int_equal(sent->frame[0].type, FRAME_ACK);
    assert_int_equal(position_of(sent, 0), r->sequenced);
    r->now += 1000000;
    circuit_tick(&r->c, r->now);
    assert_int_equal(raw_output(r)->records, 0);
    raw_free(r);
}

/* In front of the frames of any record that goes anyway. */
static void test_ack_rides_along(void **state)
{
    struct raw *r = agent_with_stream(1000);
    const struct sent *sent;
    (void)state;
    raw_send_data(r, 1, 0, 10);
    app_write(app_find(&r->side, 1), 5);
    sent = raw_output(r);
    assert_int_equal(sent->count, 2);
    assert_int_equal(sent->frame[0].type, FRAME_ACK);
    assert_int_equal(position_of(sent, 0), r->sequenced);
    assert_int_equal(sent->frame[1].type, FRAME_DATA);
    assert_true(circuit_deadline(&r->c) > r->now + 25000);
    raw_send_data(r, 1, 10, 10);
    raw_send(r, FRAME_PING, 0, "12345678", 8);
    sent = raw_output(r);
    assert_int_equal(sent->count, 2);
    assert_int_equal(sent->frame[0].type, FRAME_PONG);
    assert_int_equal(sent->frame[1].type, FRAME_ACK);
    app_write(app_find(&r->side, 1), 5);
    assert_int_equal(sent_count(raw_output(r), FRAME_ACK), 0); /* nothing new */
    raw_free(r);
}

static void test_ack_frees_the_ring(void **state)
{
    struct raw *r = agent_with_stream(100000);
    uint64_t end;
    (void)state;
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_false(session_unacknowledged(r->s));
    app_write(app_find(&r->side, 1), 1000);
    raw_output(r);
    assert_true(session_unacknowledged(r->s));
    end = r->s->sent_max;
    raw_send_position(r, FRAME_ACK, end - 1008);
    assert_int_equal(ring_used(&r->s->ring), 1008);
    raw_send_position(r, FRAME_ACK, end);
    raw_send_position(r, FRAME_ACK, end - 1008); /* an old one changes nothing */
    assert_int_equal(ring_used(&r->s->ring), 0);
    assert_false(session_unacknowledged(r->s));
    raw_send_position(r, FRAME_ACK, end + 1);
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    raw_free(r);
}

/* Bytes in the ring that were given to no circuit cannot be acknowledged. */
static void test_ack_of_what_was_not_sent(void **state)
{
    struct raw *r = agent_with_stream(1 << 20);
    (void)state;
    app_write(app_find(&r->side, 1), 1 << 20);
    circuit_output(&r->c, r->now);
    assert_true(r->s->sent_max > 32 << 10);
    raw_send_position(r, FRAME_ACK, r->s->sent_max + 1);
    assert_int_equal(r->s->state, SESSION_ENDED);
    raw_free(r);
}

/* --- PING, liveness --- */

static void test_round_trip(void **state)
{
    struct raw *r = raw_new(false, NULL);
    uint8_t token[8], wrong[8] = {1};
    const struct sent *sent;
    (void)state;
    raw_send_position(r, FRAME_START, 0);
    sent = raw_output(r);
    assert_int_equal(sent->frame[1].type, FRAME_PING);
    memcpy(token, sent->frame[1].payload, sizeof token);
    r->now += 30000;
    raw_send(r, FRAME_PONG, 0, wrong, sizeof wrong);
    assert_int_equal(r->s->rtt_us, 0);
    raw_send(r, FRAME_PONG, 0, token, sizeof token);
    assert_int_equal(r->s->rtt_us, 30000);
    assert_int_equal(r->s->pace.shortest_us, 30000);
    r->now += 5000;
    raw_send(r, FRAME_PONG, 0, token, sizeof token); /* once only */
    assert_int_equal(r->s->rtt_us, 30000);
    r->now += 15000000;
    circuit_tick(&r->c, r->now);
    sent = raw_output(r);
    assert_int_equal(sent->frame[0].type, FRAME_PING);
    r->now += 70000;
    raw_send(r, FRAME_PONG, 0, sent->frame[0].payload, 8);
    assert_int_equal(r->s->rtt_us, 70000);
    assert_int_equal(r->s->pace.shortest_us, 30000);
    raw_free(r);
}

static void test_one_pong_is_owed(void **state)
{
    struct raw *r = agent_with_stream(1000);
    const struct sent *sent;
    (void)state;
    for (uint8_t i = 0; i < 100; i++)
        raw_send(r, FRAME_PING, 0, (uint8_t[8]){i}, 8);
    assert_true(r->side.woken);
    sent = raw_output(r);
    assert_int_equal(sent->count, 1);
    assert_int_equal(sent->frame[0].type, FRAME_PONG);
    assert_int_equal(sent->frame[0].payload[0], 99);
    raw_free(r);
}

static void test_silence_ends_the_circuit(void **state)
{
    struct raw *r = agent_with_stream(1000);
    uint64_t last = r->now, keepalive = r->s->settings.keepalive_us;
    (void)state;
    r->now = circuit_deadline(&r->c);
    assert_true(r->now <= last + keepalive);
    circuit_tick(&r->c, r->now);
    r->now = last + keepalive;
    circuit_tick(&r->c, r->now);
    assert_int_equal(sent_count(raw_output(r), FRAME_PING), 1);
    r->now = last + 2 * keepalive - 1;
    circuit_tick(&r->c, r->now);
    assert_int_equal(r->c.failed.code, 0);
    r->now++;
    assert_int_equal(circuit_deadline(&r->c) <= r->now, 1);
    circuit_tick(&r->c, r->now);
    assert_int_equal(r->c.failed.code, CODE_TIMEOUT);
    assert_int_equal(circuit_deadline(&r->c), CLOCK_NEVER);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->s->peer_open, 1);
    assert_int_equal(raw_output(r)->records, 0);
    raw_free(r);
}

/* Bytes that nobody acknowledges for max(3 s, 4 round trips). */
static void test_stall(void **state)
{
    struct raw *r = agent_with_stream(100000);
    (void)state;
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    r->now += 10000000;
    assert_false(session_stalled(r->s, r->now)); /* nothing waits */
    app_write(app_find(&r->side, 1), 1000);
    raw_output(r);
    app_write(app_find(&r->side, 1), 1000);
    r->now += 2000000;
    raw_output(r);
    assert_false(session_stalled(r->s, r->now + 999999));
    assert_true(session_stalled(r->s, r->now + 1000000));
    raw_send_position(r, FRAME_ACK, r->s->sent_max - 1008); /* progress */
    assert_false(session_stalled(r->s, r->now + 2999999));
    assert_true(session_stalled(r->s, r->now + 3000000));
    r->s->rtt_us = 2000000;
    assert_false(session_stalled(r->s, r->now + 7999999));
    assert_true(session_stalled(r->s, r->now + 8000000));
    circuit_free(&r->c);
    assert_false(session_stalled(r->s, r->now + 8000000));
    raw_free(r);
}

/* Ticks at each deadline; how many PINGs went out until then. */
static unsigned pings_until(struct raw *r, uint64_t until)
{
    unsigned pings = 0;
    while (circuit_deadline(&r->c) <= until) {
        r->now = circuit_deadline(&r->c);
        circuit_tick(&r->c, r->now);
        assert_true(circuit_deadline(&r->c) > r->now);
        pings += sent_count(raw_output(r), FRAME_PING);
    }
    r->now = until;
    return pings;
}

/* A side that has got something and acknowledged it, and waits for more. */
static struct raw *receiver(bool client)
{
    struct raw *r = raw_new(client, NULL);
    raw_start(r);
    if (client) {
        assert_non_null(app_open(&r->side, 1));
        raw_output(r);
        raw_send_position(r, FRAME_ACK, r->s->sent_max);
        raw_send_opened(r, 1, 1000);
    } else {
        raw_send_open(r, 1, 1000);
        raw_output(r);
        raw_send_position(r, FRAME_ACK, r->s->sent_max);
    }
    app_take(app_find(&r->side, 1), EVERYTHING);
    raw_send_data(r, 1, 0, 100);
    return r;
}

/* Nothing more comes: the peer is asked after 3 s (an agent waits a second longer, for the client's
 * PING), and max(3 s, 4 round trips) later the circuit stalls. That is told once. */
static void test_silence_after_bytes(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        struct raw *r = receiver(client);
        uint64_t last = r->now, silence = client ? 3000000 : 4000000;
        assert_int_equal(pings_until(r, last + silence - 1), 0);
        assert_int_equal(r->side.silences, 0);
        assert_int_equal(pings_until(r, last + silence), 1);
        assert_int_equal(r->side.silences, 1);
        r->s->rtt_us = 1000000;
        assert_int_equal(pings_until(r, last + silence + 3999999), 0);
        assert_int_equal(r->side.stalls, 0);
        assert_false(session_stalled(r->s, r->now));
        pings_until(r, last + silence + 4000000);
        assert_int_equal(r->side.stalls, 1);
        assert_int_equal(r->side.stalled_since, last);
        assert_true(session_stalled(r->s, r->now));
        pings_until(r, last + 29999999);
        assert_int_equal(r->side.stalls, 1);
        assert_int_equal(r->side.silences, 1);
        assert_int_equal(r->c.failed.code, 0);
        raw_free(r);
    }
}

/* Any byte is a sign of life. A session that stays idle then says nothing more until its keepalive;
 * one that carries something again is asked again. */
static void test_silence_of_the_idle(void **state)
{
    struct raw *r = receiver(true);
    uint64_t token = r->now;
    (void)state;
    assert_int_equal(pings_until(r, r->now + 5000000), 1);
    raw_send(r, FRAME_PONG, 0, &token, sizeof token);
    assert_int_equal(pings_until(r, r->now + 12000000), 0);
    assert_int_equal(pings_until(r, r->now + 2000000), 1); /* the keepalive, 15 s after the first */
    raw_send(r, FRAME_PONG, 0, &token, sizeof token);
    assert_int_equal(pings_until(r, r->now + 10000000), 0);
    raw_send_data(r, 1, 100, 10);
    assert_int_equal(pings_until(r, r->now + 3000000), 1);
    assert_int_equal(r->side.stalls, 0);
    pings_until(r, r->now + 3000000);
    assert_int_equal(r->side.stalls, 1);
    raw_send(r, FRAME_PONG, 0, &token, sizeof token); /* it lives after all */
    assert_false(session_stalled(r->s, r->now));
    raw_send_data(r, 1, 110, 10);
    pings_until(r, r->now + 6000000);
    assert_int_equal(r->side.stalls, 2);
    raw_free(r);
}

/* Who is asked need not ask: of two sides that fall silent the client does. */
static void test_one_side_asks(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    uint64_t carried;
    (void)state;
    pair_connect(p);
    app = app_open(&p->side[CLIENT], 1);
    p->side[AGENT].model.appetite = EVERYTHING;
    app_write(app, 1000);
    pair_wait(p, 1000000);
    carried = p->conn->carried[CLIENT] + p->conn->carried[AGENT];
    pair_wait(p, 13000000);
    carried = p->conn->carried[CLIENT] + p->conn->carried[AGENT] - carried;
    assert_int_equal(carried, 2 * (2 + FRAME_HEADER_BYTES + 8 + TAG_BYTES));
    assert_int_equal(p->side[CLIENT].stalls + p->side[AGENT].stalls, 0);
    pair_free(p);
}

/* The same after what was sent, once it is acknowledged; and what is not acknowledged needs no
 * PING. */
static void test_silence_after_what_was_sent(void **state)
{
    struct raw *r = receiver(true);
    uint64_t token = r->now;
    (void)state;
    pings_until(r, r->now + 3000000);
    raw_send(r, FRAME_PONG, 0, &token, sizeof token);
    app_write(app_find(&r->side, 1), 100);
    raw_output(r);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    assert_int_equal(pings_until(r, r->now + 2999999), 0);
    assert_int_equal(pings_until(r, r->now + 1), 1);
    raw_send(r, FRAME_PONG, 0, &token, sizeof token);
    app_write(app_find(&r->side, 1), 100);
    raw_output(r);
    pings_until(r, r->now + 2999999);
    assert_int_equal(r->side.stalls, 0);
    pings_until(r, r->now + 1);
    assert_int_equal(r->side.stalls, 1);
    raw_free(r);
}

/* On a slow path what waits for its ACK waits long: while other bytes come nothing stalls. Each
 * silence after them does, and is told. */
static void test_no_stall_while_bytes_come(void **state)
{
    struct raw *r = receiver(true);
    uint64_t last;
    (void)state;
    app_write(app_find(&r->side, 1), 100);
    raw_output(r);
    for (unsigned i = 0; i < 10; i++) {
        pings_until(r, r->now + 2999999);
        assert_false(session_stalled(r->s, r->now));
        raw_send_data(r, 1, 100 + i, 1);
    }
    assert_int_equal(r->side.stalls, 0);
    for (unsigned i = 1; i <= 2; i++) {
        last = r->now;
        pings_until(r, last + 2999999);
        assert_int_equal(r->side.stalls, i - 1);
        pings_until(r, last + 3000000);
        assert_int_equal(r->side.stalls, i);
        assert_int_equal(r->side.stalled_since, last);
        raw_send_data(r, 1, 109 + i, 1);
        assert_false(session_stalled(r->s, r->now));
    }
    raw_free(r);
}

/* Datagrams count as well, though nothing of them is ever acknowledged. */
static void test_silence_after_datagrams(void **state)
{
    struct raw *r = raw_new(true, NULL);
    uint64_t token = r->now;
    (void)state;
    raw_start(r);
    assert_non_null(app_open_datagrams(&r->side, 1));
    raw_output(r);
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    raw_send_opened(r, 1, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pings_until(r, r->now + 2999999), 0);
        assert_int_equal(pings_until(r, r->now + 1), 1);
        raw_send(r, FRAME_PONG, 0, &token, sizeof token);
        assert_int_equal(pings_until(r, r->now + 4000000), 0);
        if (i == 0)
            assert_true(stream_send_datagram(app_find(&r->side, 1)->stream, view_of("a", 1)));
        else
            raw_send(r, FRAME_DATAGRAM, 1, "b", 1);
        raw_output(r);
        r->c.last_read_us = r->now; /* what was carried is the newest */
    }
    raw_free(r);
}

static void test_a_living_circuit_stays(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_wait(p, 3600 * CLOCK_US_PER_S);
    assert_int_equal(p->conn->end[CLIENT].failed.code, 0);
    assert_int_equal(p->conn->end[AGENT].failed.code, 0);
    assert_true(p->conn->carried[CLIENT] < 60000); /* a PING and a PONG in 15 s */
    pair_free(p);
}

static void test_start_must_come_in_time(void **state)
{
    struct session_settings t = session_default_settings(false);
    (void)state;
    t.keepalive_us = 60 * CLOCK_US_PER_S;
    for (int client = 0; client < 2; client++) {
        struct raw *r;
        t.client = client;
        r = raw_new(client, &t);
        raw_output(r);
        assert_int_equal(circuit_deadline(&r->c), r->now + 15 * CLOCK_US_PER_S);
        r->now += 15 * CLOCK_US_PER_S - 1;
        circuit_tick(&r->c, r->now);
        assert_int_equal(r->c.failed.code, 0);
        r->now++;
        circuit_tick(&r->c, r->now);
        assert_int_equal(r->c.failed.code, CODE_TIMEOUT);
        assert_int_equal(r->s->state, SESSION_ACTIVE);
        raw_free(r);
    }
}

/* --- Records --- */

/* START, OPEN and DATA of the peer in one record. */
static void first_record(struct record *record)
{
    uint8_t payload[64], bytes[8] = {0};
    struct open_frame open = {.window = 5000, .target = view_of_string("tcp:app:1")};
    record->len = 0;
    record_frame(record, FRAME_START, 0, bytes, sizeof bytes);
    record_frame(record, FRAME_OPEN, 1, payload,
                 open_encode(&open, false, payload, sizeof payload));
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = app_byte(1, CLIENT, i);
    record_frame(record, FRAME_DATA, 1, bytes, sizeof bytes);
}

static void check_first_record_taken(const struct raw *r)
{
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->side.opens, 1);
    assert_int_equal(app_find((struct side *)(uintptr_t)&r->side, 1)->received, 8);
}

static void flip(size_t bit)
{
    static const uint8_t zeros[RECORD_MAX];
    struct raw *r = raw_new(false, NULL);
    struct circuit second;
    struct cipher send, receive;
    struct record record;
    size_t len;
    first_record(&record);
    len = record_seal(&record, &r->send);
    record.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    raw_feed(r, &r->c, record.bytes, len);
    if (!r->c.failed.code)
        assert_true(bit < 16); /* the length: more is awaited */
    raw_feed(r, &r->c, zeros, sizeof zeros);
    assert_int_equal(r->c.failed.code, CODE_PROTOCOL);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->side.opens, 0);
    assert_int_equal(r->s->receive_position, 0);
    assert_null(r->s->circuit);

    raw_circuit(r, &second, &send, &receive, 2, 0);
    first_record(&record);
    raw_feed(r, &second, record.bytes, record_seal(&record, &send));
    check_first_record_taken(r);
    circuit_free(&second);
    raw_free(r);
}

static void test_flipped_bits(void **state)
{
    struct record record;
    struct cipher cipher;
    uint8_t key[KEY_BYTES] = {0};
    size_t bits;
    (void)state;
    cipher_init(&cipher, SUITE_AESGCM, key);
    first_record(&record);
    bits = 8 * record_seal(&record, &cipher);
    for (size_t bit = 0; bit < bits; bit++)
        flip(bit);
}

/* Nothing of a record is looked at before its last byte has come. */
static void test_record_byte_by_byte(void **state)
{
    struct raw *r = raw_new(false, NULL);
    struct record record;
    size_t len;
    (void)state;
    first_record(&record);
    len = record_seal(&record, &r->send);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(r->side.opens, 0);
        assert_false(r->c.started);
        raw_feed(r, &r->c, record.bytes + i, 1);
    }
    check_first_record_taken(r);
    raw_free(r);
}

static void test_short_records(void **state)
{
    (void)state;
    for (size_t len = 0; len <= TAG_BYTES; len++) {
        struct raw *r = raw_new(false, NULL);
        uint8_t bytes[2 + TAG_BYTES] = {0, (uint8_t)len};
        raw_feed(r, &r->c, bytes, 2 + len);
        assert_int_equal(r->c.failed.code, CODE_PROTOCOL);
        assert_int_equal(r->s->state, SESSION_ACTIVE);
        raw_free(r);
    }
}

/* An authentic record holds at least one frame. */
static void test_record_without_a_frame(void **state)
{
    struct raw *r = agent_with_stream(1000);
    struct record record = {.len = 0};
    (void)state;
    raw_feed(r, &r->c, record.bytes, record_seal(&record, &r->send));
    assert_int_equal(r->c.failed.code, CODE_PROTOCOL);
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    raw_free(r);
}

/* Records that the end of the receive buffer cuts. */
static void test_records_without_a_gap(void **state)
{
    enum { RECORDS = 40, BYTES = 1000 };
    static const uint8_t pad[50001];
    struct raw *r = agent_with_stream(1000);
    uint8_t *all = malloc((size_t)RECORDS * (2 + RECORD_MAX));
    size_t len = 0;
    (void)state;
    assert_non_null(all);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct record record = {.len = 0};
        uint8_t data[BYTES];
        size_t n;
        for (unsigned k = 0; k < BYTES; k++)
            data[k] = app_byte(1, CLIENT, (uint64_t)i * BYTES + k);
        record_frame(&record, FRAME_PAD, 0, pad, sizeof pad - i % 7);
        record_frame(&record, FRAME_DATA, 1, data, sizeof data);
        n = record_seal(&record, &r->send);
        memcpy(all + len, record.bytes, n);
        len += n;
    }
    raw_feed(r, &r->c, all, len);
    assert_int_equal(r->c.failed.code, 0);
    assert_int_equal(app_find(&r->side, 1)->received, RECORDS * BYTES);
    free(all);
    raw_free(r);
}

/* A record repeated, or left out, fails. */
static void test_records_have_an_order(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct raw *r = agent_with_stream(1000);
        struct record record = {.len = 0};
        size_t len;
        record_frame(&record, FRAME_DATA, 1, (uint8_t[]){app_byte(1, CLIENT, 0)}, 1);
        if (again) {
            len = record_seal(&record, &r->send);
            raw_feed(r, &r->c, record.bytes, len);
            assert_int_equal(app_find(&r->side, 1)->received, 1);
            record.len = 0;
            record_frame(&record, FRAME_DATA, 1, (uint8_t[]){app_byte(1, CLIENT, 0)}, 1);
            r->send.nonce--;
        } else {
            r->send.nonce++;
        }
        len = record_seal(&record, &r->send);
        raw_feed(r, &r->c, record.bytes, len);
        assert_int_equal(r->c.failed.code, CODE_PROTOCOL);
        assert_int_equal(app_find(&r->side, 1)->received, again);
        raw_free(r);
    }
}

/* At most 16 KiB until 1 MiB went out without a pause over 1 s. */
static void test_sizes_of_records(void **state)
{
    struct raw *r = agent_with_stream(CREDIT_MAX);
    const struct sent *sent;
    uint64_t large_at = 0, at;
    struct circuit second;
    struct cipher send, receive;
    uint8_t start[8];
    struct record record = {.len = 0};
    (void)state;
    r->s->pace.limit_bytes = 1ULL << 32; /* nothing is acknowledged here */
    app_write(app_find(&r->side, 1), 900 << 10);
    assert_in_range(raw_output(r)->largest, 15 << 10, 16 << 10);
    app_write(app_find(&r->side, 1), 2 << 20);
    at = r->s->sent_max;
    sent = raw_output(r);
    assert_int_equal(sent->largest, RECORD_PLAINTEXT_MAX - 16); /* room for an ACK is kept */
    for (unsigned i = 0; i < sent->count && !large_at; i++) {
        if (sent->frame[i].len > 32 << 10)
            large_at = at;
        if (frame_sequenced(sent->frame[i].type))
            at += FRAME_HEADER_BYTES + sent->frame[i].len;
    }
    assert_true(large_at > 0);

    /* Looking for output is no sending. */
    r->now += 600000;
    assert_int_equal(raw_output(r)->records, 0);
    r->now += 600000;
    assert_int_equal(raw_output(r)->records, 0);
    app_write(app_find(&r->side, 1), 100 << 10);
    assert_in_range(raw_output(r)->largest, 15 << 10, 16 << 10);

    /* A large frame sent again behind START and PING, on a circuit that has sent little. */
    raw_circuit(r, &second, &send, &receive, 2, large_at);
    store_be64(start, r->sequenced);
    record_frame(&record, FRAME_START, 0, start, sizeof start);
    raw_feed(r, &second, record.bytes, record_seal(&record, &send));
    assert_ptr_equal(r->s->circuit, &second);
    sent = raw_output_on(r, &second, &receive);
    assert_int_equal(sent->frame[0].type, FRAME_START);
    assert_int_equal(position_of(sent, 0), large_at);
    assert_true(sent->largest > 32 << 10 && sent->largest <= RECORD_PLAINTEXT_MAX);
    assert_int_equal(r->s->resend, r->s->ring.head);
    circuit_free(&second);
    raw_free(r);
}

/* --- Resume --- */

static bool reset_after_push(struct app *app, enum app_event event)
{
    if (event != APP_PUSH || app->number != 2)
        return true;
    app_reset(app, RESET_BY_TARGET, "broken");
    return false;
}

/* A stream both ways, and one that the agent resets when its first byte has come. */
static struct pair *small_case(void)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    p->side[AGENT].model.hook = reset_after_push;
    p->side[AGENT].model.available = 90;
    p->side[AGENT].model.closing = true;
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 120);
    app_close(app);
    pair_connect(p);
    app_write(app_open(&p->side[CLIENT], 2), 40);
    return p;
}

static void check_small_case(struct pair *p)
{
    const struct app *one = app_find(&p->side[CLIENT], 1), *two = app_find(&p->side[CLIENT], 2);
    const struct app *target = app_find(&p->side[AGENT], 1);
    assert_int_equal(p->side[AGENT].opens, 2);
    assert_int_equal(one->received, 90);
    assert_int_equal(target->received, 120);
    assert_int_equal(one->dones + target->dones, 2);
    assert_int_equal(two->resets, 1);
    assert_int_equal(two->reset_code, RESET_BY_TARGET);
    assert_string_equal(two->reset_text, "broken");
    pair_check_empty(p);
}

/* Carries `bytes` bytes in turn, one at a time; false: there were fewer. */
static bool carry(struct pair *p, struct conn *c, size_t bytes)
{
    size_t carried = 0, before;
    (void)p;
    do {
        before = carried;
        for (int i = 0; i < 2 && carried < bytes; i++) {
            conn_flush(c, i);
            carried += conn_deliver(c, i, 1);
        }
    } while (carried < bytes && carried > before);
    return carried == bytes;
}

static void test_cut_at_each_byte(void **state)
{
    bool more = true;
    size_t at;
    (void)state;
    for (at = 0; more; at++) {
        struct pair *p = small_case();
        more = carry(p, p->conn, at);
        conn_drop(p->conn);
        pair_check(p);
        pair_connect(p);
        pair_wait(p, 100000);
        check_small_case(p);
        pair_free(p);
    }
    assert_true(at > 400);
}

/* The same with a second cut soon after. */
static void test_cut_twice(void **state)
{
    (void)state;
    for (size_t at = 0; at < 600; at += 7)
        for (size_t next = 0; next < 200; next += 9) {
            struct pair *p = small_case();
            carry(p, p->conn, at);
            conn_drop(p->conn);
            carry(p, pair_connect(p), next);
            conn_drop(p->conn);
            pair_connect(p);
            pair_wait(p, 100000);
            check_small_case(p);
            pair_free(p);
        }
}

/* The next circuit is started beside the old one, which goes on delivering meanwhile and after. */
static void test_circuit_beside_the_old(void **state)
{
    bool more = true;
    (void)state;
    for (size_t at = 0; more; at++) {
        struct pair *p = small_case();
        struct conn *old = p->conn;
        struct greeting g;
        more = carry(p, old, at);
        pair_greet(p, &g);
        carry(p, old, 25); /* between message 1 and message 2 */
        pair_attach(p, &g);
        assert_int_equal(old->end[CLIENT].failed.code, CODE_REPLACED);
        carry(p, old, 25); /* before START */
        pair_wait(p, 100000);
        assert_int_equal(old->end[AGENT].failed.code, CODE_REPLACED);
        assert_ptr_equal(p->side[AGENT].s->circuit, &p->conn->end[AGENT]);
        check_small_case(p);
        pair_free(p);
    }
}

static void test_old_circuit_delivers_nothing_after_the_move(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct conn *old = pair_connect(p), *now;
    struct app *app = app_open(&p->side[CLIENT], 1), *target;
    (void)state;
    pair_run(p);
    target = app_find(&p->side[AGENT], 1);
    app_write(app, 1000);
    conn_flush(old, CLIENT);
    assert_true(old->pipe[CLIENT].bytes > 1000);
    now = pair_connect(p);
    conn_flush(now, CLIENT);
    assert_true(conn_deliver(now, CLIENT, 2 + FRAME_HEADER_BYTES) > 0); /* START is not whole yet */
    assert_ptr_equal(p->side[AGENT].s->circuit, &old->end[AGENT]);
    conn_deliver(old, CLIENT, 500);
    conn_deliver(now, CLIENT, SIZE_MAX);
    assert_ptr_equal(p->side[AGENT].s->circuit, &now->end[AGENT]);
    assert_int_equal(target->received, 1000);
    while (conn_deliver(old, CLIENT, SIZE_MAX))
        ;
    assert_int_equal(target->received, 1000);
    assert_int_equal(old->end[AGENT].failed.code, CODE_REPLACED);
    app_write(app, 1000);
    pair_run(p);
    assert_int_equal(target->received, 2000);
    pair_free(p);
}

/* While the session moves the agent gets the rest of what was under way on the old circuit: it
 * acknowledges more than the client has sent again by then, and still counts every byte from START
 * on. */
static void test_ack_ahead_of_what_is_sent_again(void **state)
{
    enum { BYTES = 100000 };
    struct pair *p = pair_new(NULL, NULL);
    struct conn *old = pair_connect(p);
    struct app *app = app_open(&p->side[CLIENT], 1), *target;
    struct session *client = p->side[CLIENT].s;
    struct greeting g;
    size_t pipe_bytes = p->pipe_bytes;
    (void)state;
    pair_run(p);
    target = app_find(&p->side[AGENT], 1);
    pair_greet(p, &g);
    app_write(app, BYTES);
    while (conn_flush(old, CLIENT) || conn_deliver(old, CLIENT, SIZE_MAX))
        ;
    assert_int_equal(target->received, BYTES);
    pair_attach(p, &g);
    p->pipe_bytes = 1;
    assert_true(conn_flush(p->conn, CLIENT));
    while (conn_deliver(p->conn, CLIENT, SIZE_MAX))
        ;
    p->pipe_bytes = pipe_bytes;
    while (conn_flush(p->conn, AGENT) || conn_deliver(p->conn, AGENT, SIZE_MAX))
        ;
    assert_true(client->peer_position > client->resend && client->ring.tail == client->resend);
    app_write(app, 1000);
    pair_wait(p, 100000);
    assert_int_equal(target->received, BYTES + 1000);
    assert_int_equal(client->error.code, 0);
    assert_int_equal(ring_used(&client->ring), 0);
    pair_free(p);
}

/* Megabytes over a link that is cut again and again, with the bytes on their way lost. */
static void test_many_cuts(void **state)
{
    struct session_settings agent = session_default_settings(false);
    struct pair *p;
    uint64_t cuts = 0;
    (void)state;
    agent.ring_bytes = 256 << 10;
    agent.ring_doublings = 0;
    p = pair_new(NULL, &agent);
    p->slice = SLICE_RANDOM;
    p->side[AGENT].model.available = 1 << 20;
    p->side[AGENT].model.closing = true;
    pair_connect(p);
    for (unsigned i = 0; i < 5; i++) {
        struct app *app = app_open(&p->side[CLIENT], i);
        app_write(app, 1 << 20);
        app_close(app);
    }
    while (!list_empty(&p->side[CLIENT].s->all) || !list_empty(&p->side[AGENT].s->all)) {
        uint64_t steps = pair_random(p, 60);
        assert_true(cuts++ < 100000);
        while (steps-- && pair_step(p))
            ;
        while (p->conns.next != &p->conn->link)
            conn_drop(container_of(p->conns.next, struct conn, link));
        if (pair_random(p, 3)) /* else it goes on beside the next */
            conn_drop(p->conn);
        pair_connect(p);
    }
    assert_true(cuts > 50);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(app_find(&p->side[CLIENT], i)->received, 1 << 20);
        assert_int_equal(app_find(&p->side[AGENT], i)->received, 1 << 20);
        assert_int_equal(app_find(&p->side[CLIENT], i)->dones, 1);
        assert_int_equal(app_find(&p->side[AGENT], i)->dones, 1);
    }
    pair_check_empty(p);
    pair_free(p);
}

/* Without a circuit applications go on until their windows are used up, and nothing is lost. */
static void test_without_a_circuit(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    pair_connect(p);
    app = app_open(&p->side[CLIENT], 1);
    pair_run(p);
    conn_drop(p->conn);
    p->side[CLIENT].woken = false;
    app_write(app, 5000);
    assert_false(p->side[CLIENT].woken);
    app_open(&p->side[CLIENT], 2);
    app_reset(app_find(&p->side[AGENT], 1), RESET_BY_TARGET, "gone meanwhile");
    pair_connect(p);
    pair_wait(p, 100000);
    assert_int_equal(app->resets, 1);
    assert_int_equal(app_find(&p->side[CLIENT], 2)->opened, 1);
    pair_free(p);
}

static void start_on(struct raw *r, struct circuit *c, struct cipher *send, uint64_t at)
{
    struct record record = {.len = 0};
    uint8_t position[8];
    store_be64(position, at);
    record_frame(&record, FRAME_START, 0, position, sizeof position);
    raw_feed(r, c, record.bytes, record_seal(&record, send));
}

static void test_circuit_numbers(void **state)
{
    static const uint32_t numbers[] = {0, 4, 5};
    struct raw *r = raw_new(false, NULL);
    struct circuit five, c;
    struct cipher send, receive;
    (void)state;
    raw_start(r);
    raw_circuit(r, &five, &send, &receive, 5, 0);
    start_on(r, &five, &send, 0);
    assert_ptr_equal(r->s->circuit, &five);
    assert_int_equal(r->c.failed.code, CODE_REPLACED);
    assert_int_equal(r->s->circuit_number, 5);
    for (size_t i = 0; i < 3; i++) {
        raw_circuit(r, &c, &send, &receive, numbers[i], 0);
        start_on(r, &c, &send, 0);
        assert_int_equal(c.failed.code, CODE_STALE);
        assert_ptr_equal(r->s->circuit, &five);
        assert_int_equal(five.failed.code, 0);
        assert_int_equal(r->s->state, SESSION_ACTIVE);
        assert_int_equal(circuit_output(&c, r->now).len, 0);
        circuit_free(&c);
    }
    assert_ptr_equal(r->s->circuit, &five);
    circuit_free(&five);
    assert_null(r->s->circuit);
    raw_free(r);
}

/* Of two messages 1 that were taken the later one's circuit counts: an older recording cannot take
 * its place, nor one of the number that the session is on. */
static void test_numbers_that_may_resume(void **state)
{
    struct raw *r = raw_new(false, NULL);
    struct session_hello hello = {.circuit = 6, .receive_limit = 1 << 20, .ring = 1 << 20};
    (void)state;
    raw_start(r);
    assert_false(session_may_resume(r->s, r->s->moved_number));
    assert_true(session_may_resume(r->s, r->s->moved_number + 1));
    session_take_hello(r->s, &hello);
    assert_false(session_may_resume(r->s, 5));
    assert_true(session_may_resume(r->s, 6));
    assert_true(session_may_resume(r->s, 7));
    raw_free(r);
}

/* Two tries at once: the one with the higher number stays, whichever is answered first. */
static void test_two_tries_at_once(void **state)
{
    (void)state;
    for (int later_first = 0; later_first < 2; later_first++) {
        struct pair *p = small_case();
        struct greeting g[2];
        struct conn *c[2];
        carry(p, p->conn, 200);
        pair_greet(p, &g[0]);
        pair_greet(p, &g[1]);
        assert_true(g[1].hello.circuit > g[0].hello.circuit);
        c[later_first] = pair_attach(p, &g[later_first]);
        c[!later_first] = pair_attach(p, &g[!later_first]);
        assert_ptr_equal(p->side[CLIENT].s->circuit, &c[1]->end[CLIENT]);
        assert_int_equal(c[0]->end[CLIENT].failed.code, later_first ? CODE_STALE : CODE_REPLACED);
        pair_wait(p, 100000);
        assert_ptr_equal(p->side[AGENT].s->circuit, &c[1]->end[AGENT]);
        assert_int_equal(p->side[CLIENT].moves, later_first ? 2 : 3);
        assert_int_equal(p->side[AGENT].moves, 2);
        check_small_case(p);
        pair_greet(p, &g[0]);
        assert_int_equal(g[0].hello.circuit, g[1].hello.circuit + 1);
        pair_free(p);
    }
}

static void test_start_positions(void **state)
{
    static const struct {
        int64_t offset; /* from the receiver's position */
        bool ends;
    } cases[] = {{0, false}, {-1, false}, {1, true}, {100, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw *r = agent_with_stream(1000);
        struct circuit c;
        struct cipher send, receive;
        raw_circuit(r, &c, &send, &receive, 2, 0);
        start_on(r, &c, &send, r->sequenced + (uint64_t)cases[i].offset);
        assert_int_equal(r->s->state, cases[i].ends ? SESSION_ENDED : SESSION_ACTIVE);
        if (cases[i].ends)
            assert_int_equal(r->s->error.code, CODE_PROTOCOL);
        circuit_free(&c);
        raw_free(r);
    }
}

/* Frames below the own position are dropped unread, and counted by whole frames. */
static void test_frames_sent_again(void **state)
{
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        struct raw *r = agent_with_stream(1000);
        struct circuit c;
        struct cipher send, receive;
        struct record record = {.len = 0};
        uint8_t byte = app_byte(1, CLIENT, 0);
        raw_circuit(r, &c, &send, &receive, 2, 0);
        start_on(r, &c, &send, inside ? r->sequenced - 10 : 0);
        assert_int_equal(r->sequenced,
                         23); /* OPEN; sent again as two frames that would be errors */
        record_frame(&record, FRAME_LISTENING, 77, "1234567", 7);
        record_frame(&record, 0x7f, 0, NULL, 0);
        record_frame(&record, FRAME_DATA, 1, &byte, 1);
        raw_feed(r, &c, record.bytes, record_seal(&record, &send));
        assert_int_equal(r->s->state, inside ? SESSION_ENDED : SESSION_ACTIVE);
        assert_int_equal(app_find(&r->side, 1)->received, !inside);
        if (!inside)
            assert_int_equal(r->s->receive_position, 23 + 9);
        circuit_free(&c);
        raw_free(r);
    }
}

static void test_told_position_above_what_was_sent(void **state)
{
    struct raw *r = agent_with_stream(1000);
    struct circuit c;
    struct cipher send, receive;
    (void)state;
    raw_circuit(r, &c, &send, &receive, 2, r->s->sent_max + 1);
    start_on(r, &c, &send, r->sequenced);
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    circuit_free(&c);
    raw_free(r);

    r = raw_new(true, NULL);
    raw_circuit(r, &c, &send, &receive, 2, 1);
    assert_int_equal(r->s->state, SESSION_ENDED);
    assert_int_equal(r->s->error.code, CODE_PROTOCOL);
    circuit_free(&c);
    raw_free(r);
}

/* START tells the larger of what the peer told and what it has acknowledged. */
static void test_start_goes_on_from_the_last_ack(void **state)
{
    struct raw *r = agent_with_stream(1000);
    struct circuit c;
    struct cipher send, receive;
    const struct sent *sent;
    (void)state;
    raw_circuit(r, &c, &send, &receive, 2, 0); /* told early, acknowledged later */
    raw_send_position(r, FRAME_ACK, r->s->sent_max);
    start_on(r, &c, &send, r->sequenced);
    sent = raw_output_on(r, &c, &receive);
    assert_int_equal(sent->frame[0].type, FRAME_START);
    assert_int_equal(position_of(sent, 0), r->s->sent_max);
    assert_int_equal(sent_count(sent, FRAME_ACK), 1);
    assert_int_equal(sent_count(sent, FRAME_OPENED), 0);
    circuit_free(&c);
    raw_free(r);
}

/* The peer may acknowledge at once what is still to be sent again: it had it on the old circuit. It
 * counts from START on all the same, so nothing is left out. */
static void test_ack_of_what_is_to_be_sent_again(void **state)
{
    struct raw *r = agent_with_stream(1 << 20);
    struct circuit c;
    struct cipher send, receive;
    struct record record = {.len = 0};
    uint8_t position[8];
    uint64_t sent_max, resend;
    (void)state;
    app_write(app_find(&r->side, 1), 200000);
    raw_output(r);
    sent_max = r->s->sent_max;
    raw_circuit(r, &c, &send, &receive, 2, 0);
    start_on(r, &c, &send, r->sequenced);
    assert_true(circuit_output(&c, r->now).len > 0);
    resend = r->s->resend;
    assert_true(resend < sent_max);
    assert_int_equal(r->s->sent_max, sent_max);
    store_be64(position, sent_max);
    record_frame(&record, FRAME_ACK, 0, position, sizeof position);
    raw_feed(r, &c, record.bytes, record_seal(&record, &send));
    assert_int_equal(r->s->state, SESSION_ACTIVE);
    assert_int_equal(r->s->resend, resend);
    assert_int_equal(r->s->ring.tail, resend);
    for (size_t n; (n = circuit_output(&c, r->now).len) > 0;)
        circuit_written(&c, n);
    assert_int_equal(r->s->resend, sent_max);
    assert_int_equal(r->s->ring.tail, sent_max);
    circuit_free(&c);
    raw_free(r);
}

static void test_freeing_in_any_order(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct raw *r = raw_new(false, NULL);
        struct circuit c;
        struct cipher send, receive;
        size_t room;
        raw_start(r);
        raw_circuit(r, &c, &send, &receive, 2, 0);
        if (order)
            circuit_free(&c);
        raw_free(r);
        if (!order) {
            assert_null(c.session);
            assert_non_null(circuit_input_space(&c, &room));
            circuit_input(&c, 10, 1);
            circuit_tick(&c, 100000000);
            assert_int_equal(circuit_output(&c, 1).len, 0);
            assert_int_equal(circuit_deadline(&c), CLOCK_NEVER);
            circuit_free(&c);
        }
    }
}

/* --- The end --- */

static void test_close(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        struct pair *p = pair_new(NULL, NULL);
        struct app *app;
        pair_connect(p);
        app = app_open(&p->side[CLIENT], 1);
        app_write(app, 100000);
        pair_run(p);
        session_close(p->side[who].s, CODE_REVOKED, "over");
        assert_int_equal(p->side[who].s->state, SESSION_CLOSING);
        session_close(p->side[who].s, CODE_DONE, "again");
        if (who == CLIENT)
            assert_null(app_open(&p->side[CLIENT], 2));
        pair_run(p);
        assert_int_equal(p->side[who].s->state, SESSION_ENDED);
        assert_int_equal(p->side[!who].s->state, SESSION_CLOSED);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(p->side[i].s->error.code, CODE_REVOKED);
            assert_string_equal(p->side[i].s->error.text, "over");
            assert_int_equal(app_find(&p->side[i], 1)->resets, 1);
            assert_int_equal(app_find(&p->side[i], 1)->eofs, 0);
            assert_int_equal(app_find(&p->side[i], 1)->reset_code, RESET_SESSION_OVER);
            assert_true(list_empty(&p->side[i].s->all));
        }
        pair_free(p);
    }
}

/* Frames that a stream owes go before DATA that waited longer, in the same record. */
static void test_control_before_data(void **state)
{
    struct raw *r = agent_with_stream(1 << 20);
    const struct sent *sent;
    unsigned i = 0;
    (void)state;
    raw_output(r);
    app_write(app_find(&r->side, 1), 200000);
    raw_send_open(r, 3, 1000);
    sent = raw_output(r);
    while (i < sent->count && sent->frame[i].type != FRAME_OPENED &&
           sent->frame[i].type != FRAME_DATA)
        i++;
    assert_true(sent_count(sent, FRAME_DATA) > 0);
    assert_int_equal(sent->frame[i].type, FRAME_OPENED);
    assert_int_equal(sent->frame[i].stream, 3);
    raw_free(r);
}

/* Frames that an earlier circuit carried are not sent again to a peer that has closed: CLOSE is
 * acknowledged, and that is all. */
static void test_nothing_is_sent_again_behind_close(void **state)
{
    struct raw *r = agent_with_stream(1 << 20);
    struct circuit c;
    struct cipher send, receive;
    struct record record = {.len = 0};
    const struct sent *sent;
    uint8_t close[] = {0, CODE_DONE, 0, 0};
    (void)state;
    app_write(app_find(&r->side, 1), 200000);
    raw_output(r);
    raw_circuit(r, &c, &send, &receive, 2, 0);
    start_on(r, &c, &send, r->sequenced);
    record_frame(&record, FRAME_CLOSE, 0, close, sizeof close);
    raw_feed(r, &c, record.bytes, record_seal(&record, &send));
    assert_int_equal(r->s->state, SESSION_CLOSED);
    sent = raw_output_on(r, &c, &receive);
    assert_int_equal(sent_count(sent, FRAME_START), 1);
    assert_int_equal(sent_count(sent, FRAME_ACK), 1);
    assert_int_equal(sent_count(sent, FRAME_DATA), 0);
    assert_int_equal(sent->records, 1);
    circuit_free(&c);
    raw_free(r);
}

static void test_close_text_is_cut_between_characters(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    char text[400] = "xy";
    (void)state;
    for (size_t i = 2; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 4);
    pair_connect(p);
    session_close(p->side[AGENT].s, CODE_SHUTDOWN, text);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_CLOSED);
    assert_int_equal(p->side[CLIENT].s->error.code, CODE_SHUTDOWN);
    assert_int_equal(strlen(p->side[CLIENT].s->error.text), 125);
    assert_memory_equal(p->side[CLIENT].s->error.text, text, 125);
    pair_free(p);
}

static void test_both_close(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    session_close(p->side[CLIENT].s, CODE_DONE, "one");
    session_close(p->side[AGENT].s, CODE_SHUTDOWN, "two");
    conn_flush(p->conn, CLIENT);
    conn_flush(p->conn, AGENT);
    pair_run(p);
    for (int i = 0; i < 2; i++)
        assert_true(p->side[i].s->state >= SESSION_CLOSED);
    pair_free(p);
}

/* OPENs that cross CLOSE are answered by it: nothing follows CLOSE. */
static void test_open_crosses_close(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct app *app;
    (void)state;
    pair_connect(p);
    pair_run(p);
    app = app_open(&p->side[CLIENT], 1);
    app_write(app, 100);
    app_close(app);
    conn_flush(p->conn, CLIENT);
    session_close(p->side[AGENT].s, CODE_SHUTDOWN, "ending");
    conn_flush(p->conn, AGENT);
    while (conn_deliver(p->conn, CLIENT, SIZE_MAX))
        ;
    assert_int_equal(p->side[AGENT].opens, 0);
    pair_run(p);
    assert_int_equal(p->side[AGENT].s->state, SESSION_ENDED);
    assert_int_equal(p->side[AGENT].s->error.code, CODE_SHUTDOWN);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_CLOSED);
    assert_int_equal(app->resets, 1);
    pair_free(p);
}

/* The peer of an abandoned session hears nothing; streams end when it is freed. */
static void test_abandon(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct session *s = p->side[CLIENT].s;
    (void)state;
    app_open(&p->side[CLIENT], 1);
    pair_connect(p);
    pair_run(p);
    app_write(app_find(&p->side[CLIENT], 1), 100);
    assert_string_equal(session_reason(s), "");
    assert_int_equal(session_error(s)->code, CODE_OK);
    session_abandon(s, CODE_RESUME_WINDOW, "too long");
    assert_int_equal(session_state(s), SESSION_ENDED);
    assert_int_equal(session_error(s)->code, CODE_RESUME_WINDOW);
    assert_string_equal(session_reason(s), "too long");
    assert_int_equal(circuit_output(&p->conn->end[CLIENT], p->now).len, 0);
    assert_int_equal(app_find(&p->side[CLIENT], 1)->resets, 0);
    assert_false(session_may_open(s));
    session_free(s);
    p->side[CLIENT].s = NULL;
    assert_int_equal(app_find(&p->side[CLIENT], 1)->reset_code, RESET_SESSION_OVER);
    assert_string_equal(app_find(&p->side[CLIENT], 1)->reset_text, "too long");
    pair_free(p);
}

static void test_summary(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct session_summary summary;
    (void)state;
    pair_connect(p);
    app_write(app_open(&p->side[CLIENT], 1), 1000);
    app_open(&p->side[CLIENT], 2);
    pair_run(p);
    summary = session_summary(p->side[CLIENT].s);
    assert_int_equal(summary.bytes_sent, 1000);
    assert_int_equal(summary.bytes_received, 0);
    assert_int_equal(summary.streams_opened, 2);
    assert_int_equal(summary.own_open, 2);
    summary = session_summary(p->side[AGENT].s);
    assert_int_equal(summary.bytes_received, 1000);
    assert_int_equal(summary.streams_opened, 2);
    assert_int_equal(summary.own_open, 0);
    session_close(p->side[AGENT].s, CODE_SHUTDOWN, "the end");
    assert_int_equal(session_error(p->side[AGENT].s)->code, CODE_OK);
    assert_string_equal(session_reason(p->side[AGENT].s), "the end");
    pair_run(p);
    assert_string_equal(session_reason(p->side[CLIENT].s), "the end");
    pair_free(p);
}

/* CLOSE waits for a circuit and outlives one. */
static void test_close_over_circuits(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    app_open(&p->side[CLIENT], 1);
    pair_run(p);
    conn_drop(p->conn);
    session_close(p->side[CLIENT].s, CODE_DONE, "finished");
    assert_true(session_unacknowledged(p->side[CLIENT].s));
    pair_connect(p);
    conn_flush(p->conn, CLIENT);
    conn_drop(p->conn);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_CLOSING);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].s->state, SESSION_ENDED);
    assert_int_equal(p->side[AGENT].s->state, SESSION_CLOSED);
    assert_int_equal(p->side[AGENT].s->error.code, CODE_DONE);
    pair_free(p);
}

/* The owners of what is open learn of a session that just ends. */
static void test_free_tells_everyone(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    app_open(&p->side[CLIENT], 1);
    pair_connect(p);
    app_open(&p->side[CLIENT], 2);
    pair_run(p);
    session_free(p->side[CLIENT].s);
    p->side[CLIENT].s = NULL;
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(app_find(&p->side[CLIENT], i)->resets, 1);
        assert_int_equal(app_find(&p->side[CLIENT], i)->reset_code, RESET_SESSION_OVER);
    }
    assert_null(p->conn->end[CLIENT].session);
    assert_non_null(p->conn->end[AGENT].session);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_welcome),
        cmocka_unit_test(test_welcome_without_sense),
        cmocka_unit_test(test_agent_says_nothing_before_start),
        cmocka_unit_test(test_client_starts_at_once),
        cmocka_unit_test(test_ack_by_size),
        cmocka_unit_test(test_ack_by_timer),
        cmocka_unit_test(test_ack_rides_along),
        cmocka_unit_test(test_ack_frees_the_ring),
        cmocka_unit_test(test_ack_of_what_was_not_sent),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_one_pong_is_owed),
        cmocka_unit_test(test_silence_ends_the_circuit),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_no_stall_while_bytes_come),
        cmocka_unit_test(test_silence_after_bytes),
        cmocka_unit_test(test_silence_of_the_idle),
        cmocka_unit_test(test_silence_after_datagrams),
        cmocka_unit_test(test_one_side_asks),
        cmocka_unit_test(test_silence_after_what_was_sent),
        cmocka_unit_test(test_a_living_circuit_stays),
        cmocka_unit_test(test_start_must_come_in_time),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_record_byte_by_byte),
        cmocka_unit_test(test_short_records),
        cmocka_unit_test(test_record_without_a_frame),
        cmocka_unit_test(test_records_without_a_gap),
        cmocka_unit_test(test_records_have_an_order),
        cmocka_unit_test(test_sizes_of_records),
        cmocka_unit_test(test_cut_at_each_byte),
        cmocka_unit_test(test_cut_twice),
        cmocka_unit_test(test_circuit_beside_the_old),
        cmocka_unit_test(test_ack_ahead_of_what_is_sent_again),
        cmocka_unit_test(test_old_circuit_delivers_nothing_after_the_move),
        cmocka_unit_test(test_many_cuts),
        cmocka_unit_test(test_without_a_circuit),
        cmocka_unit_test(test_circuit_numbers),
        cmocka_unit_test(test_numbers_that_may_resume),
        cmocka_unit_test(test_two_tries_at_once),
        cmocka_unit_test(test_start_positions),
        cmocka_unit_test(test_frames_sent_again),
        cmocka_unit_test(test_told_position_above_what_was_sent),
        cmocka_unit_test(test_start_goes_on_from_the_last_ack),
        cmocka_unit_test(test_ack_of_what_is_to_be_sent_again),
        cmocka_unit_test(test_freeing_in_any_order),
        cmocka_unit_test(test_control_before_data),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_nothing_is_sent_again_behind_close),
        cmocka_unit_test(test_close_text_is_cut_between_characters),
        cmocka_unit_test(test_both_close),
        cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_open_crosses_close),
        cmocka_unit_test(test_close_over_circuits),
        cmocka_unit_test(test_free_tells_everyone),
    };
    return crypto_start(false) ? cmocka_run_group_tests_name("session", tests, NULL, NULL) : 1;
}
