/* A small file written by a thread; and a disk that does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store.h"
#include "base/clock.h"

static char directory[64];
static struct loop *loop;
static unsigned told;

/* The disk: it answers when nobody holds this. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

int fsync(int fd)
{
    (void)fd;
    pthread_mutex_lock(&disk);
    pthread_mutex_unlock(&disk);
    return 0;
}

static int enter(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/spx-test-store-XXXXXX");
    told = 0;
    loop = loop_new();
    return loop && mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    loop_free(loop);
    unlink("file");
    unlink("file.new");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static void on_written(void *arg, const struct error *e)
{
    (void)arg;
    assert_null(e);
    told++;
    loop_stop(loop);
}

static void assert_holds(const char *expected)
{
    char text[64] = "";
    int fd = open("file", O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    assert_string_equal(text, expected);
}

static void what_is_given_is_written(void **state)
{
    struct store *s = store_new(loop, "file", on_written, NULL);
    (void)state;
    store_write(s, strdup("one"));
    loop_run(loop);
    assert_holds("one");
    store_write(s, strdup("two"));
    store_write(s, strdup("three"));
    store_free(s);
    assert_holds("three");
    assert_int_equal(told, 1);
}

/* The end waits for a while and no longer; the thread goes on by itself, and harms nobody. */
static void a_disk_that_does_not_answer(void **state)
{
    struct store *s = store_new(loop, "file", on_written, NULL);
    uint64_t begun = clock_now_us();
    (void)state;
    pthread_mutex_lock(&disk);
    store_write(s, strdup("one"));
    store_write(s, strdup("two"));
    store_free(s);
    assert_in_range(clock_now_us() - begun, (STORE_END_S - 1) * CLOCK_US_PER_S,
                    (STORE_END_S + 20) * CLOCK_US_PER_S);
    assert_int_equal(told, 0);
    pthread_mutex_unlock(&disk);
    while (access("file", F_OK) != 0)
        sched_yield();
    assert_holds("one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_given_is_written, enter, leave),
        cmocka_unit_test_setup_teardown(a_disk_that_does_not_answer, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
