/* Emergency codes: made, taken once, kept as hashes; and those who try in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/emergency.h"
#include "base/clock.h"

#define NOW_S 1700000000
#define NOW_US (1000 * CLOCK_US_PER_S)

static struct emergency_list l;
static char codes[EMERGENCY_CODES_MAX][EMERGENCY_TEXT_BYTES];
static struct error e;

static int set_up(void **state)
{
    (void)state;
    emergency_make(&l, 5, "root (process 7)", NOW_S, codes);
    return 0;
}

static unsigned take(const char *typed)
{
    e = (struct error){0};
    return emergency_take(&l, typed, "alice", NOW_S + 9, &e);
}

static void assert_not_taken(const char *typed, const char *why)
{
    assert_int_equal(take(typed), 0);
    assert_int_equal(e.failure, FAILURE_DENIED);
    assert_non_null(strstr(e.text, why));
}

static void test_codes_differ(void **state)
{
    (void)state;
    assert_int_equal(emergency_left(&l), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(strlen(codes[i]), EMERGENCY_TEXT_BYTES - 1);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(codes[i], codes[j]);
    }
}

static void test_each_counts_once(void **state)
{
    (void)state;
    assert_int_equal(take(codes[3]), 4);
    assert_int_equal(emergency_left(&l), 4);
    assert_string_equal(l.all[3].user, "alice");
    assert_int_equal(l.all[3].used_s, NOW_S + 9);
    assert_not_taken(codes[3], "was used before");
    assert_int_equal(emergency_left(&l), 4);
    assert_int_equal(take(codes[0]), 1);
}

/* As it is typed. */
static void test_forms(void **state)
{
    char typed[64] = "";
    (void)state;
    for (size_t i = 0; codes[1][i] != '\0'; i++)
        snprintf(typed + strlen(typed), sizeof typed - strlen(typed),
                 codes[1][i] == '-' ? " " : "%c", tolower(codes[1][i]));
    assert_int_equal(take(typed), 2);
    assert_not_taken("", "has 16 signs");
    assert_not_taken("7F3K", "has 16 signs");
    assert_not_taken("0000-0000-0000-0000", "has 16 signs"); /* no sign of any */
    assert_not_taken("2222-2222-2222-2222", "none of this agent's");
    assert_not_taken("2222-2222-2222-2222-2", "has 16 signs");
}

static void test_a_new_list_replaces_the_old(void **state)
{
    char old[EMERGENCY_TEXT_BYTES];
    (void)state;
    memcpy(old, codes[0], sizeof old);
    emergency_make(&l, 2, "root", NOW_S, codes);
    assert_not_taken(old, "none of this agent's");
    assert_int_equal(take(codes[1]), 2);
    emergency_make(&l, 0, "root", NOW_S, codes);
    assert_int_equal(emergency_left(&l), 0);
    assert_not_taken(codes[0], "none of this agent's");
}

/* The file has no code in it, and gives the list back. */
static void test_file(void **state)
{
    struct emergency_list before;
    char *text, signs[EMERGENCY_SIGNS + 1];
    (void)state;
    take(codes[2]);
    text = emergency_to_text(&l);
    for (int i = 0; i < 5; i++) {
        assert_true(spoken_signs_read(signs, EMERGENCY_SIGNS, codes[i]));
        assert_null(strstr(text, codes[i]));
        assert_null(strstr(text, signs));
    }
    before = l;
    assert_true(emergency_from_text(&l, text, &e));
    assert_memory_equal(&before, &l, sizeof l);
    assert_not_taken(codes[2], "was used before");
    assert_int_equal(take(codes[4]), 5);
    free(text);
}

static void assert_no_list(const char *text)
{
    e = (struct error){0};
    assert_false(emergency_from_text(&l, text, &e));
    assert_int_not_equal(e.failure, FAILURE_NONE);
    assert_int_equal(l.count, 0);
    assert_int_equal(l.made_s, 0);
}

#define HEAD "\"made_s\":1,\"by\":\"root\",\"salt\":\"00112233445566778899aabbccddeeff\"}\n"
#define CODE                                                               \
    "{\"hash\":\"00112233445566778899aabbccddeeff00112233445566778899aabb" \
    "ccddeeff\",\"used_s\":0,\"user\":\"\"}\n"

static void test_files_that_are_none(void **state)
{
    char many[EMERGENCY_FILE_MAX_BYTES] = "{\"version\":1," HEAD;
    (void)state;
    assert_true(emergency_from_text(&l, "{\"version\":1," HEAD CODE, &e));
    assert_int_equal(emergency_left(&l), 1);
    assert_no_list("");
    assert_no_list("nonsense");
    assert_no_list("{\"version\":2," HEAD CODE);
    assert_no_list(CODE);
    assert_no_list("{\"version\":1," HEAD "\n");
    assert_no_list("{\"version\":1," HEAD "{\"hash\":\"00\",\"used_s\":0,\"user\":\"\"}\n");
    assert_no_list("{\"version\":1," HEAD "{\"used_s\":0,\"user\":\"\"}\n");
    for (int i = 0; i <= EMERGENCY_CODES_MAX; i++)
        strcat(many, CODE);
    assert_no_list(many);
}

static const uint8_t *key_of(uint8_t user)
{
    static uint8_t key[KEY_BYTES];
    memset(key, user, sizeof key);
    return key;
}

static struct emergency_tries t;

static bool may_try(uint8_t user, uint64_t now_us)
{
    e = (struct error){0};
    return emergency_may_try(&t, key_of(user), now_us, &e);
}

/* Three wrong ones, and then a quarter of an hour, of that key alone. */
static void test_tries(void **state)
{
    const uint64_t pause_us = EMERGENCY_PAUSE_S * CLOCK_US_PER_S;
    (void)state;
    t = (struct emergency_tries){0};
    for (int i = 0; i < EMERGENCY_TRIES; i++) {
        assert_true(may_try(1, NOW_US));
        emergency_tried(&t, key_of(1), NOW_US);
    }
    assert_false(may_try(1, NOW_US));
    assert_string_equal(e.text, "too many wrong emergency codes: try again in 15 min");
    assert_true(may_try(2, NOW_US));
    assert_false(may_try(1, NOW_US + pause_us - 1));
    assert_true(may_try(1, NOW_US + pause_us));
    emergency_tried(&t, key_of(1), NOW_US + pause_us);
    assert_true(may_try(1, NOW_US + pause_us));
}

/* However many try, one who has just tried too often is not forgotten for them. */
static void test_many_who_try(void **state)
{
    (void)state;
    t = (struct emergency_tries){0};
    for (uint8_t user = 1; user < EMERGENCY_TRIERS; user++)
        emergency_tried(&t, key_of(user), NOW_US + user);
    for (int i = 0; i < EMERGENCY_TRIES; i++)
        emergency_tried(&t, key_of(200), NOW_US + 100);
    for (uint8_t user = 100; user < 140; user++)
        emergency_tried(&t, key_of(user), NOW_US + 200);
    assert_false(may_try(200, NOW_US + 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_codes_differ, set_up),
        cmocka_unit_test_setup(test_each_counts_once, set_up),
        cmocka_unit_test_setup(test_forms, set_up),
        cmocka_unit_test_setup(test_a_new_list_replaces_the_old, set_up),
        cmocka_unit_test_setup(test_file, set_up),
        cmocka_unit_test_setup(test_files_that_are_none, set_up),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_many_who_try),
    };
    return cmocka_run_group_tests_name("emergency", tests, NULL, NULL);
}
