/* OFFERs that wait for their turn: how many, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/offers.h"
#include "base/bytes.h"

struct fixture {
    struct offers offers;
    struct offer_work work[OFFERS_WORKING];
    unsigned begun;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    offers_init(&f->offers);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    offers_clear(&f->offers);
    assert_true(list_empty(&f->offers.waiting));
    assert_int_equal(f->offers.waiting_count, 0);
    free(f);
    return 0;
}

/* The OFFER with a number of a user, a letter. */
static struct kept_offer *make(char user, uint8_t number)
{
    char name[2] = {user, '\0'};
    uint8_t message1[100];
    struct offer offer = {.user = view_of_string(name),
                          .user_address = view_of_string("address"),
                          .message1 = view_of(message1, sizeof message1)};
    memset(message1, number, sizeof message1);
    offer.ticket[0] = number;
    offer.user_key[0] = (uint8_t)user;
    struct kept_offer *w = kept_offer_new(&offer, number);
    assert_non_null(w);
    memset(message1, 0xff, sizeof message1); /* it has its own copy */
    return w;
}

/* Checks which one it is and frees it. */
static void is(struct kept_offer *w, char user, uint8_t number)
{
    assert_non_null(w);
    assert_int_equal(w->offer.user_key[0], user);
    assert_int_equal(w->offer.ticket[0], number);
    assert_int_equal(w->came_us, number);
    assert_int_equal(w->offer.user.len, 1);
    assert_int_equal(w->offer.user.data[0], user);
    assert_memory_equal(w->offer.user_address.data, "address", 7);
    assert_int_equal(w->offer.message1.len, 100);
    assert_int_equal(w->offer.message1.data[99], number);
    kept_offer_free(w);
}

static void wait_for(struct fixture *f, char user, uint8_t number)
{
    assert_null(offers_wait(&f->offers, make(user, number)));
}

/* Begins to work on the next one, which is this. */
static void next_is(struct fixture *f, char user, uint8_t number)
{
    struct kept_offer *w = offers_next(&f->offers);
    assert_non_null(w);
    offers_begin(&f->offers, &f->work[f->begun++ % OFFERS_WORKING], &w->offer);
    is(w, user, number);
}

static void test_a_few_at_a_time(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 0; i <= OFFERS_WORKING; i++)
        wait_for(f, (char)('a' + i), i);
    for (uint8_t i = 0; i < OFFERS_WORKING; i++)
        next_is(f, (char)('a' + i), i);
    assert_null(offers_next(&f->offers));
    offers_end(&f->offers, &f->work[0]);
    offers_end(&f->offers, &f->work[0]); /* once only */
    next_is(f, 'a' + OFFERS_WORKING, OFFERS_WORKING);
    assert_null(offers_next(&f->offers));
    assert_int_equal(f->offers.working_count, OFFERS_WORKING);
}

static void test_none_waits(void **state)
{
    struct fixture *f = *state;
    assert_null(offers_next(&f->offers));
    offers_end(&f->offers, &f->work[0]); /* has not begun */
    assert_int_equal(f->offers.working_count, 0);
}

/* A user's second does not go before another's first, however late that came. */
static void test_users_take_turns(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 0; i < 4; i++)
        wait_for(f, 'a', i);
    wait_for(f, 'b', 10);
    wait_for(f, 'b', 11);
    wait_for(f, 'c', 20);
    next_is(f, 'a', 0);
    next_is(f, 'b', 10);
    next_is(f, 'c', 20);
    next_is(f, 'a', 1);
    for (unsigned i = 0; i < OFFERS_WORKING; i++)
        offers_end(&f->offers, &f->work[i]);
    next_is(f, 'b', 11);
    next_is(f, 'a', 2);
    next_is(f, 'a', 3);
}

/* An OFFER that is worked on counts as well: the user's next is a second one. */
static void test_work_counts(void **state)
{
    struct fixture *f = *state;
    wait_for(f, 'a', 0);
    next_is(f, 'a', 0);
    wait_for(f, 'a', 1);
    wait_for(f, 'b', 10);
    next_is(f, 'b', 10);
    next_is(f, 'a', 1);
}

/* When all places are taken the user with the most gives one up, for a newcomer or by being it. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 0; i < OFFERS_QUEUED - 1; i++)
        wait_for(f, 'a', i);
    wait_for(f, 'b', 100);
    is(offers_wait(&f->offers, make('a', 50)), 'a', 50);
    is(offers_wait(&f->offers, make('c', 101)), 'a', OFFERS_QUEUED - 2);
    is(offers_wait(&f->offers, make('b', 102)), 'a', OFFERS_QUEUED - 3);
    assert_int_equal(f->offers.waiting_count, OFFERS_QUEUED);
    next_is(f, 'a', 0);
    next_is(f, 'b', 100);
    next_is(f, 'c', 101);
    next_is(f, 'a', 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_few_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
    };
    return cmocka_run_group_tests_name("offers", tests, NULL, NULL);
}
