/* The event loop: turns, edges, removal in a round, timers, calls, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/loop.h"

/* One end of a socket pair in the loop, which writes down each call as a letter. */
struct peer {
    struct io io;
    int other; /* the end the test holds; -1: closed */
    char letter;
    unsigned reads, writes;
    bool read_all;          /* read to EAGAIN and say so, else one byte */
    unsigned again;         /* ask so many times more */
    unsigned stop_after;    /* loop_stop at so many reads; 0: never */
    struct peer *to_remove; /* taken out and freed in on_read */
};

static struct loop *loop;
static char calls[256];

static void note(char letter)
{
    size_t len = strlen(calls);
    if (len + 1 < sizeof calls) {
        calls[len] = letter;
        calls[len + 1] = '\0';
    }
}

static void peer_free(struct peer *peer)
{
    io_remove(&peer->io);
    close(peer->io.fd);
    if (peer->other >= 0)
        close(peer->other);
    free(peer);
}

static void on_read(struct io *io)
{
    struct peer *peer = container_of(io, struct peer, io);
    char byte;
    note(peer->letter);
    peer->reads++;
    assert_false(io->want_read);
    if (peer->read_all) {
        while (read(io->fd, &byte, 1) == 1)
            ;
        io_read_drained(io);
    } else if (read(io->fd, &byte, 1) != 1) {
        io_read_drained(io);
    }
    if (peer->again > 0) {
        peer->again--;
        io_want_read(io);
    }
    if (peer->stop_after > 0 && peer->reads == peer->stop_after)
        loop_stop(loop);
    if (peer->to_remove)
        peer_free(peer->to_remove); /* may be the peer itself */
}

static void on_write(struct io *io)
{
    struct peer *peer = container_of(io, struct peer, io);
    note((char)(peer->letter - 'a' + 'A'));
    peer->writes++;
}

