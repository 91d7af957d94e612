/* Requests for approval: their codes, places, wrong codes and denials; and approvals for a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/approvals.h"
#include "agent/requests.h"
#include "base/clock.h"

#define S CLOCK_US_PER_S
#define MINUTE (60 * S)
#define DAY (86400 * S)
#define NOW (1000 * S)

static struct requests *r;
static struct asked_request all[REQUESTS_PER_AGENT + 1];
static unsigned begun;
static struct wire_error no;
static struct error e;

static const uint8_t *key_of(uint8_t user)
{
    static uint8_t key[KEY_BYTES];
    memset(key, user, sizeof key);
    return key;
}

/* Users from here on have a permit. */
#define GUEST 100

static bool may_ask(uint8_t user, uint64_t now)
{
    no = (struct wire_error){0};
    return requests_may_ask(r, key_of(user), user >= GUEST, now, &no);
}

static struct asked_request *ask(uint8_t user, uint64_t now)
{
    struct asked_request *q = &all[begun++ % (REQUESTS_PER_AGENT + 1)];
    assert_true(may_ask(user, now));
    assert_true(requests_begin(r, q, key_of(user), user >= GUEST, now, 900));
    return q;
}

static struct asked_request *by_code(const char *typed, uint64_t now)
{
    e = (struct error){0};
    return requests_by_code(r, typed, now, &e);
}

static int set_up(void **state)
{
    (void)state;
    r = requests_new();
    begun = 0;
    return r ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    requests_free(r);
    return 0;
}

/* ---- Codes. ---- */

static void code_is_read_as_it_is_typed(void **state)
{
    char code[SPOKEN_CODE_BYTES];
    (void)state;
    static const char *const good[] = {"7F3K", "7f3k", " 7f-3K ", "7 F 3 K"};
    static const char *const bad[] = {"", "7F3", "7F3KK", "7F30", "7F3N", "7F3\xc3", "7F.3K"};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(spoken_code_read(code, good[i]));
        assert_string_equal(code, "7F3K");
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(spoken_code_read(code, bad[i]));
}

static unsigned number_of(const char *code)
{
    static const char signs[] = "23456789FHJKLMQRTWXY";
    unsigned number = 0;
    for (unsigned i = 0; i < SPOKEN_CODE_SIGNS; i++)
        number = number * 20 + (unsigned)(strchr(signs, code[i]) - signs);
    return number;
}

/* None comes twice within a day, also where a day's end lies between; half of all can be had. */
static void no_code_comes_again_within_a_day(void **state)
{
    static struct spoken_codes c;
    static uint64_t when[SPOKEN_CODES]; /* of each code, the last time; 0: never */
    char code[SPOKEN_CODE_BYTES];
    unsigned i = 0, again = 0;
    (void)state;
    c = (struct spoken_codes){0};
    for (uint64_t now = NOW; now < NOW + 5 * DAY; now += 3 * S, i++) {
        assert_true(spoken_code_new(&c, code, now));
        assert_int_equal(strlen(code), SPOKEN_CODE_SIGNS);
        uint64_t *last = &when[number_of(code)];
        assert_true(*last == 0 || now - *last > DAY);
        again += *last != 0;
        *last = now;
    }
    assert_true(again > 0);
    for (i = 0; spoken_code_new(&c, code, NOW + 20 * DAY); i++) {
    }
    assert_int_equal(i, SPOKEN_CODES / 2);
    assert_true(spoken_code_new(&c, code, NOW + 21 * DAY + S) == false);
    assert_true(spoken_code_new(&c, code, NOW + 22 * DAY + 2 * S));
}

static void request_has_a_number_and_a_code(void **state)
{
    struct asked_request *first = ask(1, NOW), *second = ask(2, NOW + S);
    char typed[16];
    (void)state;
    assert_int_equal(first->number, 1);
    assert_int_equal(second->number, 2);
    assert_int_equal(first->until_us, NOW + 15 * MINUTE);
    assert_int_equal(requests_count(r), 2);
    assert_ptr_equal(requests_next(r, 0), first);
    assert_ptr_equal(requests_next(r, 1), second);
    assert_null(requests_next(r, 2));
    snprintf(typed, sizeof typed, "%.2s - %s", second->code, second->code + 2);
    assert_ptr_equal(by_code(typed, NOW), second);
    requests_end(r, second);
    assert_int_equal(second->number, 0);
    requests_end(r, second);
    assert_int_equal(requests_count(r), 1);
    assert_null(by_code(typed, NOW));
    assert_int_equal(e.failure, FAILURE_OTHER);
    assert_int_equal(ask(2, NOW)->number, 3);
}

