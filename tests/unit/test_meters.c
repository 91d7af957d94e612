/* How much users take of the audit: a burst, a rate, a day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/meters.h"
#include "base/clock.h"

static const uint8_t alice[KEY_BYTES] = {1}, bob[KEY_BYTES] = {2};
static struct list all;

static int set_up(void **state)
{
    (void)state;
    list_init(&all);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    meters_free(&all);
    assert_true(list_empty(&all));
    return 0;
}

static void each_user_has_one(void **state)
{
    struct meter *m = meter_of(&all, alice);
    (void)state;
    assert_non_null(m);
    assert_ptr_not_equal(m, meter_of(&all, bob));
    assert_ptr_equal(m, meter_of(&all, alice));
}

/* A burst waits for nothing; then the wait is as long as the rate says, and never above a second.
 */
static void too_fast_waits(void **state)
{
    struct meter *m = meter_of(&all, alice);
    uint64_t now = 1000 * CLOCK_US_PER_S;
    (void)state;
    for (unsigned i = 1; i < METER_BURST; i++)
        assert_int_equal(meter_count(m, now), 0);
    assert_in_range(meter_count(m, now), now + 1, now + 2);
    for (unsigned i = 1; i < METER_RATE_PER_S / 2; i++)
        meter_count(m, now);
    assert_in_range(meter_count(m, now), now + CLOCK_US_PER_S / 2, now + CLOCK_US_PER_S / 2 + 1000);
    for (unsigned i = 0; i < 10 * METER_RATE_PER_S; i++)
        meter_count(m, now);
    assert_int_equal(meter_count(m, now), now + CLOCK_US_PER_S);
    now += 12 * CLOCK_US_PER_S;
    assert_int_equal(meter_count(m, now), 0);
}

static void a_day_has_a_quota(void **state)
{
    struct meter *m = meter_of(&all, alice);
    const uint64_t day_us = 24 * 3600 * CLOCK_US_PER_S, now = 5 * CLOCK_US_PER_S;
    (void)state;
    assert_false(meter_is_spent(m, 3, now));
    for (int i = 0; i < 3; i++) {
        assert_false(meter_is_spent(m, 3, now));
        meter_count(m, now + (uint64_t)i);
    }
    assert_true(meter_is_spent(m, 3, now + 3));
    assert_false(meter_is_spent(m, 0, now + 3));
    assert_false(meter_is_spent(m, 4, now + 3));
    assert_int_equal(meter_day_ends_us(m), now + day_us);
    assert_true(meter_is_spent(m, 3, now + day_us - 1));
    assert_false(meter_is_spent(m, 3, now + day_us));
    m->told = true;
    meter_count(m, now + day_us);
    assert_false(m->told);
    assert_int_equal(m->entries, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_user_has_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_fast_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_day_has_a_quota, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