static struct peer *peer_new(char letter)
{
    struct peer *peer = calloc(1, sizeof *peer);
    int fds[2];
    assert_non_null(peer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    peer->letter = letter;
    peer->other = fds[1];
    peer->io.on_read = on_read;
    peer->io.on_write = on_write;
    assert_true(io_add(loop, &peer->io, fds[0]));
    return peer;
}

static void put(struct peer *peer, const char *bytes)
{
    assert_int_equal(write(peer->other, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
}

/* Stops the loop after so many rounds from now. */
static unsigned rounds_left;

static void count_round(struct deferred *d)
{
    if (--rounds_left == 0)
        loop_stop(loop);
    else
        loop_defer(loop, d);
}

static void run_rounds(unsigned rounds)
{
    struct deferred counter = {.run = count_round};
    rounds_left = rounds;
    loop_defer(loop, &counter);
    loop_run(loop);
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    calls[0] = '\0';
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* ---- Descriptors. ---- */

static void test_one_call_for_one_wish(void **state)
{
    struct peer *a = peer_new('a');
    (void)state;
    put(a, "xyz");
    run_rounds(3);
    assert_string_equal(calls, ""); /* nothing was wanted */
    assert_true(io_can_read(&a->io));
    io_want_read(&a->io);
    io_want_read(&a->io);
    assert_string_equal(calls, ""); /* never inside */
    run_rounds(3);
    assert_string_equal(calls, "a");
    io_want_read(&a->io); /* what is left has no new edge */
    io_want_write(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "aaA");
    io_want_read(&a->io);
    io_want_write(&a->io);
    io_stop_read(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "aaAA");
    io_want_write(&a->io);
    io_stop_write(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "aaAA");
    peer_free(a);
}

static void test_turns(void **state)
{
    struct peer *a = peer_new('a'), *b = peer_new('b');
    (void)state;
    put(a, "0123456789");
    put(b, "0123456789");
    a->again = b->again = 3;
    io_want_read(&a->io);
    io_want_read(&b->io);
    a->stop_after = 4;
    loop_run(loop); /* nothing else keeps it awake */
    assert_true(strncmp(calls, "abababa", 7) == 0 || strcmp(calls, "babababa") == 0);
    peer_free(a);
    peer_free(b);
}

/* A busy io must not keep the loop from looking for others' events. */
static struct peer *to_feed;

static void feed(struct deferred *d)
{
    (void)d;
    put(to_feed, "x");
}

static void test_events_come_between_busy_rounds(void **state)
{
    struct peer *a = peer_new('a'), *b = peer_new('b');
    struct deferred feeder = {.run = feed};
    (void)state;
    put(a, "0123456789");
    a->again = 9;
    io_want_read(&a->io);
    io_want_read(&b->io);
    to_feed = b;
    loop_defer(loop, &feeder); /* at the end of round 1 */
    run_rounds(2);
    assert_string_equal(calls, "aab");
    a->again = 0;
    peer_free(a);
    peer_free(b);
}

static void test_drained_waits_for_the_next_edge(void **state)
{
    struct peer *a = peer_new('a');
    (void)state;
    a->read_all = true;
    a->again = 100;
    io_want_read(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "");
    put(a, "xyz");
    run_rounds(4);
    assert_string_equal(calls, "a");
    assert_false(io_can_read(&a->io));
    put(a, "xyz");
    a->stop_after = 2;
    loop_run(loop); /* would sleep for ever if the edge were lost */
    assert_string_equal(calls, "aa");
    peer_free(a);
}

static void test_blocked_waits_for_room(void **state)
{
    struct peer *a = peer_new('a');
    static char buffer[65536];
    (void)state;
    run_rounds(1);
    assert_true(io_can_write(&a->io));
    while (write(a->io.fd, buffer, sizeof buffer) > 0)
        ;
    io_write_blocked(&a->io);
    io_want_write(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "");
    while (read(a->other, buffer, sizeof buffer) > 0)
        ;
    run_rounds(2);
    assert_string_equal(calls, "A");
    peer_free(a);
}

static void test_removed_in_the_round_gets_no_call(void **state)
{
    struct peer *a = peer_new('a'), *b = peer_new('b');
    (void)state;
    put(a, "x");
    put(b, "x");
    a->to_remove = b; /* whichever is first frees the other */
    b->to_remove = a;
    io_want_read(&a->io);
    io_want_write(&a->io);
    io_want_read(&b->io);
    io_want_write(&b->io);
    run_rounds(2);
    assert_true(strcmp(calls, "aA") == 0 || strcmp(calls, "bB") == 0);
    struct peer *left = calls[0] == 'a' ? a : b;
    peer_free(left);
}

static void test_removes_itself(void **state)
{
    struct peer *a = peer_new('a');
    (void)state;
    put(a, "x");
    a->to_remove = a;
    io_want_read(&a->io);
    io_want_write(&a->io); /* due too, but it is gone */
    run_rounds(2);
    assert_string_equal(calls, "a");
}

static void test_remove_and_add_again(void **state)
{
    struct peer *a = peer_new('a');
    int fd = a->io.fd;
    (void)state;
    put(a, "xy");
    io_want_read(&a->io);
    io_remove(&a->io);
    io_remove(&a->io);
    io_want_read(&a->io); /* in no loop: harmless */
    run_rounds(2);
    assert_string_equal(calls, "");
    assert_true(io_add(loop, &a->io, fd));
    run_rounds(2);
    assert_string_equal(calls, ""); /* the wish went with the removal */
    io_want_read(&a->io);
    run_rounds(2);
    assert_string_equal(calls, "a");
    peer_free(a);
}

static void test_hang_up_makes_both_ready(void **state)
{
    struct peer *a = peer_new('a');
    static char buffer[65536];
    (void)state;
    while (write(a->io.fd, buffer, sizeof buffer) > 0)
        ;
    run_rounds(1);
    io_write_blocked(&a->io);
    assert_false(a->io.hung_up);
    put(a, "x");
    close(a->other);
    a->other = -1;
    a->again = 1;
    io_want_read(&a->io);
    io_want_write(&a->io);
    run_rounds(3);
    assert_true(a->io.hung_up);
    assert_int_equal(a->reads, 2); /* the byte, and the end after it */
    assert_int_equal(a->writes, 1);
    peer_free(a);
}

static void test_half_close_is_a_hang_up_for_reading(void **state)
{
    struct peer *a = peer_new('a');
    (void)state;
    assert_int_equal(shutdown(a->other, SHUT_WR), 0);
    io_want_read(&a->io);
    run_rounds(2);
    assert_true(a->io.hung_up);
    assert_string_equal(calls, "a");
    peer_free(a);
}

/* Pipes tell it by EPOLLHUP and EPOLLERR alone. */
static void test_pipes_whose_other_end_closes(void **state)
{
    static char buffer[65536];
    struct peer in = {.io = {.on_read = on_read}, .letter = 'a'};
    struct peer out = {.io = {.on_write = on_write}, .letter = 'b'};
    int ends_in[2], ends_out[2];
    (void)state;
    assert_int_equal(pipe2(ends_in, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(ends_out, O_NONBLOCK | O_CLOEXEC), 0);
    while (write(ends_out[1], buffer, sizeof buffer) > 0)
        ;
    assert_true(io_add(loop, &in.io, ends_in[0]));
    assert_true(io_add(loop, &out.io, ends_out[1]));
    io_want_read(&in.io);
    io_want_write(&out.io);
    run_rounds(2);
    assert_string_equal(calls, "");
    close(ends_in[1]);
    close(ends_out[0]);
    run_rounds(2);
    assert_int_equal(in.reads, 1);
    assert_int_equal(out.writes, 1);
    assert_true(in.io.hung_up && out.io.hung_up);
    io_remove(&in.io);
    io_remove(&out.io);
    close(ends_in[0]);
    close(ends_out[1]);
}

static void always_ready(const char *path)
{
    struct peer *a = calloc(1, sizeof *a);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_non_null(a);
    assert_true(fd >= 0);
    a->letter = 'a';
    a->other = -1;
    a->io.on_read = on_read;
    a->io.on_write = on_write;
    a->again = 1;
    calls[0] = '\0';
    assert_true(io_add(loop, &a->io, fd));
    assert_true(io_can_read(&a->io) && io_can_write(&a->io));
    io_want_read(&a->io);
    run_rounds(3);
    assert_string_equal(calls, "aa"); /* also after its end */
    io_want_write(&a->io);
    io_write_blocked(&a->io);
    run_rounds(2);
    assert_string_equal(calls, "aaA");
    peer_free(a);
}

static void test_what_epoll_refuses_is_always_ready(void **state)
{
    char path[] = "/tmp/test_loop.XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    always_ready(path);
    unlink(path);
    always_ready("/dev/null");
}

static void test_bad_descriptor(void **state)
{
    struct io io = {0};
    int fd = dup(0);
    (void)state;
    close(fd);
    assert_false(io_add(loop, &io, fd));
    io_remove(&io);
}

/* More than one batch of events, each served once. */
static void test_many(void **state)
{
    enum { COUNT = 400 };
    static struct peer *peers[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_new('a');
        put(peers[i], "x");
        io_want_read(&peers[i]->io);
    }
    run_rounds(4);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(peers[i]->reads, 1);
        peer_free(peers[i]);
    }
}

/* ---- Timers. ---- */

struct alarm {
    struct timer timer;
    uint64_t wanted_us, fired_us;
    unsigned fired;
    struct alarm *to_cancel;
    bool set_again;
};

static uint64_t last_wanted_us;
static unsigned alarms_left;

static void on_alarm(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    assert_false(timer->set);
    alarm->fired++;
    alarm->fired_us = loop_now(loop);
    assert_true(alarm->fired_us >= alarm->wanted_us);
    assert_true(alarm->wanted_us >= last_wanted_us); /* the earliest first */
    last_wanted_us = alarm->wanted_us;
    if (alarm->to_cancel)
        timer_cancel(loop, &alarm->to_cancel->timer);
    if (alarm->set_again)
        timer_set(loop, timer, 0);
    if (alarms_left > 0 && --alarms_left == 0)
        loop_stop(loop);
}

static void alarm_set(struct alarm *alarm, uint64_t deadline_us)
{
    alarm->timer.on_fire = on_alarm;
    alarm->wanted_us = deadline_us;
    timer_set(loop, &alarm->timer, deadline_us);
}

static void test_timers_fire_in_order(void **state)
{
    enum { COUNT = 3000 };
    static struct alarm alarms[COUNT];
    uint64_t start_us = loop_now(loop), seed = 1;

    (void)state;
    memset(alarms, 0, sizeof alarms);
    last_wanted_us = 0;
    alarms_left = COUNT;
    for (unsigned i = 0; i < 3 * COUNT; i++) { /* each is moved twice, on or back */
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        alarm_set(&alarms[i % COUNT], start_us + 1 + (seed >> 33) % 50000);
    }
    for (unsigned i = 0; i < COUNT; i += 3) {
        timer_cancel(loop, &alarms[i].timer);
        timer_cancel(loop, &alarms[i].timer);
        alarms_left--;
    }
    for (unsigned i = 1; i < COUNT; i += 30) {
        timer_set(loop, &alarms[i].timer, CLOCK_NEVER);
        alarms_left--;
    }
    loop_run(loop);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(alarms[i].fired, i % 3 == 0 || i % 30 == 1 ? 0 : 1);
}

/* Without any other event: the loop must wake for it, and not much too late. */
static void test_timer_wakes_the_loop(void **state)
{
    struct alarm soon = {0}, late = {0};
    uint64_t start_us = clock_now_us();
    (void)state;
    last_wanted_us = 0;
    alarm_set(&late, start_us + 3600 * CLOCK_US_PER_S);
    struct peer *a = peer_new('a');
    put(a, "x");
    a->stop_after = 1;
    io_want_read(&a->io);
    loop_run(loop); /* sleeps until the byte: armed for the late one */
    alarms_left = 1;
    alarm_set(&soon, loop_refresh_now(loop) + 20000);
    loop_run(loop);
    peer_free(a);
    assert_int_equal(soon.fired, 1);
    assert_int_equal(late.fired, 0);
    assert_true(clock_now_us() - soon.wanted_us < 2 * CLOCK_US_PER_S);
    timer_cancel(loop, &late.timer);
}

static void note_timer(struct timer *timer)
{
    (void)timer;
    note('t');
}

/* While the process was stopped a byte came and a deadline passed: the byte is first. */
static void test_what_came_is_before_what_is_due(void **state)
{
    struct timer due = {.on_fire = note_timer};
    struct peer *a = peer_new('a');
    (void)state;
    put(a, "x");
    io_want_read(&a->io);
    timer_set(loop, &due, loop_now(loop));
    run_rounds(2);
    assert_string_equal(calls, "at");
    peer_free(a);
}

/* Moved on after the loop was armed for its first time: it still fires, at its last time. */
static void test_timer_moved_on(void **state)
{
    struct alarm early = {0}, moved = {0};
    (void)state;
    last_wanted_us = 0;
    alarms_left = 1;
    alarm_set(&moved, loop_refresh_now(loop) + 30000000);
    alarm_set(&early, loop_now(loop) + 5000);
    loop_run(loop);
    assert_int_equal(early.fired, 1);
    assert_int_equal(moved.fired, 0);
    alarm_set(&moved, loop_now(loop) + 30000);
    alarms_left = 1;
    loop_run(loop);
    assert_int_equal(moved.fired, 1);
}

static void test_timer_cancelled_by_another(void **state)
{
    struct alarm a = {0}, b = {0}, c = {0};
    (void)state;
    last_wanted_us = 0;
    alarms_left = 2;
    a.to_cancel = &b;
    alarm_set(&a, loop_now(loop) + 1);
    alarm_set(&b, loop_now(loop) + 2);
    alarm_set(&c, loop_now(loop) + 3);
    loop_run(loop);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    assert_int_equal(c.fired, 1);
}

static void test_timer_set_for_now_waits_a_round(void **state)
{
    struct alarm a = {.set_again = true};
    (void)state;
    last_wanted_us = 0;
    alarms_left = 0;
    alarm_set(&a, 0);
    run_rounds(5);
    assert_int_equal(a.fired, 5); /* once a round */
    timer_cancel(loop, &a.timer);
}

/* ---- Calls. ---- */

/* Notes its letter, and then defers another. */
struct call {
    struct deferred deferred;
    char letter;
    struct call *to_defer, *to_take_back;
};

static void on_call(struct deferred *d)
{
    struct call *call = container_of(d, struct call, deferred);
    note(call->letter);
    if (call->to_defer)
        loop_defer(loop, &call->to_defer->deferred);
    if (call->to_take_back)
        loop_undefer(&call->to_take_back->deferred);
}

static struct call flush = {.deferred.run = on_call, .letter = 'z'};

static void defer_in_on_read(struct io *io)
{
    loop_defer(io->loop, &flush.deferred);
    on_read(io);
}

static void test_deferred_runs_once_at_the_end_of_the_round(void **state)
{
    struct peer *a = peer_new('a'), *b = peer_new('b');
    (void)state;
    a->io.on_read = b->io.on_read = defer_in_on_read;
    put(a, "x");
    put(b, "x");
    io_want_read(&a->io);
    io_want_read(&b->io);
    run_rounds(2);
    assert_true(strcmp(calls, "abz") == 0 || strcmp(calls, "baz") == 0);
    peer_free(a);
    peer_free(b);
}

static void test_deferred_by_deferred_is_for_the_next_round(void **state)
{
    struct call call = {.deferred.run = on_call, .letter = 'c', .to_defer = &call};
    (void)state;
    loop_defer(loop, &call.deferred);
    run_rounds(1);
    assert_string_equal(calls, "c");
    run_rounds(1); /* must not sleep before it */
    assert_string_equal(calls, "cc");
    loop_undefer(&call.deferred);
    loop_undefer(&call.deferred);
    run_rounds(2);
    assert_string_equal(calls, "cc");
}

static void test_deferred_taken_back(void **state)
{
    struct call a = {.deferred.run = on_call, .letter = 'a'}, b = a;
    (void)state;
    loop_undefer(&b.deferred); /* never used yet */
    b.letter = 'b';
    a.to_take_back = &b;
    loop_defer(loop, &a.deferred);
    loop_defer(loop, &b.deferred);
    run_rounds(2);
    assert_string_equal(calls, "a"); /* also of the same round */
}

static void count_call(void *arg)
{
    (*(unsigned *)arg)++;
}

static void test_stop_before_run(void **state)
{
    (void)state;
    loop_stop(loop);
    loop_run(loop);
    run_rounds(1); /* the stop was for one run */
}

static void test_free_makes_the_calls_owed(void **state)
{
    unsigned count = 0;
    struct loop *other = loop_new();
    struct loop_call posted = {count_call, &count, NULL};
    struct call call = {.deferred.run = on_call, .letter = 'c'};
    (void)state;
    assert_non_null(other);
    loop_defer(other, &call.deferred);
    loop_post(other, &posted);
    loop_free(other);
    assert_int_equal(count, 1);
    assert_string_equal(calls, "c");
    loop_free(NULL);
}

enum { THREADS = 4, POSTS = 2000 };

struct posted {
    struct loop_call call;
    unsigned thread, number;
};

static unsigned next_number[THREADS], posts_seen;
static pthread_t loop_thread;

static void on_posted(void *arg)
{
    struct posted *posted = arg;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(posted->number, next_number[posted->thread]++);
    free(posted);
    if (++posts_seen == THREADS * POSTS)
        loop_stop(loop);
}

static void *post_many(void *arg)
{
    const unsigned *thread = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        struct posted *posted = calloc(1, sizeof *posted);
        if (posted == NULL)
            abort();
        *posted = (struct posted){{on_posted, posted, NULL}, *thread, i};
        loop_post(loop, &posted->call);
    }
    return NULL;
}

static void test_posts_from_threads(void **state)
{
    pthread_t threads[THREADS];
    static unsigned numbers[THREADS];
    (void)state;
    memset(next_number, 0, sizeof next_number);
    posts_seen = 0;
    loop_thread = pthread_self();
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &numbers[i]), 0);
    }
    loop_run(loop);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(posts_seen, THREADS * POSTS);
}

