/* Pauses between tries: how they grow, and what a link that worked does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hop/backoff.h"

#define S CLOCK_US_PER_S

static void test_grows_to_the_cap(void **state)
{
    static const uint64_t seconds[] = {0, 1, 2, 4, 8, 16, 30, 30, 30};
    struct backoff b = {0};
    (void)state;
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
        assert_int_equal(backoff_most(&b, 0), seconds[i] * S);
}

/* Any pause up to the longest, and never none but for the first try. */
static void test_full_jitter(void **state)
{
    uint64_t least = UINT64_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct backoff b = {.tries = 4};
        uint64_t pause = backoff_next(&b, 0);
        assert_true(pause > 0 && pause <= 8 * S);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    assert_true(least < S && most > 7 * S);
    assert_int_equal(backoff_next(&(struct backoff){0}, 0), 0);
}

static void test_link_that_worked_for_a_while(void **state)
{
    struct backoff b = {.tries = 9};
    (void)state;
    assert_int_equal(backoff_most(&b, 5 * S - 1), 8 * S);
    assert_int_equal(backoff_most(&b, 5 * S), 0);
    assert_int_equal(backoff_most(&b, 0), S);
}

/* A link that is lost again and again, each time soon after it worked: a pause is a second at most,
 * and there always is one, so that a relay sees two tries a second in the mean and no more. */
static void test_losses_in_a_row(void **state)
{
    struct backoff b = {0};
    (void)state;
    assert_int_equal(backoff_most(&b, 60 * S), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(backoff_most(&b, S / 10), S);
}

/* Of tries some fail, as at a relay that is about to drown: the more, the longer the pauses. */
static void test_tries_that_fail_between(void **state)
{
    static const uint64_t settled[] = {1, 2, 8, 30};
    (void)state;
    for (size_t fails = 0; fails < sizeof settled / sizeof settled[0]; fails++) {
        struct backoff b = {0};
        uint64_t most = 0;
        for (int round = 0; round < 20; round++) {
            most = backoff_most(&b, 1);
            for (size_t i = 0; i < fails; i++)
                most = backoff_most(&b, 0);
        }
        assert_int_equal(most, settled[fails] * S);
    }
}

/* However long it failed before, links that work bring the pauses down again. */
static void test_comes_down_again(void **state)
{
    static const uint64_t seconds[] = {8, 2, 1, 1};
    struct backoff b = {.tries = 8};
    (void)state;
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++)
        assert_int_equal(backoff_most(&b, S), seconds[i] * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_the_cap),
        cmocka_unit_test(test_full_jitter),
        cmocka_unit_test(test_link_that_worked_for_a_while),
        cmocka_unit_test(test_losses_in_a_row),
        cmocka_unit_test(test_tries_that_fail_between),
        cmocka_unit_test(test_comes_down_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
