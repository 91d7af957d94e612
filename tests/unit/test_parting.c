/* Connections whose owner has done with them: their last bytes still come, and none stays for long.
 * The clock of the program is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/parting.h"
#include "net/tcp_carrier.h"

#define ROUNDS 4

static time_t ahead_s; /* the program's clock of that of the machine */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec += id == CLOCK_BOOTTIME ? ahead_s : 0;
    return result;
}

static struct {
    struct loop *loop;
    struct partings partings;
    struct deferred count_down;
    unsigned rounds;
    int other[PARTINGS_MAX + 1]; /* the peers' ends */
    unsigned count;
} t;

static void on_round(struct deferred *d)
{
    if (t.rounds-- > 0)
        loop_defer(t.loop, d);
    else
        loop_stop(t.loop);
}

static void run_rounds(void)
{
    t.rounds = ROUNDS;
    loop_defer(t.loop, &t.count_down);
    loop_run(t.loop);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.count_down.run = on_round;
    t.loop = loop_new();
    partings_init(&t.partings, t.loop);
    return t.loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    partings_free(&t.partings);
    loop_free(t.loop);
    for (unsigned i = 0; i < t.count; i++)
        close(t.other[i]);
    return 0;
}

/* Parts from one more connection, with so many bytes unsent. */
static void part(size_t len)
{
    static const uint8_t bytes[1 << 20];
    struct fifo unsent = {0};
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_true(fifo_append(&unsent, bytes, len));
    t.other[t.count++] = fd[1];
    struct carrier *carrier = tcp_carrier_new(fd[0]);
    assert_non_null(carrier);
    carrier_owe(carrier, &unsent);
    assert_int_equal(unsent.bytes, 0);
    partings_add(&t.partings, carrier);
}

/* How many bytes come until nothing waits; *end: the end of them has come. */
static size_t take(int fd, bool *end)
{
    static uint8_t buffer[1 << 16];
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
        got += (size_t)n;
    *end = n == 0;
    return got;
}

/* True if both halves are closed, not only the one that its owner has ended. */
static bool is_closed(unsigned i)
{
    return send(t.other[i], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

/* More than the socket takes at once comes whole, and then the end; what the peer says is thrown
 * away; when it has closed too the connection is gone. */
static void test_last_bytes(void **state)
{
    const size_t len = 1 << 20;
    size_t got = 0;
    bool end = false;
    (void)state;
    part(len);
    while (!end) {
        got += take(t.other[0], &end);
        assert_false(is_closed(0));
        run_rounds();
    }
    assert_int_equal(got, len);
    assert_int_equal(t.partings.count, 1);
    shutdown(t.other[0], SHUT_WR);
    run_rounds();
    assert_int_equal(t.partings.count, 0);
    assert_true(is_closed(0));
}

/* A peer that neither reads nor closes has two seconds. */
static void test_time(void **state)
{
    (void)state;
    part(10);
    part(1 << 20);
    ahead_s += PARTING_S - 1;
    run_rounds();
    assert_false(is_closed(0));
    assert_int_equal(t.partings.count, 2);
    ahead_s += 2;
    run_rounds();
    assert_int_equal(t.partings.count, 0);
    assert_true(is_closed(0));
}

/* For one too many the oldest goes. */
static void test_number(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PARTINGS_MAX; i++)
        part(10);
    run_rounds();
    assert_false(is_closed(0));
    part(10);
    run_rounds();
    assert_true(is_closed(0));
    assert_false(is_closed(1));
    assert_false(is_closed(PARTINGS_MAX));
    assert_int_equal(t.partings.count, PARTINGS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_last_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_number, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("parting", tests, NULL, NULL);
}
