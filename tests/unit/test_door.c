/* A listening socket in the loop: room, stopping, and a shortage of descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/door.h"
#include "net/socket.h"

#define CALLERS 200 /* more than are accepted in one event */

static struct {
    struct loop *loop;
    struct door door;
    int caller[CALLERS], taken[CALLERS];
    unsigned callers, count, room, shortages, until;
    bool gives_back;
    struct rlimit before;
} t;

static void take(void *owner, int fd, const struct address *peer)
{
    assert_ptr_equal(owner, &t);
    assert_true(address_is_loopback(peer));
    t.taken[t.count++] = fd;
    if (t.count == t.until)
        loop_stop(t.loop);
}

static bool may_take(void *owner)
{
    (void)owner;
    if (t.count < t.room)
        return true;
    loop_stop(t.loop);
    return false;
}

static void let_descriptors(rlim_t count)
{
    struct rlimit limit = {.rlim_cur = count, .rlim_max = t.before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static bool on_shortage(void *owner)
{
    (void)owner;
    assert_int_equal(errno, EMFILE);
    t.shortages++;
    let_descriptors(t.before.rlim_cur);
    return t.gives_back;
}

static const struct door_events events = {
    .take = take, .may_take = may_take, .on_shortage = on_shortage};

static void call_door(unsigned count)
{
    for (; count > 0; count--) {
        bool in_progress;
        int fd = socket_connect(&t.door.bound, &in_progress);
        assert_true(fd >= 0);
        t.caller[t.callers++] = fd;
    }
}

static void run_until(unsigned count)
{
    t.until = count;
    loop_run(t.loop);
}

static int set_up(void **state)
{
    struct address any;
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    t.room = CALLERS + 1;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &t.before), 0);
    assert_true(address_from_literal(&any, "127.0.0.1", 0));
    assert_true(door_open(&t.door, t.loop, &any, DOOR_BACKLOG, &events, &t, &e));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    let_descriptors(t.before.rlim_cur);
    for (unsigned i = 0; i < t.count; i++)
        close(t.taken[i]);
    for (unsigned i = 0; i < t.callers; i++)
        close(t.caller[i]);
    door_close(&t.door);
    door_close(&t.door);
    loop_free(t.loop);
    return 0;
}

static void test_takes_all(void **state)
{
    (void)state;
    call_door(CALLERS);
    door_go(&t.door);
    run_until(CALLERS);
    assert_int_equal(t.count, CALLERS);
}

/* The others wait in the kernel until there is room. */
static void test_room(void **state)
{
    (void)state;
    t.room = 3;
    call_door(5);
    door_go(&t.door);
    run_until(5);
    assert_int_equal(t.count, 3);
    t.room = CALLERS;
    door_go(&t.door);
    run_until(5);
    assert_int_equal(t.count, 5);
}

static void on_fire(struct timer *timer)
{
    (void)timer;
    loop_stop(t.loop);
}

static void test_stopped(void **state)
{
    struct timer later = {.on_fire = on_fire};
    (void)state;
    door_go(&t.door);
    door_stop(&t.door);
    call_door(1);
    timer_set(t.loop, &later, loop_now(t.loop) + 1000);
    run_until(1);
    assert_int_equal(t.count, 0);
    door_go(&t.door);
    run_until(1);
}

static int wait_for_connect(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&one, 1, 10000), 1);
    return socket_connect_result(fd, &t.door.bound);
}

