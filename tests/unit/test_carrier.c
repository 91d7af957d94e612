/* The way of a carrier, for each kind: a hop over it, then a session's circuit, each of which knows
 * nothing of the kind. */
#include "session_pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hop/driver.h"
#include "hop_pair.h"
#include "masked_carrier.h"
#include "net/tcp_carrier.h"
#include "session/driver.h"

#define PATIENCE_US (20 * CLOCK_US_PER_S)
#define STREAM_BYTES 3000000

struct party_at {
    struct hop_driver driver;
    struct turns turns;
    struct circuit_driver circuit;
    struct side *side; /* of the session */
};

static struct {
    struct loop *loop;
    struct timer watchdog;
    struct deferred each_round;
    struct party client, relay;
    struct party_at at[2];
    struct pair *pair;
    struct greeting greeting;
    struct partings partings;
    bool (*done)(void);
} t;

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fail_msg("the condition did not come");
}

static void on_round(struct deferred *d)
{
    for (int i = CLIENT; i <= AGENT; i++) {
        if (t.at[i].side->woken && t.at[i].circuit.loop)
            circuit_driver_wake(&t.at[i].circuit);
        t.at[i].side->woken = false;
    }
    if (t.done())
        loop_stop(t.loop);
    else
        loop_defer(t.loop, d);
}

static void run_until(bool (*done)(void))
{
    t.done = done;
    timer_set(t.loop, &t.watchdog, loop_refresh_now(t.loop) + PATIENCE_US);
    loop_defer(t.loop, &t.each_round);
    loop_run(t.loop);
    timer_cancel(t.loop, &t.watchdog);
}

static struct party_at *at_of(struct hop_driver *d)
{
    return container_of(d, struct party_at, driver);
}

/* Of the records that a side sends. */
static struct cipher cipher_of(int which)
{
    struct cipher cipher;
    uint8_t key[KEY_BYTES] = {(uint8_t)which};
    cipher_init(&cipher, SUITE_CHACHAPOLY, key);
    return cipher;
}

static void start_circuit(struct party_at *at, struct carrier *carrier)
{
    int which = at->side->which;
    struct cipher send = cipher_of(which), receive = cipher_of(!which);
    uint64_t told =
        which == CLIENT ? t.greeting.welcome.receive_position : t.greeting.hello.receive_position;
    assert_true(circuit_init(&at->circuit.circuit, at->side->s, &send, &receive,
                             t.greeting.hello.circuit, told, loop_now(t.loop)));
    assert_true(circuit_driver_open(&at->circuit, t.loop, carrier));
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    (void)h;
    (void)hello;
    welcome->code = CODE_OK;
    welcome->name = view_of_string("alice");
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    (void)body;
    if (type == MESSAGE_CONNECTED)
        hop_detach(h);
    return true;
}

static void on_open(struct hop *h, const struct info *info)
{
    (void)h;
    (void)info;
}

static const struct hop_handler handler = {
    .on_hello = on_hello, .on_open = on_open, .on_message = on_message};

static void on_ended(struct hop_driver *d)
{
    fail_msg("a hop has ended: %s", hop_error(&d->hop)->text);
}

/* The carrier goes from the hop to the session's circuit. */
static void on_detached(struct hop_driver *d)
{
    start_circuit(at_of(d), hop_driver_take(d));
}

static void on_change(struct circuit_driver *driver)
{
    circuit_driver_close(driver);
}

static bool hops_open(void)
{
    return t.at[CLIENT].driver.hop.state == HOP_OPEN && t.at[AGENT].driver.hop.state == HOP_OPEN;
}

static bool stream_over(void)
{
    const struct app *app = app_find(&t.pair->side[AGENT], 1);
    return app && app->eofs;
}

static bool links_gone(void)
{
    return !t.at[CLIENT].circuit.loop && !t.at[AGENT].circuit.loop;
}

/* A hop, then its circuit, with bytes of the circuit behind the hop's last record and more than any
 * buffer holds; the end comes as an end. */
