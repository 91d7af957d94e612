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

static const uint8_t *key_of(uint8_t party)
{
    static uint8_t key[2][KEY_BYTES]; /* of a user and a relay, for one call */
    static unsigned turn;
    turn = !turn;
    memset(key[turn], party, KEY_BYTES);
    return key[turn];
}

/* A session that has not started, through a relay. */
static struct seat *take_through(uint8_t user, uint8_t relay)
{
    seats_take(&s, &seat[taken], NULL, key_of(user), key_of(relay));
    return &seat[taken++];
}

static struct seat *take(uint8_t user)
{
    struct seat *new = take_through(user, 100);
    seats_start(&s, new);
    return new;
}

static struct seat *take_waiting(uint8_t user, uint64_t since_us)
{
    struct seat *new = take(user);
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
        take(1);
    }
    assert_false(seats_has_room(&s, key_of(1)));
    assert_false(seats_too_many(&s, key_of(1)));
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
        take_waiting(1, 100 - i);
    assert_true(seats_has_room(&s, key_of(1)));
    assert_false(seats_too_many(&s, key_of(1)));
    take(1);
    assert_true(seats_too_many(&s, key_of(1)));
    assert_ptr_equal(seats_longest_waiting(&s, key_of(1)), &seat[SESSIONS_PER_USER - 1]);
    assert_null(seats_longest_waiting(&s, key_of(2)));
}

/* A recorded message 1 makes sessions that do not start: they take no place of the user's, nor of
 * the agent's, however many there are. */
static void test_unstarted_take_no_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SESSIONS_PER_AGENT; i++)
        take_through(1, (uint8_t)i);
    assert_int_equal(s.count, 0);
    assert_true(seats_has_room(&s, key_of(1)));
    assert_false(seats_too_many(&s, key_of(1)));
    assert_false(seats_are_empty(&s));
    for (unsigned circuit = 0; circuit < 3; circuit++) {
        seats_start(&s, &seat[0]);
        assert_int_equal(s.count, 1); /* a session has one START on each circuit */
    }
}

/* Of each relay's the oldest goes for one more, and of no other's. */
static void test_oldest_of_the_relay_goes(void **state)
{
    struct seat *other = take_through(1, 2);
    struct seat *oldest = take_through(1, 1);
    (void)state;
    for (unsigned i = 1; i < SESSIONS_NOT_STARTED_PER_RELAY; i++) {
        assert_null(seats_in_the_way(&s, key_of(1)));
        take_through((uint8_t)i, 1);
    }
    assert_ptr_equal(seats_in_the_way(&s, key_of(1)), oldest);
    assert_null(seats_in_the_way(&s, key_of(2)));
    seats_start(&s, oldest);
    assert_null(seats_in_the_way(&s, key_of(1)));
    seats_leave(&s, other);
    seats_leave(&s, oldest);
    assert_int_equal(s.count, 0);
}

static void test_agent_full(void **state)
{
    (void)state;
    while (s.count < SESSIONS_PER_AGENT)
        take((uint8_t)(10 + s.count));
    assert_false(seats_has_room(&s, key_of(1)));
    assert_false(seats_too_many(&s, key_of(1)));
    take(1);
    assert_true(seats_too_many(&s, key_of(1)));
    seats_leave(&s, &seat[0]);
    seats_leave(&s, &seat[1]);
    assert_true(seats_has_room(&s, key_of(1)));
}

/* One that asks for approval counts for nobody until it is granted. */
static void test_asking_take_no_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * SESSIONS_PER_USER; i++)
        seats_ask(&s, take_through(1, 100));
    assert_int_equal(s.count, 0);
    assert_true(list_empty(&s.unstarted));
    assert_true(seats_has_room(&s, key_of(1)));
    assert_null(seats_longest_waiting(&s, key_of(1)));
    seats_start(&s, &seat[3]);
    assert_int_equal(s.count, 1);
    assert_false(seat[3].asks);
    for (unsigned i = 0; i < 2 * SESSIONS_PER_USER; i++) {
        assert_false(seats_are_empty(&s));
        seats_leave(&s, &seat[i]);
    }
    assert_int_equal(s.count, 0);
    assert_true(seats_are_empty(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_user_full, set_up),
        cmocka_unit_test_setup(test_waiting_do_not_count, set_up),
        cmocka_unit_test_setup(test_unstarted_take_no_place, set_up),
        cmocka_unit_test_setup(test_oldest_of_the_relay_goes, set_up),
        cmocka_unit_test_setup(test_agent_full, set_up),
        cmocka_unit_test_setup(test_asking_take_no_place, set_up),
    };
    return cmocka_run_group_tests_name("seats", tests, NULL, NULL);
}