/* ---- Signals. ---- */

static void on_signal(void *arg, int signo)
{
    unsigned *seen = arg;
    note(signo == SIGUSR1 ? 'u' : signo == SIGTERM ? 't' : '?');
    if (--*seen == 0)
        loop_stop(loop);
}

static void test_signals(void **state)
{
    unsigned left = 2;
    sigset_t mask;
    (void)state;
    assert_true(loop_on_signal(loop, SIGUSR1, on_signal, &left));
    assert_true(loop_on_signal(loop, SIGTERM, on_signal, &left));
    assert_false(loop_on_signal(loop, 0, on_signal, &left));
    assert_false(loop_on_signal(loop, 65, on_signal, &left));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    assert_string_equal(calls, "");
    loop_run(loop);
    assert_true(strcmp(calls, "ut") == 0 || strcmp(calls, "tu") == 0);
    left = 1;
    kill(getpid(), SIGUSR1);
    loop_run(loop);
    assert_int_equal(strlen(calls), 3);

    loop_free(loop);
    loop = loop_new();
    assert_non_null(loop);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_true(sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM));
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_one_call_for_one_wish),
        LOOP_TEST(test_turns),
        LOOP_TEST(test_events_come_between_busy_rounds),
        LOOP_TEST(test_drained_waits_for_the_next_edge),
        LOOP_TEST(test_blocked_waits_for_room),
        LOOP_TEST(test_removed_in_the_round_gets_no_call),
        LOOP_TEST(test_removes_itself),
        LOOP_TEST(test_remove_and_add_again),
        LOOP_TEST(test_hang_up_makes_both_ready),
        LOOP_TEST(test_half_close_is_a_hang_up_for_reading),
        LOOP_TEST(test_pipes_whose_other_end_closes),
        LOOP_TEST(test_what_epoll_refuses_is_always_ready),
        LOOP_TEST(test_bad_descriptor),
        LOOP_TEST(test_many),
        LOOP_TEST(test_timers_fire_in_order),
        LOOP_TEST(test_timer_wakes_the_loop),
        LOOP_TEST(test_what_came_is_before_what_is_due),
        LOOP_TEST(test_timer_moved_on),
        LOOP_TEST(test_timer_cancelled_by_another),
        LOOP_TEST(test_timer_set_for_now_waits_a_round),
        LOOP_TEST(test_deferred_runs_once_at_the_end_of_the_round),
        LOOP_TEST(test_deferred_by_deferred_is_for_the_next_round),
        LOOP_TEST(test_deferred_taken_back),
        LOOP_TEST(test_stop_before_run),
        LOOP_TEST(test_free_makes_the_calls_owed),
        LOOP_TEST(test_posts_from_threads),
        LOOP_TEST(test_signals),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(60); /* a loop that sleeps for ever fails */
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
