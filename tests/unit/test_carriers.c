/* Where carriers come from: dialled, and taken at the addresses listened on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/carriers.h"

#define TIMEOUT_US (5 * CLOCK_US_PER_S)

enum { DIALLED, TAKEN, ENDS };

static struct {
    struct loop *loop;
    struct carrier_doors doors;
    struct carrier_dial dial;
    struct timer later;
    struct carrier *carrier[ENDS];
    unsigned calls; /* of done */
    enum dial_result result;
    char text[64], at[ADDRESS_TEXT_BYTES];
} t;

static void stop_when_both(void)
{
    if (t.carrier[DIALLED] && t.carrier[TAKEN])
        loop_stop(t.loop);
}

static void take(void *owner, struct carrier *carrier, const struct address *peer)
{
    assert_ptr_equal(owner, &t);
    assert_true(address_is_loopback(peer));
    t.carrier[TAKEN] = carrier;
    stop_when_both();
}

static bool on_shortage(void *owner)
{
    (void)owner;
    fail();
    return false;
}

static const struct carrier_doors_events events = {.take = take, .on_shortage = on_shortage};

static void done(struct carrier_dial *d, enum dial_result result, struct carrier *carrier,
                 const struct address *address, const char *text)
{
    assert_ptr_equal(d, &t.dial);
    assert_null(d->under_way);
    t.calls++;
    t.result = result;
    t.carrier[DIALLED] = carrier;
    snprintf(t.text, sizeof t.text, "%s", text);
    address_to_text(t.at, address);
    if (carrier)
        stop_when_both();
    else
        loop_stop(t.loop);
}

static void on_later(struct timer *timer)
{
    (void)timer;
    loop_stop(t.loop);
}

static struct address of(const char *host, uint16_t port)
{
    struct address a;
    assert_true(address_from_literal(&a, host, port));
    return a;
}

/* Listens on free ports of these. */
static void listen_on(const char *host, const char *other)
{
    struct error e = {0};
    struct address listen[] = {of(host, 0), of(other ? other : host, 0)};
    size_t count = other ? 2 : 1;
    assert_true(carrier_doors_open(&t.doors, t.loop, listen, count, &events, &t, &e));
    assert_int_equal(t.doors.count, count);
    carrier_doors_go(&t.doors);
}

static uint16_t port_of(size_t door)
{
    return address_port(&t.doors.doors[door].bound);
}

static bool are_at(const char *host, uint16_t port)
{
    struct address a = of(host, port);
    return carrier_doors_are_at(&t.doors, &a);
}

static void dial(uint16_t port)
{
    assert_true(carrier_dial_start(&t.dial, t.loop, "127.0.0.1", port, TIMEOUT_US));
    assert_non_null(t.dial.under_way);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    t.dial.done = done;
    t.later.on_fire = on_later;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carrier_dial_cancel(&t.dial);
    carrier_doors_close(&t.doors);
    carrier_doors_close(&t.doors);
    timer_cancel(t.loop, &t.later);
    for (int end = 0; end < ENDS; end++)
        carrier_close(t.carrier[end]);
    loop_free(t.loop);
    return 0;
}

static void on_read(struct carrier *c)
{
    (void)c;
    loop_stop(t.loop);
}

static void on_write(struct carrier *c)
{
    (void)c;
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

static void carry(struct carrier *from, struct carrier *to, const char *bytes)
{
    char got[16];
    ssize_t len = (ssize_t)strlen(bytes);
    assert_int_equal(carrier_write(from, bytes, (size_t)len), len);
    carrier_want_read(to);
    loop_run(t.loop);
    assert_int_equal(carrier_read(to, got, sizeof got), len);
    assert_memory_equal(got, bytes, len);
}

/* The dialled and the taken carrier are the two ends of one pipe. */
static void test_two_ends(void **state)
{
    (void)state;
    listen_on("127.0.0.1", "127.0.0.1");
    dial(port_of(1));
    loop_run(t.loop);
    assert_int_equal(t.result, DIAL_OK);
    assert_string_equal(t.text, "");
    for (int end = 0; end < ENDS; end++)
        assert_true(carrier_enter(t.carrier[end], t.loop, &user, NULL));
    carry(t.carrier[DIALLED], t.carrier[TAKEN], "there");
    carry(t.carrier[TAKEN], t.carrier[DIALLED], "and back");
    assert_int_equal(t.calls, 1);
}

static void test_refused(void **state)
{
    char at[ADDRESS_TEXT_BYTES];
    uint16_t port;
    (void)state;
    listen_on("127.0.0.1", NULL);
    port = port_of(0);
    carrier_doors_close(&t.doors);
    dial(port);
    loop_run(t.loop);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.result, DIAL_REFUSED);
    assert_null(t.carrier[DIALLED]);
    assert_string_equal(t.text, "connection refused");
    snprintf(at, sizeof at, "127.0.0.1:%u", port);
    assert_string_equal(t.at, at);
}

/* Nothing is heard of it, though the connection comes about. */
static void test_cancelled(void **state)
{
    (void)state;
    listen_on("127.0.0.1", NULL);
    dial(port_of(0));
    carrier_dial_cancel(&t.dial);
    assert_null(t.dial.under_way);
    carrier_dial_cancel(&t.dial);
    timer_set(t.loop, &t.later, loop_now(t.loop) + 1000);
    loop_run(t.loop);
    assert_int_equal(t.calls, 0);
}

/* Of several addresses all are listened on, or none. */
static void test_taken_address(void **state)
{
    struct error e = {0};
    struct carrier_doors more = {0};
    struct address listen[2], first;
    char text[ADDRESS_TEXT_BYTES];
    (void)state;
    listen_on("127.0.0.1", NULL);
    address_to_text(text, &t.doors.doors[0].bound);
    listen[0] = of("127.0.0.2", port_of(0));
    listen[1] = t.doors.doors[0].bound;
    assert_false(carrier_doors_open(&more, t.loop, listen, 2, &events, &t, &e));
    assert_int_equal(e.failure, FAILURE_NETWORK);
    assert_non_null(strstr(e.text, text));
    assert_int_equal(more.count, 0);
    assert_null(more.doors);
    first = listen[0];
    assert_true(carrier_doors_open(&more, t.loop, &first, 1, &events, &t, &(struct error){0}));
    carrier_doors_close(&more);
}

static void test_are_at(void **state)
{
    uint16_t port;
    (void)state;
    assert_false(are_at("127.0.0.1", 1));
    listen_on("127.0.0.1", "127.0.0.2");
    port = port_of(1);
    assert_true(are_at("127.0.0.1", port_of(0)));
    assert_true(are_at("127.0.0.2", port));
    assert_true(are_at("0.0.0.0", port)); /* a connect to it stays on this machine */
    assert_false(are_at("127.0.0.3", port));
    assert_false(are_at("127.0.0.2", (uint16_t)(port - 1)));
    carrier_doors_close(&t.doors);
    listen_on("0.0.0.0", NULL);
    port = port_of(0);
    assert_true(are_at("127.0.0.3", port));
    assert_false(are_at("192.0.2.1", port)); /* another machine's */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_ends),      TEST(test_refused), TEST(test_cancelled),
        TEST(test_taken_address), TEST(test_are_at),
    };
    alarm(60);
    return cmocka_run_group_tests_name("carriers", tests, NULL, NULL);
}
