/* The end of a session's streams in turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/turns.h"
#include "session/teardown.h"
#include "session_pair.h"

#define MANY 200
#define AT_ONCE 16   /* that end in teardown_begin */
#define IN_A_TURN 32 /* at most: TURN_WORK, of 8 KiB each */

static struct {
    struct loop *loop;
    struct turns turns;
    struct pair *pair;
    struct side *side; /* whose session ends */
    struct teardown teardown;
    struct deferred each_round;
    unsigned ended, most, resets, stop_at; /* most: streams of a round */
} t;

static unsigned count_resets(void)
{
    unsigned n = 0;
    list_each (link, &t.side->apps)
        n += container_of(link, struct app, link)->resets;
    return n;
}

static void on_round(struct deferred *d)
{
    unsigned more = count_resets() - t.resets;
    t.resets += more;
    t.most = more > t.most ? more : t.most;
    if (t.stop_at && t.resets >= t.stop_at)
        teardown_stop(&t.teardown);
    if (t.ended || more == 0)
        loop_stop(t.loop);
    else
        loop_defer(t.loop, d);
}

static void on_ended(struct teardown *teardown)
{
    assert_ptr_equal(teardown, &t.teardown);
    t.ended++;
}

/* An agent's session with so many streams, whose client has closed it. */
static void open_and_close(unsigned streams)
{
    struct session_settings settings = session_default_settings(false);
    settings.ends_in_portions = true;
    t.pair = pair_new(NULL, &settings);
    t.side = &t.pair->side[AGENT];
    pair_connect(t.pair);
    for (unsigned i = 0; i < streams; i++)
        app_open(&t.pair->side[CLIENT], i);
    pair_run(t.pair);
    session_close(t.pair->side[CLIENT].s, CODE_DONE, "over");
    pair_run(t.pair);
    assert_int_equal(count_resets(), 0);
    teardown_init(&t.teardown, &t.turns, t.side->s, on_ended);
}

/* Rounds of the loop until one in which nothing ends. */
static void run(void)
{
    t.resets = count_resets();
    t.each_round.run = on_round;
    loop_defer(t.loop, &t.each_round);
    loop_run(t.loop);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    assert_non_null(t.loop);
    turns_init(&t.turns, t.loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    teardown_stop(&t.teardown);
    turns_end(&t.turns);
    pair_free(t.pair);
    loop_free(t.loop);
    return 0;
}

/* Few end inside the call, and nobody is told later. */
static void test_few(void **state)
{
    (void)state;
    open_and_close(AT_ONCE);
    assert_true(teardown_begin(&t.teardown));
    assert_int_equal(count_resets(), AT_ONCE);
    run();
    assert_int_equal(t.ended, 0);
}

/* Of many so do as many; the others a few in each round, and once it is told that all have. */
static void test_many(void **state)
{
    (void)state;
    open_and_close(MANY);
    assert_false(teardown_begin(&t.teardown));
    assert_int_equal(count_resets(), AT_ONCE);
    run();
    assert_int_equal(count_resets(), MANY);
    assert_int_equal(t.ended, 1);
    assert_in_range(t.most, 1, IN_A_TURN);
}

/* Begun again, as when the circuit ends while its streams do, it goes on and tells once. */
static void test_begun_twice(void **state)
{
    (void)state;
    open_and_close(MANY);
    assert_false(teardown_begin(&t.teardown));
    assert_false(teardown_begin(&t.teardown));
    run();
    assert_int_equal(count_resets(), MANY);
    assert_int_equal(t.ended, 1);
    assert_true(teardown_begin(&t.teardown)); /* nothing is left */
}

static void test_stopped(void **state)
{
    (void)state;
    open_and_close(MANY);
    t.stop_at = AT_ONCE + 1;
    assert_false(teardown_begin(&t.teardown));
    run();
    assert_in_range(count_resets(), AT_ONCE + 1, AT_ONCE + IN_A_TURN);
    assert_int_equal(t.ended, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_few),
        TEST(test_many),
        TEST(test_begun_twice),
        TEST(test_stopped),
    };
    return cmocka_run_group_tests_name("teardown", tests, NULL, NULL);
}