/* A code that is none is wrong too; four are forgiven, and older ones forgotten. */
static void wrong_codes_pause_all(void **state)
{
    struct asked_request *q = ask(1, NOW);
    char code[SPOKEN_CODE_BYTES];
    (void)state;
    snprintf(code, sizeof code, "%s", q->code);
    for (unsigned i = 0; i < 4; i++)
        assert_null(by_code("0000", NOW));
    assert_ptr_equal(by_code(code, NOW), q);
    assert_null(by_code("x", NOW + MINUTE + 1)); /* the fifth, of which four are too old */
    for (unsigned i = 0; i < 3; i++)
        assert_null(by_code("x", NOW + MINUTE + 1));
    assert_ptr_equal(by_code(code, NOW + 2 * MINUTE), q);
    assert_null(by_code("x", NOW + 2 * MINUTE + 1));
    assert_non_null(strstr(e.text, "again in 1 min"));
    assert_null(by_code(code, NOW + 2 * MINUTE + 2));
    assert_non_null(strstr(e.text, "too many wrong codes"));
    assert_null(by_code(code, NOW + 3 * MINUTE));
    assert_ptr_equal(by_code(code, NOW + 3 * MINUTE + 1), q);
    for (unsigned i = 0; i < 4; i++)
        assert_null(by_code("x", NOW + 3 * MINUTE + 1));
    assert_ptr_equal(by_code(code, NOW + 3 * MINUTE + 1), q);
}

/* ---- Places. ---- */

static void places_of_a_user_and_of_all(void **state)
{
    (void)state;
    for (uint8_t user = 0; user < REQUESTS_PER_AGENT / REQUESTS_PER_USER; user++)
        for (unsigned i = 0; i < REQUESTS_PER_USER; i++)
            ask(user, NOW);
    assert_false(may_ask(99, NOW));
    assert_int_equal(no.code, CODE_FULL);
    requests_end(r, &all[0]);
    assert_true(may_ask(99, NOW));
    assert_false(may_ask(1, NOW));
    assert_int_equal(no.code, CODE_FULL);
    assert_true(may_ask(0, NOW));
}

/* However many users by permit ask, one of the file finds a place. */
static void places_of_users_by_permit(void **state)
{
    (void)state;
    for (uint8_t user = 0; user < REQUESTS_BY_PERMIT / REQUESTS_PER_USER; user++)
        for (unsigned i = 0; i < REQUESTS_PER_USER; i++)
            ask(GUEST + user, NOW);
    assert_false(may_ask(GUEST + 50, NOW));
    assert_int_equal(no.code, CODE_FULL);
    ask(1, NOW);
    requests_end(r, &all[0]);
    ask(GUEST + 50, NOW);
    assert_false(may_ask(GUEST + 51, NOW));
}

/* One's own that are away give way, and nobody else's. */
static void away_ones_give_way_to_their_key(void **state)
{
    (void)state;
    for (uint8_t user = 0; user < REQUESTS_PER_AGENT / REQUESTS_PER_USER; user++)
        for (unsigned i = 0; i < REQUESTS_PER_USER; i++)
            ask(user, NOW);
    assert_null(requests_away_of(r, key_of(2)));
    all[5].is_away = true;
    assert_int_equal(all[5].user_key[0], 2);
    assert_ptr_equal(requests_away_of(r, key_of(2)), &all[5]);
    assert_null(requests_away_of(r, key_of(3)));
    assert_true(may_ask(2, NOW));
    assert_false(may_ask(3, NOW));
    assert_false(may_ask(99, NOW));
}

static void asks_of_a_day(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REQUESTS_PER_DAY; i++)
        requests_end(r, ask(1, NOW + i * S));
    assert_false(may_ask(1, NOW + DAY - 1));
    assert_int_equal(no.code, CODE_FULL);
    assert_true(may_ask(2, NOW + DAY - 1));
    requests_end(r, ask(1, NOW + DAY));
    assert_true(may_ask(1, NOW + DAY));
}

/* ---- Denials. ---- */

