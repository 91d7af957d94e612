/* Hops over socket pairs in the event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "hop/driver.h"
#include "hop_pair.h"
#include "net/tcp_carrier.h"

#define PATIENCE_US (10 * CLOCK_US_PER_S)
#define SHORT_US (30 * CLOCK_US_PER_MS)

static struct party client, relay;

/* One end of a hop over a socket, what it does and what came. */
struct side {
    struct hop_driver driver;
    bool refuse, bye_on_list, close_in_ended, detach_on_connected;
    unsigned opens, messages, ended, detached;
    size_t bytes; /* of messages */
    enum code code;
    char text[400];
    struct carrier *taken;
};

static struct loop *loop;
static struct timer watchdog;
static struct side *a, *b; /* a starts, b listens */
static bool (*done)(void);
static bool inside_call; /* the test is inside a hop_driver_ call */

static void check_done(void)
{
    if (done && done())
        loop_stop(loop);
}

static void watchdog_fired(struct timer *timer)
{
    (void)timer;
    fail_msg("the condition did not come");
}

static void run_until(bool (*condition)(void))
{
    done = condition;
    if (!done()) {
        timer_set(loop, &watchdog, loop_refresh_now(loop) + PATIENCE_US);
        loop_run(loop);
        timer_cancel(loop, &watchdog);
    }
    done = NULL;
}

static struct side *side_of(struct hop *h)
{
    return container_of(hop_driver_of(h), struct side, driver);
}

static void side_on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    (void)hello;
    if (side_of(h)->refuse) {
        welcome->code = CODE_UNKNOWN_KEY;
        welcome->text = view_of_string("ask the owner");
    } else {
        welcome->code = CODE_OK;
        welcome->name = view_of_string("alice");
    }
}

static void side_on_open(struct hop *h, const struct info *info)
{
    (void)info;
    side_of(h)->opens++;
    check_done();
}

static bool side_on_message(struct hop *h, unsigned type, struct view body)
{
    struct side *s = side_of(h);
    s->messages++;
    s->bytes += body.len;
    if (type == MESSAGE_LIST && s->bye_on_list)
        hop_bye(h, CODE_REPLACED, "a newer one", 7);
    else if (type == MESSAGE_CONNECTED && s->detach_on_connected)
        hop_detach(h);
    hop_driver_update(&s->driver); /* harmless in a handler */
    check_done();
    return h->state != HOP_ENDED;
}

static const struct hop_handler side_handler = {
    .on_hello = side_on_hello, .on_open = side_on_open, .on_message = side_on_message};

static void side_on_ended(struct hop_driver *c)
{
    struct side *s = container_of(c, struct side, driver);
    assert_false(inside_call);
    assert_int_equal(c->hop.state, HOP_ENDED);
    s->ended++;
    s->code = hop_error(&c->hop)->code;
    memcpy(s->text, hop_error(&c->hop)->text, sizeof s->text);
    if (s->close_in_ended) {
        hop_driver_close(c);
        memset(c, 0xa5, sizeof *c); /* nobody looks at it again */
    }
    check_done();
}

static void side_on_detached(struct hop_driver *c)
{
    struct side *s = container_of(c, struct side, driver);
    s->detached++;
    s->taken = hop_driver_take(c);
    check_done();
}

static struct side *side_new(void)
{
    struct side *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->driver.on_ended = side_on_ended;
    s->driver.on_detached = side_on_detached;
    return s;
}

static void side_free(struct side *s)
{
    if (s->ended == 0 || !s->close_in_ended) {
        inside_call = true;
        hop_driver_close(&s->driver);
        hop_driver_close(&s->driver);
        inside_call = false;
    }
    carrier_close(s->taken);
    free(s);
}

static void start_side(struct side *s, int fd)
{
    assert_true(hop_start(&s->driver.hop, &client.party, &side_handler, ROLE_CLIENT,
                          relay.keys.public_key, NULL, loop_refresh_now(loop)));
    assert_true(hop_driver_open(&s->driver, loop, tcp_carrier_new(fd)));
}

