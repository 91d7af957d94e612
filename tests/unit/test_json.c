/* Unit tests of modules/base/json.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool read_line(struct json_object *o, const char *line)
{
    struct error e = {0};
    bool good = json_read(o, view_of_string(line), &e);
    assert_int_equal(e.failure, good ? FAILURE_NONE : FAILURE_OTHER);
    return good;
}

static void assert_text(const char *line, const char *expected)
{
    struct json_object o;
    char text[64];
    assert_true(read_line(&o, line));
    assert_true(json_get_text(&o, "t", text, sizeof text));
    assert_string_equal(text, expected);
}

static void test_reads(void **state)
{
    struct json_object o;
    char text[16] = "before";
    uint64_t number = 7;
    bool truth = true;
    (void)state;
    assert_true(read_line(&o, " { \"verb\" : \"end\",\"n\":18446744073709551615, \"z\":0,"
                              "\"yes\":true,\"no\":false }\t"));
    assert_int_equal(o.count, 5);
    assert_true(json_get_text(&o, "verb", text, sizeof text));
    assert_string_equal(text, "end");
    assert_true(json_get_number(&o, "n", &number));
    assert_true(number == UINT64_MAX);
    assert_true(json_get_number(&o, "z", &number) && number == 0);
    assert_true(json_get_truth(&o, "no", &truth) && !truth);
    assert_true(json_get_truth(&o, "yes", &truth) && truth);
    assert_non_null(json_find(&o, "n"));
    assert_null(json_find(&o, "ver"));
    assert_true(read_line(&o, "{}"));
    assert_int_equal(o.count, 0);
}

/* Of another kind, missing, or too long: nothing changes. */
static void test_gets_nothing(void **state)
{
    struct json_object o;
    char text[4] = "abc";
    uint64_t number = 7;
    bool truth = true;
    (void)state;
    assert_true(read_line(&o, "{\"t\":\"\\u00e9xy\",\"n\":1}"));
    assert_false(json_get_text(&o, "t", text, sizeof text)); /* four bytes and the end */
    assert_false(json_get_text(&o, "n", text, sizeof text));
    assert_false(json_get_text(&o, "other", text, sizeof text));
    assert_false(json_get_number(&o, "t", &number));
    assert_false(json_get_truth(&o, "n", &truth));
    assert_string_equal(text, "abc");
    assert_true(number == 7 && truth);
}

static void test_texts(void **state)
{
    (void)state;
    assert_text("{\"t\":\"\"}", "");
    assert_text("{\"t\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"}", "a\"\\/\b\f\n\r\tz");
    assert_text("{\"t\":\"\\u0041\\u00E9\\u20ac\\ud83d\\ude00\"}",
                "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_text("{\"t\":\"\xe2\x82\xac\"}", "\xe2\x82\xac");
}

static void test_refuses(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "}",
        "[]",
        "{}}",
        "{} x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":-1}",
        "{\"a\":1.5}",
        "{\"a\":1e3}",
        "{\"a\":18446744073709551616}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":[1]}",
        "{\"a\":truex}",
        "{\"a\":\"x}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ud83dx\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"\\u0061\":1}",
        "{\"a\":1,\"a\":2}",
    };
    struct json_object o;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (read_line(&o, lines[i]))
            fail_msg("taken: %s", lines[i]);
}

/* Every text cut short is refused, without a look beyond its end. */
static void test_cut_short(void **state)
{
    static const char line[] = "{\"t\":\"a\\ud83d\\ude00\xe2\x82\xac\",\"n\":12,\"b\":true}";
    struct json_object o;
    struct error e;
    (void)state;
    for (size_t len = 0; len < sizeof line - 1; len++) {
        char *cut = malloc(len + 1);
        memcpy(cut, line, len);
        e = (struct error){0};
        assert_false(json_read(&o, view_of(cut, len), &e));
        free(cut);
    }
}

static void test_most_members(void **state)
{
    char line[1024];
    struct json_object o;
    (void)state;
    for (int more = 0; more < 2; more++) {
        size_t len = (size_t)snprintf(line, sizeof line, "{");
        for (int i = 0; i < JSON_MEMBERS_MAX + more; i++)
            len +=
                (size_t)snprintf(line + len, sizeof line - len, "%s\"m%d\":%d", i ? "," : "", i, i);
        snprintf(line + len, sizeof line - len, "}");
        assert_int_equal(read_line(&o, line), !more);
    }
}

static void test_writes(void **state)
{
    static const char expected[] =
        "{\"t\":\"q\\\" b\\\\ \\u000a\\u007f ? \xc3\xa9\",\"n\":42,\"y\":true}\n";
    char out[128], text[64];
    struct json_line l;
    struct json_object o;
    size_t len;
    (void)state;
    json_begin(&l, out, sizeof out);
    json_put_text(&l, "t", "q\" b\\ \n\x7f \xff \xc3\xa9");
    json_put_number(&l, "n", 42);
    json_put_truth(&l, "y", true);
    len = json_end(&l);
    assert_int_equal(len, sizeof expected - 1);
    assert_memory_equal(out, expected, len);
    out[len - 1] = '\0';
    assert_true(read_line(&o, out));
    assert_true(json_get_text(&o, "t", text, sizeof text));
    assert_string_equal(text, "q\" b\\ \n\x7f ? \xc3\xa9");
    for (size_t size = 2; size < sizeof expected - 1; size++) {
        char *small = malloc(size);
        json_begin(&l, small, size);
        json_put_text(&l, "t", "q\" b\\ \n\x7f \xff \xc3\xa9");
        json_put_number(&l, "n", 42);
        json_put_truth(&l, "y", true);
        assert_int_equal(json_end(&l), 0);
        free(small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),     cmocka_unit_test(test_gets_nothing),
        cmocka_unit_test(test_texts),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_cut_short), cmocka_unit_test(test_most_members),
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
