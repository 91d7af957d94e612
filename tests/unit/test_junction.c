/* The relay's junction of two carriers: each kind with each, both ways at once, with slow readers,
 * ends and resets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "masked_carrier.h"
#include "net/tcp_carrier.h"
#include "open_pipes.h"
#include "relay/desk.h"
#include "relay/directory.h"
#include "relay/junction.h"
#include "relay/pending.h"
#include "relay/worker.h"

#define PATIENCE_US (20 * CLOCK_US_PER_S)
#define ALL_BYTES 3000000
#define SLOW_BYTES 20000 /* that a far end reads in a round */

typedef struct carrier *(*carrier_maker)(int fd);

/* The far end of a side: what it sends is byte_at, and so is what it must get. */
struct far {
    int fd;
    bool masked, ended; /* ended: the other's end has come */
    int error;
    uint64_t to_send, sent, got;
};

static struct {
    struct loop *loop;
    struct timer watchdog;
    struct deferred each_round;
    struct relay relay;
    struct known_user user;
    struct relay_user user_config;
    struct known_agent agent;
    struct pair pair;
    struct pending *pending;
    struct far far[2];
    unsigned pipe_ends; /* before the relay had any */
    unsigned most_pipes;
    bool (*done)(void);
} t;

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 17);
}

static uint8_t mask_at(const struct far *f, uint64_t i)
{
    return f->masked ? masked_carrier_mask(i) : 0;
}

static void far_send(struct far *f)
{
    uint8_t bytes[50000];
    size_t len =
        f->to_send - f->sent < sizeof bytes ? (size_t)(f->to_send - f->sent) : sizeof bytes;
    if (len == 0 || f->fd < 0)
        return;
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(f->sent + i) ^ mask_at(f, f->sent + i);
    ssize_t n = send(f->fd, bytes, len, MSG_NOSIGNAL);
    if (n > 0)
        f->sent += (uint64_t)n;
    if (f->sent == f->to_send)
        shutdown(f->fd, SHUT_WR);
}

static void far_read(struct far *f)
{
    uint8_t bytes[SLOW_BYTES];
    ssize_t n = f->fd < 0 || f->ended ? -1 : recv(f->fd, bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < n; i++, f->got++)
        if (bytes[i] != (byte_at(f->got) ^ mask_at(f, f->got)))
            fail_msg("byte %u is another", (unsigned)f->got);
    if (n == 0)
        f->ended = true;
    else if (n < 0 && f->fd >= 0 && !f->ended && errno != EAGAIN)
        f->error = errno;
}

static void on_round(struct deferred *d)
{
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        far_send(&t.far[side]);
        far_read(&t.far[side]);
    }
    unsigned pipes = pipes_since(t.pipe_ends);
    t.most_pipes = pipes > t.most_pipes ? pipes : t.most_pipes;
    if (t.done())
        loop_stop(t.loop);
    else
        loop_defer(t.loop, d);
}

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fail_msg("the condition did not come: %u and %u bytes", (unsigned)t.far[SIDE_CLIENT].got,
             (unsigned)t.far[SIDE_AGENT].got);
}

static void run_until(bool (*done)(void))
{
    t.done = done;
    timer_set(t.loop, &t.watchdog, loop_refresh_now(t.loop) + PATIENCE_US);
    loop_defer(t.loop, &t.each_round);
    loop_run(t.loop);
    timer_cancel(t.loop, &t.watchdog);
}

static bool is_gone(void)
{
    return list_empty(&t.relay.junctions);
}

static bool agent_has_some(void)
{
    return t.far[SIDE_AGENT].got > 100000;
}

static struct carrier *make_side(enum junction_side side, carrier_maker make)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    t.far[side] = (struct far){.fd = fd[0], .masked = make == masked_carrier_new};
    struct carrier *c = make(fd[1]);
    assert_non_null(c);
    return c;
}

/* Joins; each far end is to send so much. */
static void join(carrier_maker client, carrier_maker agent, uint64_t bytes)
{
    struct carrier *c = make_side(SIDE_CLIENT, client), *a = make_side(SIDE_AGENT, agent);
    t.far[SIDE_CLIENT].to_send = t.far[SIDE_AGENT].to_send = bytes;
    junction_join(t.pending, c, a);
    assert_int_equal(t.pair.circuit_count, 1);
    assert_int_equal(t.user.circuit_count, 1);
}

static int set_up(void **state)
{
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.pipe_ends = pipe_ends();
    t.loop = t.relay.loop = loop_new();
    t.watchdog.on_fire = on_watchdog;
    t.each_round.run = on_round;
    t.relay.worker_count = 1;
    list_init(&t.relay.junctions);
    log_rates_init(&t.relay.log, (const uint8_t[16]){0});
    list_init(&t.pair.junctions);
    assert_true(workers_start(&t.relay, junctions_end_told, &e));
    t.pending = calloc(1, sizeof *t.pending);
    assert_non_null(t.pending);
    t.pending->relay = &t.relay;
    t.user.config = &t.user_config;
    t.pending->user = &t.user;
    t.pending->agent = &t.agent;
    t.pending->pair = &t.pair;
    strcpy(t.pending->label, "0123abcd");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++)
        if (t.far[side].fd >= 0)
            close(t.far[side].fd);
    assert_true(is_gone());
    log_rates_free(&t.relay.log);
    assert_int_equal(t.pair.circuit_count, 0);
    assert_int_equal(t.user.circuit_count, 0);
    assert_int_equal(t.relay.workers[0].circuit_count, 0);
    loop_undefer(&t.each_round);
    workers_stop(&t.relay);
    workers_free(&t.relay);
    free(t.pending);
    return 0;
}