static void listen_side(struct side *s, int fd)
{
    hop_listen(&s->driver.hop, &relay.party, &side_handler, ROLE_RELAY, loop_refresh_now(loop));
    assert_true(hop_driver_open(&s->driver, loop, tcp_carrier_new(fd)));
}

static void sockets(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void start_both(void)
{
    int fds[2];
    sockets(fds);
    start_side(a, fds[0]);
    listen_side(b, fds[1]);
}

static bool both_open(void)
{
    return a->opens && b->opens && a->messages;
}

static bool a_ended(void)
{
    return a->ended > 0;
}

static bool b_ended(void)
{
    return b->ended > 0;
}

static bool both_ended(void)
{
    return a->ended && b->ended;
}

static int group_setup(void **state)
{
    (void)state;
    if (!crypto_start(false))
        return -1;
    party_make(&client, 1, "client 1.0", NULL);
    party_make(&relay, 2, "relay 1.0", NULL);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    watchdog = (struct timer){.on_fire = watchdog_fired};
    a = side_new();
    b = side_new();
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    side_free(a);
    side_free(b);
    loop_free(loop);
    return 0;
}

static void poll_done(struct timer *timer)
{
    check_done();
    timer_set(loop, timer, loop_now(loop) + CLOCK_US_PER_MS);
}

static bool both_drained(void)
{
    return both_open() && !carrier_can_read(a->driver.carrier) &&
           !carrier_can_read(b->driver.carrier);
}

static void test_opens(void **state)
{
    (void)state;
    struct timer poll = {.on_fire = poll_done};
    start_both();
    timer_set(loop, &poll, loop_now(loop));
    run_until(both_drained); /* and then the loop sleeps */
    timer_cancel(loop, &poll);
    assert_int_equal(a->driver.hop.state, HOP_OPEN);
    assert_int_equal(b->driver.hop.state, HOP_OPEN);
    assert_null(a->driver.hop.partial);
    assert_int_equal(a->driver.hop.out.bytes, 0);
    assert_int_equal(a->ended, 0);
}

static bool b_has_message(void)
{
    return b->messages > 0;
}

static void test_sends(void **state)
{
    (void)state;
    start_both();
    run_until(both_open);
    inside_call = true;
    assert_true(hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1)));
    hop_driver_update(&a->driver);
    inside_call = false;
    run_until(b_has_message);
    assert_int_equal(b->bytes, 1);
}

static bool a_has_all(void)
{
    return a->messages == 101;
}

/* More than the socket takes at once: the rest goes as room comes. */
static void test_sends_much(void **state)
{
    (void)state;
    static uint8_t body[60000];
    start_both();
    run_until(both_open);
    size_t info = a->bytes;
    for (int i = 0; i < 100; i++)
        assert_true(hop_send(&b->driver.hop, MESSAGE_AGENT, view_of(body, sizeof body)));
    hop_driver_update(&b->driver);
    assert_true(b->driver.hop.out.bytes > 0);
    run_until(a_has_all);
    assert_int_equal(a->bytes - info, 100 * sizeof body);
    assert_int_equal(b->driver.hop.out.bytes, 0);
}

static void test_peer_closes(void **state)
{
    (void)state;
    a->close_in_ended = true;
    start_both();
    run_until(both_open);
    hop_driver_close(&b->driver);
    run_until(a_ended);
    assert_int_equal(a->ended, 1);
    assert_int_equal(b->ended, 0);
    assert_int_equal(a->code, CODE_NETWORK);
    assert_string_equal(a->text, "the connection was closed");
}

/* The last words come although the connection closes right after them. */
static void test_refusal_arrives(void **state)
{
    (void)state;
    a->close_in_ended = b->close_in_ended = true;
    b->refuse = true;
    start_both();
    run_until(both_ended);
    assert_int_equal(a->code, CODE_UNKNOWN_KEY);
    assert_string_equal(a->text, "ask the owner");
    assert_int_equal(b->code, CODE_UNKNOWN_KEY);
}

