/* The calls for help that stand at an agent: added, ended, taken, and their state file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/standing.h"

static struct standing new_standing(void)
{
    struct standing s;
    memset(&s, 0xee, sizeof s);
    standing_init(&s);
    return s;
}

static enum standing_result add(struct standing *s, unsigned severity, const char *text,
                                int64_t now_s, uint32_t expected)
{
    struct standing_call lost;
    uint32_t number = 0;
    enum standing_result result = standing_add(s, (uint8_t)severity, text, now_s, &number, &lost);
    assert_int_equal(number, expected);
    return result;
}

/* "5:fan 3:disk" in their order. */
static void check(const struct standing *s, const char *expected)
{
    char shown[4096] = "";
    for (size_t i = 0; i < s->count; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s%u:%s%s%s", i ? " " : "",
                 s->all[i].severity, s->all[i].text, s->all[i].taken_by[0] ? "@" : "",
                 s->all[i].taken_by);
    assert_string_equal(shown, expected);
}

static void test_several_stand(void **state)
{
    struct standing s = new_standing();
    (void)state;
    assert_int_equal(add(&s, 3, "disk", 100, 1), STANDING_NEW);
    assert_int_equal(add(&s, 1, "minor", 101, 2), STANDING_NEW);
    assert_int_equal(add(&s, 5, "fan", 102, 3), STANDING_NEW);
    assert_int_equal(add(&s, 3, "disk 2", 103, 4), STANDING_NEW);
    check(&s, "5:fan 3:disk 3:disk 2 1:minor");
    assert_int_equal(add(&s, 3, "disk", 104, 1), STANDING_KNOWN);
    assert_int_equal(add(&s, 4, "disk", 104, 5), STANDING_NEW);
    check(&s, "5:fan 4:disk 3:disk 3:disk 2 1:minor");
    assert_int_equal(standing_end(&s, 9), 0);
    assert_int_equal(standing_end(&s, 4), 1);
    check(&s, "5:fan 4:disk 3:disk 1:minor");
    assert_int_equal(add(&s, 3, "disk 2", 105, 6), STANDING_NEW); /* no number comes again */
    assert_int_equal(standing_end(&s, 0), 5);
    assert_int_equal(standing_end(&s, 0), 0);
    check(&s, "");
    assert_int_equal(add(&s, 255, "x", 106, 7), STANDING_NEW);
}

/* A minor one never takes the place of a grave one, and a grave one always finds one. */
static void test_full(void **state)
{
    struct standing s = new_standing();
    struct standing_call lost;
    uint32_t number;
    char text[16];
    (void)state;
    for (unsigned i = 0; i < CALLS_MAX; i++) {
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(add(&s, i < 2 ? 2 : 3, text, i, i + 1), STANDING_NEW);
    }
    assert_int_equal(add(&s, 1, "minor", 50, 0), STANDING_FULL);
    assert_int_equal(add(&s, 2, "as grave", 50, 0), STANDING_FULL);
    assert_int_equal(add(&s, 3, "7", 50, 8), STANDING_KNOWN);
    assert_int_equal(s.count, CALLS_MAX);
    assert_int_equal(standing_add(&s, 9, "grave", 50, &number, &lost), STANDING_IN_PLACE);
    assert_int_equal(lost.severity, 2);
    assert_string_equal(lost.text, "1"); /* the newer of the two */
    assert_int_equal(s.count, CALLS_MAX);
    assert_string_equal(s.all[0].text, "grave");
    assert_int_equal(standing_add(&s, 9, "grave 2", 50, &number, &lost), STANDING_IN_PLACE);
    assert_string_equal(lost.text, "0");
    assert_int_equal(add(&s, 3, "as grave as the last", 50, 0), STANDING_FULL);
}

/* How many of those asked for are the user's now. */
static int take(struct standing *s, uint32_t number, const char *user, bool changes)
{
    bool asked[CALLS_MAX] = {false};
    int count = 0;
    assert_int_equal(standing_take(s, number, user, asked), changes);
    for (size_t i = 0; i < s->count; i++)
        count += asked[i];
    return count;
}

static void test_take(void **state)
{
    struct standing s = new_standing();
    (void)state;
    assert_int_equal(take(&s, 0, "alice", false), 0);
    add(&s, 3, "disk", 100, 1);
    add(&s, 2, "fan", 100, 2);
    assert_int_equal(take(&s, 7, "alice", false), 0);
    assert_int_equal(take(&s, 2, "alice", true), 1);
    check(&s, "3:disk 2:fan@alice");
    assert_int_equal(take(&s, 0, "bob", true), 1); /* only what nobody has */
    check(&s, "3:disk@bob 2:fan@alice");
    assert_int_equal(take(&s, 0, "carol", false), 0);
    assert_int_equal(take(&s, 0, "bob", false), 1); /* it is bob's already */
    assert_int_equal(take(&s, 2, "bob", true), 1);  /* asked for by its number it changes hands */
    check(&s, "3:disk@bob 2:fan@bob");
    assert_int_equal(add(&s, 2, "fan", 110, 2), STANDING_KNOWN);
    check(&s, "3:disk@bob 2:fan@bob");
}