static void way_of(struct carrier *(*new)(int fd))
{
    int fd[2], small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_true(hop_start(&t.at[CLIENT].driver.hop, &t.client.party, &handler, ROLE_CLIENT,
                          t.relay.keys.public_key, NULL, loop_now(t.loop)));
    hop_listen(&t.at[AGENT].driver.hop, &t.relay.party, &handler, ROLE_RELAY, loop_now(t.loop));
    for (int i = CLIENT; i <= AGENT; i++)
        assert_true(hop_driver_open(&t.at[i].driver, t.loop, new (fd[i])));
    run_until(hops_open);

    static uint8_t last[4000];
    assert_true(hop_send(&t.at[AGENT].driver.hop, MESSAGE_CONNECTED, view_of(last, sizeof last)));
    hop_detach(&t.at[AGENT].driver.hop);
    start_circuit(&t.at[AGENT], hop_driver_take(&t.at[AGENT].driver));
    assert_true(t.at[AGENT].circuit.carrier->unsent.bytes > 0);
    struct app *app = app_open(&t.pair->side[CLIENT], 1);
    app_write(app, STREAM_BYTES);
    app_close(app);
    run_until(stream_over);
    assert_int_equal(app_find(&t.pair->side[AGENT], 1)->received, STREAM_BYTES);

    circuit_driver_part(&t.at[CLIENT].circuit, &t.partings);
    run_until(links_gone);
    assert_int_equal(t.at[AGENT].circuit.circuit.failed.code, 0); /* on_change has looked at it */
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    t.watchdog.on_fire = on_watchdog;
    t.each_round.run = on_round;
    partings_init(&t.partings, t.loop);
    party_make(&t.client, 1, "client 1.0", NULL);
    party_make(&t.relay, 2, "relay 1.0", NULL);
    t.pair = pair_new(NULL, NULL);
    pair_greet(t.pair, &t.greeting);
    session_take_hello(t.pair->side[AGENT].s, &t.greeting.hello);
    assert_true(session_take_welcome(t.pair->side[CLIENT].s, &t.greeting.welcome));
    for (int i = CLIENT; i <= AGENT; i++) {
        t.at[i].side = &t.pair->side[i];
        t.at[i].driver.on_ended = on_ended;
        t.at[i].driver.on_detached = on_detached;
        turns_init(&t.at[i].turns, t.loop);
        t.at[i].circuit.turns = &t.at[i].turns;
        t.at[i].circuit.on_change = on_change;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = CLIENT; i <= AGENT; i++) {
        hop_driver_close(&t.at[i].driver);
        circuit_driver_close(&t.at[i].circuit);
        turns_end(&t.at[i].turns);
    }
    partings_free(&t.partings);
    pair_free(t.pair);
    loop_undefer(&t.each_round);
    loop_free(t.loop);
    return 0;
}

static void test_plain(void **state)
{
    (void)state;
    way_of(tcp_carrier_new);
}

static void test_masked(void **state)
{
    (void)state;
    way_of(masked_carrier_new);
}