static void test_bye_arrives(void **state)
{
    (void)state;
    a->close_in_ended = b->close_in_ended = true;
    b->bye_on_list = true;
    start_both();
    run_until(both_open);
    hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1));
    hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1));
    hop_driver_update(&a->driver);
    run_until(both_ended);
    assert_int_equal(a->code, CODE_REPLACED);
    assert_string_equal(a->text, "a newer one");
    assert_int_equal(b->messages, 1);
}

/* A BYE that is there to be read is read, although writing already fails. */
static void test_bye_read_after_write_error(void **state)
{
    (void)state;
    start_both();
    run_until(both_open);
    hop_bye(&b->driver.hop, CODE_SHUTDOWN, "ending", 1);
    hop_driver_close(&b->driver);
    hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1));
    hop_driver_update(&a->driver);
    assert_int_equal(a->driver.write_error, EPIPE);
    run_until(a_ended);
    assert_int_equal(a->code, CODE_SHUTDOWN);
    assert_string_equal(a->text, "ending");
}

static void test_ended_is_deferred(void **state)
{
    (void)state;
    a->close_in_ended = true;
    start_both();
    run_until(both_open);
    inside_call = true;
    hop_fail(&a->driver.hop, CODE_INTERNAL, "own end");
    hop_driver_update(&a->driver);
    hop_driver_update(&a->driver);
    hop_driver_set_deadline(&a->driver, 1);
    inside_call = false;
    assert_int_equal(a->ended, 0);
    run_until(a_ended);
    run_until(b_ended);
    assert_int_equal(a->ended, 1);
    assert_string_equal(a->text, "own end");
}

static void test_close_before_ended(void **state)
{
    (void)state;
    start_both();
    run_until(both_open);
    inside_call = true;
    hop_bye(&a->driver.hop, CODE_DONE, "finished", 0);
    hop_driver_update(&a->driver);
    hop_driver_close(&a->driver);
    inside_call = false;
    run_until(b_ended);
    assert_int_equal(a->ended, 0);
    assert_int_equal(b->code, CODE_DONE);
}

static void test_deadline(void **state)
{
    (void)state;
    int fds[2];
    sockets(fds);
    uint64_t start = loop_refresh_now(loop);
    a->close_in_ended = true;
    a->driver.deadline_us = start + SHORT_US; /* before opening */
    start_side(a, fds[0]);
    run_until(a_ended);
    assert_true(loop_now(loop) >= start + SHORT_US);
    assert_int_equal(a->code, CODE_TIMEOUT);
    assert_non_null(strstr(a->text, "no answer of the relay to the handshake in time"));
    close(fds[1]);
}

static void test_deadline_moved(void **state)
{
    (void)state;
    start_both();
    run_until(both_open);
    inside_call = true;
    hop_driver_set_deadline(&a->driver, 1); /* long over, and still not told inside */
    inside_call = false;
    assert_int_equal(a->ended, 0);
    hop_driver_set_deadline(&a->driver, CLOCK_NEVER);
    hop_driver_set_deadline(&b->driver, loop_now(loop) + SHORT_US);
    run_until(b_ended);
    assert_int_equal(a->ended, 0);
    assert_int_equal(b->code, CODE_TIMEOUT);
    /* The end is told once, whatever is done after it. */
    hop_driver_update(&b->driver);
    hop_driver_set_deadline(&b->driver, loop_now(loop));
    hop_driver_set_deadline(&a->driver, loop_now(loop) + SHORT_US);
    run_until(a_ended);
    assert_int_equal(b->ended, 1);
}

static bool b_silent(void)
{
    return b->driver.hop.state == HOP_SILENT;
}