/* The junction has closed the side: what its socket still holds. */
static void read_all(struct far *f)
{
    while (!f->ended && f->error == 0)
        far_read(f);
}

static void carry_all(carrier_maker client, carrier_maker agent)
{
    join(client, agent, ALL_BYTES);
    run_until(is_gone);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        read_all(&t.far[side]);
        assert_int_equal(t.far[side].got, ALL_BYTES);
        assert_true(t.far[side].ended);
        assert_int_equal(t.far[side].error, 0);
    }
}

static void test_plain(void **state)
{
    (void)state;
    carry_all(tcp_carrier_new, tcp_carrier_new);
    assert_true(t.most_pipes > 0); /* spliced */
}

static void test_masked_to_plain(void **state)
{
    (void)state;
    carry_all(masked_carrier_new, tcp_carrier_new);
    assert_int_equal(t.most_pipes, 0); /* copied */
}

static void test_plain_to_masked(void **state)
{
    (void)state;
    carry_all(tcp_carrier_new, masked_carrier_new);
    assert_int_equal(t.most_pipes, 0);
}

static void test_masked(void **state)
{
    (void)state;
    carry_all(masked_carrier_new, masked_carrier_new);
}

/* A far end that goes with bytes unread is a reset: the other side's carrier is closed too. */
static void test_reset(void **state)
{
    static const carrier_maker kinds[] = {tcp_carrier_new, masked_carrier_new};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        join(kinds[i % 2], kinds[i / 2], UINT64_MAX);
        run_until(agent_has_some);
        close(t.far[SIDE_CLIENT].fd);
        t.far[SIDE_CLIENT].fd = -1;
        run_until(is_gone);
        read_all(&t.far[SIDE_AGENT]);
        assert_true(send(t.far[SIDE_AGENT].fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
        close(t.far[SIDE_AGENT].fd);
        t.far[SIDE_AGENT].fd = -1;
    }
}

/* To the client first goes what the relay still owes it, then what the agent's hop had read ahead.
 */
static void owed_and_ahead(carrier_maker client, carrier_maker agent)
{
    static uint8_t bytes[70000];
    struct fifo owed = {0};
    struct carrier *c = make_side(SIDE_CLIENT, client), *a = make_side(SIDE_AGENT, agent);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = byte_at(i);
    assert_true(fifo_append(&owed, bytes, 30000));
    carrier_owe(c, &owed);
    carrier_unread(a, view_of(bytes + 30000, sizeof bytes - 30000));
    junction_join(t.pending, c, a);
    shutdown(t.far[SIDE_CLIENT].fd, SHUT_WR);
    shutdown(t.far[SIDE_AGENT].fd, SHUT_WR);
    run_until(is_gone);
    read_all(&t.far[SIDE_CLIENT]);
    assert_int_equal(t.far[SIDE_CLIENT].got, sizeof bytes);
    assert_int_equal(t.far[SIDE_CLIENT].error, 0);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        close(t.far[side].fd);
        t.far[side].fd = -1;
    }
}

static void test_owed_and_ahead(void **state)
{
    (void)state;
    owed_and_ahead(tcp_carrier_new, tcp_carrier_new);
    owed_and_ahead(masked_carrier_new, tcp_carrier_new);
    owed_and_ahead(tcp_carrier_new, masked_carrier_new);
}

/* Told to end while both sides stand: both are closed. */
static void test_told_to_end(void **state)
{
    (void)state;
    join(masked_carrier_new, tcp_carrier_new, UINT64_MAX);
    run_until(agent_has_some);
    junction_end(container_of(t.relay.junctions.next, struct junction, all), "told");
    run_until(is_gone);
    read_all(&t.far[SIDE_AGENT]);
}

#define MANY CIRCUITS_PER_USER_AGENT
#define IN_ONE_ROUND 16U

static unsigned left, most_ended;

/* Notes how many have ended since the round before. */
static bool are_gone(void)
{
    unsigned ended = left - t.relay.workers[0].circuit_count;
    left -= ended;
    most_ended = ended > most_ended ? ended : most_ended;
    return is_gone();
}

/* Many that are told to end at once do so in portions. */
static void test_many_told_to_end(void **state)
{
    int far[MANY][2];
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        struct carrier *client = make_side(SIDE_CLIENT, tcp_carrier_new);
        junction_join(t.pending, client, make_side(SIDE_AGENT, tcp_carrier_new));
        for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
            far[i][side] = t.far[side].fd;
            t.far[side].fd = -1;
        }
    }
    list_each (link, &t.relay.junctions)
        junction_end(container_of(link, struct junction, all), "told");
    left = MANY;
    run_until(are_gone);
    assert_in_range(most_ended, 1, IN_ONE_ROUND);
    for (unsigned i = 0; i < 2 * MANY; i++)
        close(far[i / 2][i % 2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_masked_to_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain_to_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_owed_and_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_told_to_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_told_to_end, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("junction", tests, NULL, NULL);
}
