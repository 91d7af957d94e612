/* A session's turn of the event loop: whatever its peer sends, the turn ends after a bounded work
 * and a bounded time, and what is left has the next ones (docs/PROTOCOL.md section 5.9). The clock
 * is the test's. */
#include "session_pair.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/tcp_carrier.h"
#include "session/driver.h"

#define MOST_WORK (1U << 20)
#define LEAST_COST 256 /* of a frame */
#define MOST_US 1000
#define ROUNDS_MAX 100000

static uint64_t time_us, pace_us; /* the clock goes on by so much each time it is read */

int clock_gettime(clockid_t id, struct timespec *now)
{
    (void)id;
    time_us += pace_us;
    now->tv_sec = (time_t)(time_us / CLOCK_US_PER_S);
    now->tv_nsec = (long)(time_us % CLOCK_US_PER_S) * 1000;
    return 0;
}

static struct {
    struct loop *loop;
    struct raw *raw;
    struct turns turns;
    struct circuit_driver driver;
    struct cipher send, receive; /* the peer's */
    struct record record;
    int fd;        /* the peer's */
    bool has_room; /* for more than a turn's bytes: only root has it */
    /* Another's work in the loop: it looks each round at what the session has done since the last.
     */
    struct deferred other;
    unsigned rounds, frames, most_frames, wanted;
    uint64_t begun_us, most_us;
} t;

static unsigned frames_taken(void)
{
    const struct app *app = app_find(&t.raw->side, 1);
    return app ? app->datagrams : 0;
}

static void on_round(struct deferred *d)
{
    unsigned frames = frames_taken() - t.frames;
    uint64_t took_us = time_us - t.begun_us;
    t.frames += frames;
    t.most_frames = frames > t.most_frames ? frames : t.most_frames;
    t.most_us = took_us > t.most_us ? took_us : t.most_us;
    t.begun_us = time_us;
    if (++t.rounds == ROUNDS_MAX || t.frames == t.wanted)
        loop_stop(t.loop);
    else
        loop_defer(t.loop, d);
}

static void on_change(struct circuit_driver *driver)
{
    fail_msg("the circuit has ended: %s", driver->circuit.failed.text);
}

static void write_record(void)
{
    size_t len = record_seal(&t.record, &t.send);
    assert_int_equal(write(t.fd, t.record.bytes, len), len);
    t.record.len = 0;
}

/* START, and a stream of datagrams. */
static void write_beginning(void)
{
    uint8_t payload[64], position[8] = {0};
    struct open_frame open = {.target = view_of_string("udp:app:1")};
    record_frame(&t.record, FRAME_START, 0, position, sizeof position);
    record_frame(&t.record, FRAME_OPEN, 1, payload,
                 open_encode(&open, false, payload, sizeof payload));
    write_record();
}

/* Datagrams of so many bytes: all in the socket before the first is read. */
static void write_flood(unsigned count, size_t len)
{
    static uint8_t datagram[4096];
    t.wanted = count;
    for (unsigned i = 0; i < count; i++) {
        record_frame(&t.record, FRAME_DATAGRAM, 1, datagram, len);
        if (t.record.len + FRAME_HEADER_BYTES + len > RECORD_PLAINTEXT_MAX || i + 1 == count)
            write_record();
    }
}

static void run(void)
{
    t.begun_us = time_us;
    loop_defer(t.loop, &t.other);
    loop_run(t.loop);
    assert_int_equal(t.frames, t.wanted); /* what waited has had its turn */
}

static int set_up(void **state)
{
    int fd[2], room = 8 << 20;
    (void)state;
    memset(&t, 0, sizeof t);
    time_us = CLOCK_US_PER_S;
    pace_us = 0;
    t.loop = loop_new();
    t.raw = raw_new(false, NULL);
    t.raw->now = time_us;
    t.other.run = on_round;
    turns_init(&t.turns, t.loop);
    t.driver.turns = &t.turns;
    t.driver.on_change = on_change;
    raw_circuit(t.raw, &t.driver.circuit, &t.send, &t.receive, 2, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    t.fd = fd[1];
    t.has_room = setsockopt(t.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) == 0;
    assert_true(circuit_driver_open(&t.driver, t.loop, tcp_carrier_new(fd[0])));
    write_beginning();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    circuit_driver_close(&t.driver);
    turns_end(&t.turns);
    loop_undefer(&t.other);
    raw_free(t.raw);
    loop_free(t.loop);
    close(t.fd);
    return 0;
}

/* Frames without bytes: each counts as one of 256. */
static void test_small_frames(void **state)
{
    (void)state;
    write_flood(12000, 0);
    run();
    assert_in_range(t.most_frames, 1, MOST_WORK / LEAST_COST);
    assert_true(t.rounds >= 3);
}

/* A larger one counts as what it is. */
static void test_larger_frames(void **state)
{
    (void)state;
    if (!t.has_room)
        skip();
    write_flood(600, 4096 - FRAME_HEADER_BYTES);
    run();
    assert_in_range(t.most_frames, 1, MOST_WORK / 4096);
}

/* Slow work ends the turn early. */
static void test_time(void **state)
{
    (void)state;
    pace_us = MOST_US / 10;
    write_flood(12000, 0);
    run();
    assert_in_range(t.most_us, 1, 2 * MOST_US); /* the loop's own looks at the clock count, too */
    assert_in_range(t.most_frames, 1, MOST_WORK / LEAST_COST / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_small_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_larger_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
    };
    alarm(60);
    return cmocka_run_group_tests_name("circuit_driver", tests, NULL, NULL);
}
