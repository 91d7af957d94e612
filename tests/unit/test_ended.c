/* An agent's memory of sessions that have ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/ended.h"
#include "base/clock.h"

#define KEPT_US (60 * CLOCK_US_PER_S)
#define NOW_US (1000 * CLOCK_US_PER_S)

static const uint8_t alice[KEY_BYTES] = {1}, bob[KEY_BYTES] = {2};

struct id {
    uint8_t bytes[SESSION_ID_BYTES];
};

static struct id id_of(unsigned n)
{
    struct id id = {{(uint8_t)n, (uint8_t)(n >> 8), 7}};
    return id;
}

static void remember(struct list *all, unsigned n, uint64_t now_us)
{
    char why[32];
    struct id id = id_of(n);
    snprintf(why, sizeof why, "reason %u", n);
    ended_remember(all, id.bytes, alice, n == 2 ? CODE_DENIED : CODE_ENDED, why, now_us);
}

static const char *why(struct list *all, unsigned n, const uint8_t user[KEY_BYTES], uint64_t now_us)
{
    struct id id = id_of(n);
    const struct wire_error *ended = ended_why(all, id.bytes, user, now_us);
    return ended ? ended->text : NULL;
}

static void test_whose(void **state)
{
    struct list all;
    (void)state;
    list_init(&all);
    assert_null(why(&all, 1, alice, NOW_US));
    remember(&all, 1, NOW_US);
    remember(&all, 2, NOW_US);
    assert_string_equal(why(&all, 1, alice, NOW_US), "reason 1");
    assert_string_equal(why(&all, 2, alice, NOW_US), "reason 2");
    assert_null(why(&all, 1, bob, NOW_US)); /* not the session of this user */
    assert_null(why(&all, 3, alice, NOW_US));
    assert_int_equal(ended_why(&all, id_of(1).bytes, alice, NOW_US)->code, CODE_ENDED);
    assert_int_equal(ended_why(&all, id_of(2).bytes, alice, NOW_US)->code, CODE_DENIED);
    ended_free(&all);
    assert_true(list_empty(&all));
}

static void test_for_how_long(void **state)
{
    struct list all;
    (void)state;
    list_init(&all);
    remember(&all, 1, NOW_US);
    remember(&all, 2, NOW_US + CLOCK_US_PER_S);
    assert_non_null(why(&all, 1, alice, NOW_US + KEPT_US - 1));
    assert_null(why(&all, 1, alice, NOW_US + KEPT_US));
    assert_non_null(why(&all, 2, alice, NOW_US + KEPT_US));
    assert_null(why(&all, 2, alice, NOW_US + KEPT_US + CLOCK_US_PER_S));
    assert_true(list_empty(&all));
}

/* For one more than 256 the oldest is forgotten. */
static void test_how_many(void **state)
{
    struct list all;
    (void)state;
    list_init(&all);
    for (unsigned n = 0; n < 256; n++)
        remember(&all, n, NOW_US + n);
    assert_non_null(why(&all, 0, alice, NOW_US + 256));
    remember(&all, 256, NOW_US + 256);
    assert_null(why(&all, 0, alice, NOW_US + 256));
    for (unsigned n = 1; n <= 256; n++)
        assert_non_null(why(&all, n, alice, NOW_US + 256));
    ended_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose),
        cmocka_unit_test(test_for_how_long),
        cmocka_unit_test(test_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