/* Bytes that are no first message are not answered, closed or read on before their time is over. */
static void test_silence(void **state)
{
    (void)state;
    int fds[2], unread = 0;
    char bytes[100] = "GET / HTTP/1.0\r\n\r\n";
    struct timer poll = {.on_fire = poll_done};
    sockets(fds);
    listen_side(b, fds[1]);
    assert_int_equal(write(fds[0], bytes, sizeof bytes), sizeof bytes);
    timer_set(loop, &poll, loop_now(loop));
    run_until(b_silent);
    timer_cancel(loop, &poll);
    assert_int_equal(write(fds[0], bytes, sizeof bytes), sizeof bytes);
    uint64_t start = loop_refresh_now(loop);
    hop_driver_set_deadline(&b->driver, start + SHORT_US);
    run_until(b_ended);
    assert_true(loop_now(loop) >= start + SHORT_US);
    assert_int_equal(ioctl(fds[1], FIONREAD, &unread), 0);
    assert_int_equal(unread, sizeof bytes);
    assert_int_equal(recv(fds[0], bytes, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(b->code, CODE_TIMEOUT);
    assert_string_equal(b->text, "no valid first message came in time");
    close(fds[0]);
}

static bool a_detached(void)
{
    return a->detached > 0;
}

static void test_detach(void **state)
{
    static const struct carrier_user nobody;
    char rest[100];
    (void)state;
    a->detach_on_connected = true;
    start_both();
    run_until(both_open);
    assert_true(hop_send(&a->driver.hop, MESSAGE_LIST, view_of("late", 4)));
    assert_true(hop_send(&b->driver.hop, MESSAGE_CONNECTED, view_of("m2", 2)));
    hop_detach(&b->driver.hop);
    b->taken = hop_driver_take(&b->driver);
    assert_null(b->driver.carrier);
    assert_true(b->taken->unsent.bytes > 0);
    assert_int_equal(carrier_write(b->taken, "circuit", 7), 7);
    assert_int_equal(b->taken->unsent.bytes, 0);
    run_until(a_detached);
    assert_int_equal(a->ended, 0);
    assert_int_equal(a->taken->unread.bytes, 7);
    assert_int_equal(carrier_read(a->taken, rest, sizeof rest), 7);
    assert_memory_equal(rest, "circuit", 7);
    assert_int_equal(carrier_read(a->taken, rest, sizeof rest), -1);
    assert_int_equal(errno, EAGAIN);
    /* Nothing of the driver is in the loop any more: the carrier can go into another. */
    assert_true(carrier_enter(a->taken, loop, &nobody, NULL));
}

#define FLOOD_PINGS 60000
#define PING_RECORD (2 + 1 + 8 + TAG_BYTES)

static struct {
    uint8_t *bytes; /* PINGs, encrypted */
    size_t len, written, received, peak;
    bool reading;
    int still; /* milliseconds in which nothing could be written */
    int fd;
} flood;

/* Each millisecond: writes what the socket takes and, when it is to, reads what there is. */
static void flood_fired(struct timer *timer)
{
    uint8_t buffer[65536];
    ssize_t n;
    flood.still++;
    while (flood.written < flood.len) {
        n = write(flood.fd, flood.bytes + flood.written, flood.len - flood.written);
        if (n < 0)
            break;
        flood.written += (size_t)n;
        flood.still = 0;
    }
    while (flood.reading && (n = read(flood.fd, buffer, sizeof buffer)) > 0)
        flood.received += (size_t)n;
    size_t waits = a->driver.hop.out.bytes;
    flood.peak = waits > flood.peak ? waits : flood.peak;
    check_done();
    timer_set(loop, timer, loop_refresh_now(loop) + CLOCK_US_PER_MS);
}

static bool flood_stands(void)
{
    return flood.still > 10 && a->driver.hop.out.bytes >= HOP_OUT_MAX;
}

static bool flood_answered(void)
{
    return flood.received >= flood.len;
}

/* A relay that only asks, and never reads, makes its answers stand up to the limit and a read; then
 * it is read no more, until it reads. */
static void test_out_is_bounded(void **state)
{
    (void)state;
    struct timer timer = {.on_fire = flood_fired};
    start_both();
    run_until(both_open);
    for (int i = 0; i < FLOOD_PINGS; i++)
        assert_true(hop_send(&b->driver.hop, MESSAGE_PING, view_of("12345678", 8)));
    memset(&flood, 0, sizeof flood);
    flood.len = hop_take_out(&b->driver.hop, &flood.bytes);
    assert_int_equal(flood.len, FLOOD_PINGS * PING_RECORD);
    b->taken = hop_driver_take(&b->driver);
    flood.fd = b->taken->io.fd;
    timer_set(loop, &timer, loop_now(loop));
    run_until(flood_stands);
    assert_true(flood.written < flood.len);
    flood.reading = true;
    run_until(flood_answered);
    timer_cancel(loop, &timer);
    assert_true(flood.peak < HOP_OUT_MAX + 2 * 65536);
    assert_int_equal(flood.received, flood.len);
    assert_int_equal(a->ended, 0);
    assert_int_equal(a->driver.hop.out.bytes, 0);
    free(flood.bytes);
}

#define PETTY 700
#define PETTY_FIRST (256 + 4096 / (2 + 1 + 1 + TAG_BYTES) + 1)

static bool petty_all(void)
{
    return b->messages >= PETTY;
}

/* Of messages that a client sends without end some hundred are taken at once; the others wait in
 * the socket, and are taken as the time passes. */
static void test_rate_of_messages(void **state)
{
    uint64_t begun = loop_refresh_now(loop);
    (void)state;
    start_both();
    run_until(both_open);
    for (int i = 0; i < PETTY; i++)
        assert_true(hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1)));
    hop_driver_update(&a->driver);
    run_until(petty_all);
    uint64_t took = loop_refresh_now(loop) - begun;
    assert_true(took >= (PETTY - PETTY_FIRST) * CLOCK_US_PER_S / 200);
    assert_int_equal(b->ended, 0);
}