static void test_tell(void **state)
{
    struct standing s = new_standing();
    struct told_calls told;
    (void)state;
    add(&s, 3, "disk", 100, 1);
    add(&s, 4, "fan", 300, 2);
    take(&s, 1, "bob", true);
    standing_tell(&s, &told, 250); /* the clock was put back */
    assert_int_equal(told.count, 2);
    assert_int_equal(told.all[0].number, 2);
    assert_int_equal(told.all[0].age_s, 0);
    assert_int_equal(told.all[0].taken_by.len, 0);
    assert_int_equal(told.all[1].age_s, 150);
    assert_int_equal(told.all[1].severity, 3);
    assert_true(view_equal(told.all[1].taken_by, view_of_string("bob")));
    assert_true(view_equal(told.all[1].text, view_of_string("disk")));
}

#define HEAD "spx calls 1\nnext 9\n"

static void test_file(void **state)
{
    struct standing s = new_standing(), again;
    struct error e = {0};
    char longest[TEXT_MAX_BYTES + 1];
    (void)state;
    memset(longest, 'x', TEXT_MAX_BYTES);
    longest[TEXT_MAX_BYTES] = '\0';
    add(&s, 3, "disk  14 - \xc3\xbc", 100, 1);
    add(&s, 255, longest, 1764448000, 2);
    add(&s, 1, "", 101, 3);
    take(&s, 1, "bob", true);
    char *text = standing_to_text(&s);
    assert_non_null(text);
    assert_non_null(strstr(text, "\ncall 1 3 100 bob disk  14 - \xc3\xbc\ncall 3 1 101 - \n"));
    assert_true(standing_from_text(&again, text, &e));
    char *text2 = standing_to_text(&again);
    assert_string_equal(text, text2);
    assert_int_equal(again.next, 4);
    free(text);
    free(text2);
    assert_true(standing_from_text(&again, HEAD, &e));
    assert_int_equal(again.count, 0);
    assert_int_equal(again.next, 9);
}

/* The fullest file is within the limit with which it is read. */
static void test_largest_file(void **state)
{
    struct standing s = new_standing();
    (void)state;
    for (size_t i = 0; i < CALLS_MAX; i++) {
        struct standing_call *call = &s.all[i];
        *call = (struct standing_call){UINT32_MAX, 255, INT64_MAX, "", ""};
        memset(call->taken_by, 'a', NAME_TEXT_BYTES - 1);
        memset(call->text, 'x', TEXT_MAX_BYTES);
    }
    s.count = CALLS_MAX;
    s.next = UINT32_MAX;
    char *text = standing_to_text(&s);
    assert_non_null(text);
    assert_true(strlen(text) <= STANDING_FILE_MAX_BYTES);
    free(text);
}

static void test_bad_files(void **state)
{
    static const char *const bad[] = {
        "",
        "spx calls 2\nnext 1\n",
        "spx calls 1",
        "spx calls 1\n",
        "spx calls 1\nnext \n",
        "spx calls 1\nnext 0\n",
        "spx calls 1\nnext 4294967296\n",
        HEAD "call 1 3 100 - disk",
        HEAD "call 0 3 100 - disk\n",
        HEAD "call 1 0 100 - disk\n",
        HEAD "call 1 256 100 - disk\n",
        HEAD "call 1 3 -1 - disk\n",
        HEAD "call 1 3 99999999999999999999 - disk\n",
        HEAD "call 1 3 100 B disk\n",
        HEAD "call 1 3 100  disk\n",
        HEAD "call 1 3 100 - di\x1bsk\n",
        HEAD "call 1 3 100 - disk\ncall 1 3 100 - fan\n",
        HEAD "call 1 3 100 - disk\ncall 2 3 100 - disk\n",
        HEAD "call 1 3 100 - disk\nrest",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct standing s;
        struct error e = {0};
        assert_false(standing_from_text(&s, bad[i], &e));
        assert_int_equal(e.failure, FAILURE_CONFIG);
        assert_int_equal(s.count, 0);
        assert_int_equal(s.next, 1);
    }
}

/* Whatever a file says is next, no two calls have one number: a relay would end the hop. */
static void test_next_stands_already(void **state)
{
    struct standing s;
    struct error e = {0};
    (void)state;
    assert_true(standing_from_text(
        &s, "spx calls 1\nnext 2\ncall 2 3 100 - disk\ncall 3 3 100 - fan\n", &e));
    add(&s, 4, "power", 101, 4);
    add(&s, 4, "battery", 101, 5);
    s.next = UINT32_MAX;
    add(&s, 4, "a node", 102, UINT32_MAX);
    add(&s, 4, "a link", 102, 1);
    add(&s, 4, "a port", 102, 6);
}

/* One more than can stand. */
static void test_file_with_too_many(void **state)
{
    char text[4096] = HEAD;
    struct standing s;
    struct error e = {0};
    (void)state;
    for (unsigned i = 1; i <= CALLS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "call %u 3 100 - %u\n", i, i);
    assert_true(standing_from_text(&s, text, &e));
    assert_int_equal(s.count, CALLS_MAX);
    strcat(text, "call 99 3 100 - 99\n");
    assert_false(standing_from_text(&s, text, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_stand),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_tell),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_largest_file),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_next_stands_already),
        cmocka_unit_test(test_file_with_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
