/* Unit tests of modules/agent/budget.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/budget.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_double_as_they_may),
        cmocka_unit_test(test_what_is_left),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