/* Bytes given back are read before those behind them, and bytes owed go first. */
static void test_order(void **state)
{
    struct fifo owed = {0};
    char got[20];
    int fd[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    struct carrier *a = tcp_carrier_new(fd[0]), *b = tcp_carrier_new(fd[1]);
    assert_true(fifo_append(&owed, "on", 2));
    carrier_owe(a, &owed);
    assert_true(fifo_append(&owed, "e ", 2));
    carrier_owe(a, &owed);
    assert_int_equal(carrier_write(a, "two", 3), 3);
    assert_int_equal(carrier_read(b, got, 7), 7);
    assert_memory_equal(got, "one two", 7);
    carrier_unread(b, view_of("four", 4));
    carrier_unread(b, view_of("three ", 6));
    assert_int_equal(carrier_write(a, "five", 4), 4);
    for (int i = 0; i < 14;)
        i += (int)carrier_read(b, got + i, sizeof got - (size_t)i);
    assert_memory_equal(got, "three fourfive", 14);
    carrier_end(a);
    assert_int_equal(carrier_read(b, got, sizeof got), 0);
    carrier_close(a);
    carrier_close(b);
    carrier_close(NULL);
}

static struct {
    struct carrier *carrier;
    size_t given_back, got;
} reader;

static bool has_all(void)
{
    return reader.got == 2000;
}

static void read_on(struct carrier *c)
{
    uint8_t bytes[5000];
    ssize_t n = carrier_read(c, bytes, sizeof bytes);
    reader.got += n > 0 ? (size_t)n : 0;
    if (n < 0)
        assert_int_equal(errno, EAGAIN);
    carrier_want_read(c);
}

static void write_nothing(struct carrier *c)
{
    (void)c;
}

static const struct carrier_user second_user = {.on_read = read_on, .on_write = write_nothing};

/* The first user reads once, and the second has the carrier. */
static void read_and_move(struct carrier *c)
{
    uint8_t bytes[5000];
    ssize_t n = carrier_read(c, bytes, sizeof bytes);
    assert_true(n > 0);
    reader.got = (size_t)n - reader.given_back;
    carrier_unread(c, view_of(bytes + reader.got, reader.given_back));
    carrier_leave(c);
    assert_true(carrier_enter(c, t.loop, &second_user, NULL));
    carrier_want_read(c);
}

/* No edge tells the second user of bytes that were read ahead, by the first or by the kind. */
static void test_moves_with_bytes_ahead(void **state)
{
    static const struct carrier_user first_user = {.on_read = read_and_move,
                                                   .on_write = write_nothing};
    static uint8_t bytes[2000];
    (void)state;
    for (int masked = 0; masked <= 1; masked++) {
        int fd[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
        assert_int_equal(write(fd[1], bytes, sizeof bytes), sizeof bytes);
        reader.given_back = masked ? 0 : 100;
        reader.carrier = masked ? masked_carrier_new(fd[0]) : tcp_carrier_new(fd[0]);
        assert_true(carrier_enter(reader.carrier, t.loop, &first_user, NULL));
        carrier_want_read(reader.carrier);
        run_until(has_all);
        carrier_close(reader.carrier);
        close(fd[1]);
        reader.got = 0;
    }
}

/* ---- Turns. ---- */

static bool paused;

static bool all_is_taken(void)
{
    const struct circuit_driver *driver = &t.at[AGENT].circuit;
    paused |= timer_is_set(&t.at[AGENT].turns.pause);
    return driver->bytes_read > 0 && !circuit_has_work(&driver->circuit);
}

/* A record full of frames with so many bytes is taken whole. */
static void take_frames_of(size_t bytes)
{
    static const uint8_t padding[RECORD_MAX], start[8];
    static struct record record;
    struct cipher cipher = cipher_of(CLIENT);
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    record.len = 0;
    record_frame(&record, FRAME_START, 0, start, sizeof start);
    while (record.len + FRAME_HEADER_BYTES + bytes <= RECORD_PLAINTEXT_MAX)
        record_frame(&record, FRAME_PAD, 0, padding, bytes);
    size_t len = record_seal(&record, &cipher);
    assert_int_equal(write(fd[1], record.bytes, len), len);
    start_circuit(&t.at[AGENT], tcp_carrier_new(fd[0]));
    paused = false;
    run_until(all_is_taken);
    assert_int_equal(t.at[AGENT].circuit.circuit.failed.code, 0);
    close(fd[1]);
}

/* Frames of few bytes, more than one turn takes, are taken with pauses between. */
static void test_petty_frames(void **state)
{
    (void)state;
    take_frames_of(0);
    assert_true(paused);
}

static void test_large_frames(void **state)
{
    (void)state;
    take_frames_of(60000);
    assert_false(paused);
    assert_true(t.at[AGENT].circuit.circuit.petty_work < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test_setup_teardown(test_moves_with_bytes_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_petty_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_frames, set_up, tear_down),
    };
    crypto_start(false);
    return cmocka_run_group_tests_name("carrier", tests, NULL, NULL);
}