static void denials_wait_longer_each_time(void **state)
{
    uint64_t now = NOW;
    (void)state;
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(requests_denied(r, key_of(1), now), 300 * i);
        assert_false(may_ask(1, now + i * 5 * MINUTE - S));
        assert_int_equal(no.code, CODE_DENIED);
        assert_string_equal(no.text, "the request before was denied; ask again in 1 s");
        assert_true(may_ask(2, now));
        now += i * 5 * MINUTE;
        assert_true(may_ask(1, now));
    }
    requests_approved(r, key_of(1));
    assert_int_equal(requests_denied(r, key_of(1), now), 300);
    assert_int_equal(requests_denied(r, key_of(1), now + DAY - 1), 600);
    assert_int_equal(requests_denied(r, key_of(1), now + 2 * DAY), 300);
}

/* There is a bound on what is remembered: who was not heard of for longest is forgotten, of those
 * who may ask first. */
static void denials_are_bounded(void **state)
{
    (void)state;
    for (uint8_t user = 100; user < 104; user++)
        requests_end(r, ask(user, NOW + 50));
    for (uint8_t user = 0; user < 64; user++)
        requests_denied(r, key_of(user), NOW + user);
    for (uint8_t user = 0; user < 64; user++)
        assert_false(may_ask(user, NOW + 100));
    requests_denied(r, key_of(64), NOW + 100);
    assert_true(may_ask(0, NOW + 100));
    assert_false(may_ask(1, NOW + 100));
    assert_false(may_ask(64, NOW + 100));
}

/* ---- Approvals. ---- */

static struct approvals a;

static void approval_covers_its_key_for_its_time(void **state)
{
    (void)state;
    a = (struct approvals){0};
    assert_null(approvals_of(&a, key_of(1), "alice", NOW));
    assert_true(approvals_add(&a, 7, key_of(1), "alice", "root", NOW, 60));
    assert_null(approvals_of(&a, key_of(2), "alice", NOW));
    assert_null(approvals_of(&a, key_of(1), "alice (support, permit 3f21a0b1)", NOW));
    assert_int_equal(approvals_of(&a, key_of(1), "alice", NOW + MINUTE - 1)->number, 7);
    assert_null(approvals_of(&a, key_of(1), "alice", NOW + MINUTE));
    assert_null(approvals_next(&a, 0, NOW + MINUTE));
    assert_string_equal(approvals_next(&a, 0, NOW)->by, "root");
}

static void approvals_have_an_end(void **state)
{
    (void)state;
    a = (struct approvals){0};
    approvals_add(&a, 8, key_of(2), "alice", "root", NOW, 60);
    approvals_add(&a, 7, key_of(1), "alice", "root", NOW, 60);
    approvals_add(&a, 9, key_of(1), "alice", "uid 5", NOW, 600); /* in place of 7 */
    assert_int_equal(approvals_next(&a, 0, NOW)->number, 8);
    assert_int_equal(approvals_next(&a, 8, NOW)->number, 9);
    assert_null(approvals_next(&a, 9, NOW));
    assert_false(approvals_end(&a, 7, NOW));
    assert_false(approvals_end(&a, 8, NOW + MINUTE)); /* over by itself */
    assert_true(approvals_end(&a, 9, NOW));
    assert_null(approvals_of(&a, key_of(1), "alice", NOW));
}

static void approvals_are_bounded(void **state)
{
    (void)state;
    a = (struct approvals){0};
    for (uint8_t user = 0; user < APPROVALS_MAX; user++)
        assert_true(approvals_add(&a, user + 1U, key_of(user), "alice", "root", NOW, 60 + user));
    assert_false(approvals_add(&a, 100, key_of(200), "alice", "root", NOW, 60));
    assert_true(approvals_add(&a, 101, key_of(3), "alice", "root", NOW, 60));
    assert_true(approvals_add(&a, 102, key_of(200), "alice", "root", NOW + MINUTE, 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_is_read_as_it_is_typed),
        cmocka_unit_test(no_code_comes_again_within_a_day),
        cmocka_unit_test_setup_teardown(request_has_a_number_and_a_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_codes_pause_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_of_a_user_and_of_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_of_users_by_permit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(away_ones_give_way_to_their_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_of_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(denials_wait_longer_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(denials_are_bounded, set_up, tear_down),
        cmocka_unit_test(approval_covers_its_key_for_its_time),
        cmocka_unit_test(approvals_have_an_end),
        cmocka_unit_test(approvals_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
