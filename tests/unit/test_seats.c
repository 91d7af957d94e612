/* The places for sessions: limits for a user and for the agent, and who goes for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/seats.h"

static struct seats s;
static struct seat seat[SESSIONS_PER_AGENT + 1];
static unsigned taken;

static const uint8_t *key_of(uint8_t user)
{
    static uint8_t key[KEY_BYTES];
    memset(key, user, sizeof key);
    return key;
}

static struct seat *take(uint8_t user)
{
    seats_take(&s, &seat[taken], NULL, key_of(user));
    return &seat[taken++];
}

static struct seat *take_waiting(uint8_t user, bool started, uint64_t since_us)
{
    struct seat *new = take(user);
    new->started = started;
    new->waiting_since_us = since_us;
    return new;
}

static int set_up(void **state)
{
    (void)state;
    seats_init(&s);
    taken = 0;
    return 0;
}

static void test_user_full(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SESSIONS_PER_USER; i++) {
        assert_true(seats_has_room(&s, key_of(1)));
        take(1)->started = true;
    }
    assert_false(seats_has_room(&s, key_of(1)));
    assert_null(seats_in_the_way(&s, key_of(1)));
    assert_true(seats_has_room(&s, key_of(2)));
    seats_leave(&s, &seat[3]);
    assert_true(seats_has_room(&s, key_of(1)));
}

/* Those that wait for their client do not count for the user: the oldest goes once the new one has
 * started. */
static void test_waiting_do_not_count(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SESSIONS_PER_USER; i++)
        take_waiting(1, true, 100 - i);
    assert_true(seats_has_room(&s, key_of(1)));
    assert_null(seats_in_the_way(&s, key_of(1)));
    assert_false(seats_too_many_started(&s, key_of(1)));
    take(1)->started = true;
    assert_true(seats_too_many_started(&s, key_of(1)));
    assert_ptr_equal(seats_longest_waiting(&s, key_of(1), true), &seat[SESSIONS_PER_USER - 1]);
    assert_null(seats_longest_waiting(&s, key_of(1), false));
    assert_null(seats_longest_waiting(&s, key_of(2), true));
}

/* A recorded message 1 makes sessions that do not start. They go first. */
static void test_unstarted_is_in_the_way(void **state)
{
    struct seat *unstarted;
    (void)state;
    unstarted = take_waiting(1, false, 50);
    assert_null(seats_in_the_way(&s, key_of(1)));
    for (unsigned i = 1; i < SESSIONS_PER_USER; i++)
        take(1);
    assert_ptr_equal(seats_in_the_way(&s, key_of(1)), unstarted);
    assert_null(seats_in_the_way(&s, key_of(2)));
}

static void test_too_many_unstarted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SESSIONS_NOT_STARTED_PER_USER; i++)
        take_waiting(1, false, 10 + i);
    assert_false(seats_too_many_unstarted(&s, key_of(1)));
    take_waiting(1, true, 1);
    take(1);
    take_waiting(2, false, 1);
    assert_false(seats_too_many_unstarted(&s, key_of(1)));
    take_waiting(1, false, 1);
    assert_true(seats_too_many_unstarted(&s, key_of(1)));
}

/* Of another user nobody is in the way. */
static void test_agent_full(void **state)
{
    struct seat *unstarted;
    (void)state;
    unstarted = take_waiting(1, false, 5);
    while (s.count < SESSIONS_PER_AGENT)
        take((uint8_t)(10 + s.count));
    assert_false(seats_has_room(&s, key_of(1)));
    assert_false(seats_has_room(&s, key_of(2)));
    assert_ptr_equal(seats_in_the_way(&s, key_of(1)), unstarted);
    assert_null(seats_in_the_way(&s, key_of(2)));
    seats_leave(&s, unstarted);
    assert_true(seats_has_room(&s, key_of(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_user_full, set_up),
        cmocka_unit_test_setup(test_waiting_do_not_count, set_up),
        cmocka_unit_test_setup(test_unstarted_is_in_the_way, set_up),
        cmocka_unit_test_setup(test_too_many_unstarted, set_up),
        cmocka_unit_test_setup(test_agent_full, set_up),
    };
    return cmocka_run_group_tests_name("seats", tests, NULL, NULL);
}