static int error_of_a_call(void)
{
    bool in_progress;
    int fd = socket_connect(&t.door.bound, &in_progress);
    int error = fd < 0 ? errno : in_progress ? wait_for_connect(fd) : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

/* Those who wait are reset, others refused, and its address stays its own: then it is a door as
 * before. */
static void test_shut(void **state)
{
    struct error e = {0};
    char byte;
    (void)state;
    call_door(1);
    assert_true(door_shut(&t.door, &e));
    assert_true(door_shut(&t.door, &e));
    assert_int_equal(recv(t.caller[0], &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(error_of_a_call(), ECONNREFUSED);
    door_go(&t.door);
    door_stop(&t.door);
    assert_true(door_unshut(&t.door, &e));
    assert_true(door_unshut(&t.door, &e));
    door_go(&t.door);
    call_door(2);
    run_until(2);
    assert_true(door_shut(&t.door, &e));
    assert_int_equal(error_of_a_call(), ECONNREFUSED);
}

/* Another program that listens there before it is unshut has the port, or the file. */
static void test_shut_and_taken(void **state)
{
    struct error e = {0};
    (void)state;
    assert_true(door_shut(&t.door, &e));
    int other = socket_listen(&t.door.bound, 1, &e);
    assert_true(other >= 0);
    assert_false(door_unshut(&t.door, &e));
    assert_int_equal(e.failure, FAILURE_NETWORK);
    close(other);
}

static void test_shut_file(void **state)
{
    char directory[] = "/tmp/spx-test-door-XXXXXX", path[64];
    struct address a;
    struct error e = {0};
    (void)state;
    door_close(&t.door);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    assert_true(address_from_path(&a, path));
    assert_true(door_open(&t.door, t.loop, &a, 1, &events, &t, &e));
    assert_true(door_shut(&t.door, &e));
    assert_int_equal(error_of_a_call(), ECONNREFUSED);
    assert_true(door_unshut(&t.door, &e));
    assert_int_equal(error_of_a_call(), 0);
    assert_true(door_shut(&t.door, &e));
    int other = socket_listen(&a, 1, &e);
    assert_true(other >= 0);
    assert_false(door_unshut(&t.door, &e));
    assert_non_null(strstr(e.text, "another program has replaced it"));
    door_close(&t.door);
    assert_int_equal(access(path, F_OK), 0); /* the other's */
    close(other);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void fall_short(bool gives_back)
{
    int next;
    t.gives_back = gives_back;
    call_door(2);
    next = dup(t.door.io.fd);
    close(next);
    door_go(&t.door);
    let_descriptors((rlim_t)next);
    run_until(2);
    assert_int_equal(t.shortages, 1);
}

static void test_shortage_met(void **state)
{
    (void)state;
    fall_short(true);
    assert_false(timer_is_set(&t.door.pause));
}

/* It goes on by itself. */
static void test_shortage_waited_for(void **state)
{
    uint64_t begun;
    (void)state;
    begun = loop_now(t.loop);
    fall_short(false);
    assert_true(loop_now(t.loop) - begun >= 100000);
}

#define RIVALS 8
#define ROUNDS 50

/* A file that a process which was killed has left. */
static void leave_stale(const struct address *a)
{
    struct error e = {0};
    int fd = socket_listen(a, 2 * RIVALS, &e);
    assert_true(fd >= 0);
    close(fd);
}

/* Listens when the others do, writes how that went, and goes on listening until all have. */
static void rival(const struct address *a, int start, int told, int over)
{
    struct error e = {0};
    char byte;
    int fd;
    (void)!read(start, &byte, 1);
    fd = socket_listen(a, 2 * RIVALS, &e);
    byte = fd >= 0 ? 'y' : 'n';
    (void)!write(told, &byte, 1);
    (void)!read(over, &byte, 1);
    _exit(0);
}

static unsigned count_listeners(const struct address *a)
{
    int start[2], told[2], over[2];
    unsigned count = 0;
    bool in_progress;
    char byte;
    assert_int_equal(pipe(start) | pipe(told) | pipe(over), 0);
    for (int i = 0; i < RIVALS; i++)
        if (fork() == 0) {
            close(start[1]);
            close(over[1]);
            rival(a, start[0], told[1], over[0]);
        }
    close(start[1]);
    for (int i = 0; i < RIVALS; i++) {
        assert_int_equal(read(told[0], &byte, 1), 1);
        count += byte == 'y';
    }
    int fd = socket_connect(a, &in_progress);
    assert_true(fd >= 0); /* the one who was told so listens there */
    close(fd);
    close(over[1]);
    for (int i = 0; i < RIVALS; i++)
        assert_true(wait(NULL) > 0);
    close(start[0]), close(told[0]), close(told[1]), close(over[0]);
    return count;
}

/* Of those who find the file of a process that was killed at the same time, one has it. */
static void test_stale_file(void **state)
{
    char directory[] = "/tmp/spx-test-door-XXXXXX", path[64];
    struct address a;
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    assert_true(address_from_path(&a, path));
    for (int i = 0; i < ROUNDS; i++) {
        leave_stale(&a);
        assert_int_equal(count_listeners(&a), 1);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0); /* no lock is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_takes_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shortage_met, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shortage_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut_and_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut_file, set_up, tear_down),
        cmocka_unit_test(test_stale_file),
    };
    alarm(60);
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