/* Bytes of a circuit that were never read stay in the socket for the one who takes it. */
static void test_detach_leaves_unread(void **state)
{
    (void)state;
    char byte = 0;
    start_both();
    run_until(both_open);
    hop_detach(&b->driver.hop);
    hop_driver_update(&b->driver);
    assert_true(hop_send(&a->driver.hop, MESSAGE_LIST, view_of("x", 1)));
    hop_driver_update(&a->driver);
    hop_fail(&a->driver.hop, CODE_INTERNAL, "own end");
    hop_driver_update(&a->driver);
    run_until(a_ended);
    b->taken = hop_driver_take(&b->driver);
    assert_int_equal(carrier_read(b->taken, &byte, 1), 1);
    assert_int_equal(b->messages, 0);
    assert_int_equal(b->ended, 0);
}

static void test_bad_descriptor(void **state)
{
    (void)state;
    hop_listen(&b->driver.hop, &relay.party, &side_handler, ROLE_RELAY, 0);
    assert_false(hop_driver_open(&b->driver, loop, tcp_carrier_new(-1)));
    assert_int_not_equal(errno, 0);
}

int main(void)
{
#define DRIVER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        DRIVER_TEST(test_opens),
        DRIVER_TEST(test_sends),
        DRIVER_TEST(test_sends_much),
        DRIVER_TEST(test_peer_closes),
        DRIVER_TEST(test_refusal_arrives),
        DRIVER_TEST(test_bye_arrives),
        DRIVER_TEST(test_bye_read_after_write_error),
        DRIVER_TEST(test_ended_is_deferred),
        DRIVER_TEST(test_close_before_ended),
        DRIVER_TEST(test_deadline),
        DRIVER_TEST(test_deadline_moved),
        DRIVER_TEST(test_silence),
        DRIVER_TEST(test_detach),
        DRIVER_TEST(test_detach_leaves_unread),
        DRIVER_TEST(test_out_is_bounded),
        DRIVER_TEST(test_rate_of_messages),
        DRIVER_TEST(test_bad_descriptor),
    };
    return cmocka_run_group_tests_name("driver", tests, group_setup, NULL);
}
