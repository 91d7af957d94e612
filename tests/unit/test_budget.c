/* Unit tests of modules/agent/budget.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/budget.h"
#include "session/session.h"
#include "wire/limits.h"

#define MIB (1ULL << 20)
#define ALL (256 * MIB)

/* Each doubles what it has as often as it may: the first ones have all that they want, the last one
 * has its floor, and together they stay within the budget. */
static void test_all_double_as_they_may(void **state)
{
    uint64_t has[SESSIONS_PER_AGENT] = {0}, taken = 0;
    (void)state;
    for (unsigned n = 1; n <= SESSIONS_PER_AGENT; n++) {
        uint64_t *mine = &has[n - 1];
        *mine = MIB;
        taken += MIB;
        assert_true(taken <= ALL);
        while (*mine < 32 * MIB && budget_share(ALL, MIB, taken, n) >= *mine) {
            taken += *mine;
            *mine *= 2;
        }
        assert_true(taken + (SESSIONS_PER_AGENT - n) * MIB <= ALL);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(has[i] == 32 * MIB);
    assert_true(has[SESSIONS_PER_AGENT - 1] == MIB);
}

static void test_what_is_left(void **state)
{
    (void)state;
    assert_true(budget_share(ALL, MIB, 0, 0) == (ALL - 64 * MIB) / 3);
    assert_true(budget_share(ALL, MIB, 100 * MIB, 4) == (ALL - 160 * MIB) / 3);
    assert_true(budget_share(ALL, MIB, ALL - 60 * MIB, 4) == 0);
    assert_true(budget_share(ALL, MIB, ALL, 4) == 0); /* never below */
}

static void on_wake(struct session *s)
{
    (void)s;
}

/* Sessions without streams hold their floors alone: the ninth may have as much as it can use, and
 * the last one its least; together the floors stay within the budget. */
static void test_idle_sessions_hold_little(void **state)
{
    static const struct session_events events = {.on_wake = on_wake};
    struct seat seat[SESSIONS_PER_AGENT];
    struct session *session[SESSIONS_PER_AGENT];
    static const uint8_t key[KEY_BYTES];
    struct seats s;
    (void)state;
    seats_init(&s);
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++) {
        struct session_settings settings = session_default_settings(false);
        settings.receive_limit = budget_receive_limit(&s);
        assert_true(settings.receive_limit >= (i < 9 ? 30 * MIB : MIB));
        session[i] = session_new(&settings, &events, NULL);
        assert_non_null(session[i]);
        seats_take(&s, &seat[i], session[i], key, key);
        seats_start(&s, &seat[i]);
        assert_true(budget_has_room(&s));
        assert_true(budget_windows_may_grow(&s, session[i], 64 << 10));
    }
    assert_false(budget_windows_may_grow(&s, session[0], 200 << 20));
    assert_true(budget_ring_may_grow(&s, session[0], (ALL - 64 * MIB) / 3));
    assert_false(budget_ring_may_grow(&s, session[0], (ALL - 64 * MIB) / 3 + 1));
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++)
        session_free(session[i]);
}

/* Sessions that were all told their limits before any of them has started are told the same; the
 * floors of the last ones do not fit. Once such a one has ended there is room for another, which is
 * told less, and for all that still may come. */
static void test_started_at_once(void **state)
{
    static const struct session_events events = {.on_wake = on_wake};
    struct seat seat[SESSIONS_PER_AGENT];
    struct session *session[SESSIONS_PER_AGENT];
    static const uint8_t key[KEY_BYTES];
    struct seats s;
    unsigned fitted = 0;
    (void)state;
    seats_init(&s);
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++) {
        struct session_settings settings = session_default_settings(false);
        settings.receive_limit = budget_receive_limit(&s);
        session[i] = session_new(&settings, &events, NULL);
        seats_take(&s, &seat[i], session[i], key, key);
    }
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++) {
        bool would = budget_has_room_for(&s, session[i]);
        seats_start(&s, &seat[i]);
        assert_int_equal(would, budget_has_room(&s));
        fitted += would;
        if (budget_has_room(&s))
            continue;
        struct session_settings settings = session_default_settings(false);
        seats_leave(&s, &seat[i]);
        session_free(session[i]);
        settings.receive_limit = budget_receive_limit(&s);
        session[i] = session_new(&settings, &events, NULL);
        seats_take(&s, &seat[i], session[i], key, key);
        seats_start(&s, &seat[i]);
        assert_true(budget_has_room(&s));
    }
    assert_int_equal(fitted, 27);
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++)
        session_free(session[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_double_as_they_may),
        cmocka_unit_test(test_what_is_left),
        cmocka_unit_test(test_idle_sessions_hold_little),
        cmocka_unit_test(test_started_at_once),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
