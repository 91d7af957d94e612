/* Unit tests of modules/base: bytes, error, text, clock, random, rate, list. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/random.h"
#include "base/rate.h"
#include "base/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* bytes */

static void integers_are_big_endian(void **state)
{
    uint8_t b[8] = {0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88}, out[8];
    (void)state;
    assert_int_equal(load_be16(b), 0x8182);
    assert_int_equal(load_be32(b), 0x81828384);
    assert_true(load_be64(b) == 0x8182838485868788);
    store_be64(out, 0x8182838485868788);
    assert_memory_equal(out, b, 8);
    store_be16(out, 0x0102);
    store_be32(out + 2, 0x03040506);
    assert_memory_equal(out, "\1\2\3\4\5\6\x87\x88", 8);
}

static void secrets_are_compared_and_wiped(void **state)
{
    uint8_t a[32], b[32];
    (void)state;
    memset(a, 7, sizeof a);
    memset(b, 7, sizeof b);
    assert_true(bytes_equal_secret(a, b, sizeof a));
    assert_true(bytes_equal_secret(a, b, 0));
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] ^= 0x80;
        assert_false(bytes_equal_secret(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    assert_false(bytes_are_zero(a, sizeof a));
    wipe(a, sizeof a);
    assert_true(bytes_are_zero(a, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        a[i] = 1;
        assert_false(bytes_are_zero(a, sizeof a));
        a[i] = 0;
    }
    assert_true(bytes_are_zero(a, 0));
}

static void views_compare(void **state)
{
    (void)state;
    assert_true(view_equal(view_of_string("abc"), view_of("abcd", 3)));
    assert_false(view_equal(view_of_string("abc"), view_of_string("abd")));
    assert_false(view_equal(view_of_string("abc"), view_of_string("ab")));
    assert_true(view_equal(view_of(NULL, 0), view_of_string("")));
}

/* error */

static void first_error_stays(void **state)
{
    struct error e = {0};
    (void)state;
    assert_false(error_set(&e, FAILURE_CONFIG, "first %d", 1));
    assert_false(error_set(&e, FAILURE_DENIED, "second"));
    assert_int_equal(e.failure, FAILURE_CONFIG);
    assert_string_equal(e.text, "first 1");
    e = (struct error){0};
    assert_int_equal(e.failure, FAILURE_NONE);
    assert_string_equal(e.text, "");
    error_set(&e, FAILURE_DENIED, "second");
    assert_string_equal(e.text, "second");
}

static void error_text_is_one_safe_line(void **state)
{
    struct error e = {0};
    char longer[600];
    (void)state;
    error_set(&e, 1, "a\nb\033[0m%s", "\xff");
    assert_string_equal(e.text, "a?b?[0m?");
    e = (struct error){0};
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    error_set(&e, 1, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

/* text */

static void base64_vectors(void **state)
{
    /* RFC 4648 section 10, and one group with the last digits of the alphabet. */
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i][0]);
        char text[16];
        uint8_t data[8];
        base64_encode(text, (const uint8_t *)cases[i][0], len);
        assert_string_equal(text, cases[i][1]);
        assert_true(base64_decode(data, len, view_of_string(text)));
        assert_memory_equal(data, cases[i][0], len);
        assert_false(base64_decode(data, len + 1, view_of_string(text)));
        if (len > 0)
            assert_false(base64_decode(data, len - 1, view_of_string(text)));
    }
}

static void base64_every_byte_value(void **state)
{
    uint8_t data[256], back[256];
    char text[4 * 86 + 1];
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        data[i] = (uint8_t)i;
    base64_encode(text, data, sizeof data);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_true(base64_decode(back, sizeof back, view_of_string(text)));
    assert_memory_equal(back, data, sizeof data);
}

static void base64_refuses_other_spellings(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        {"Zh==", 1}, /* unused bits */
        {"Zm9=", 2}, {"Zg=", 1},     {"Zg", 1},       {"Zg==\n", 1}, {" Zg==", 1}, {"Zg= =", 1},
        {"Z===", 1}, {"=g==", 1},    {"Zg==Zg==", 2}, {"Zm-v", 3}, /* the other alphabet */
        {"Zm_v", 3}, {"Zm9@", 3},    {"Zm9[", 3},     {"Zm9`", 3},   {"Zm9{", 3},  {"Zm9:", 3},
        {"Zm9.", 3}, {"Zm9\xc3", 3},
    };
    uint8_t out[8];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(base64_decode(out, bad[i].len, view_of_string(bad[i].text)));
    assert_false(base64_decode(out, 1, view_of("Zg\0=", 4)));
}

static void utf8_borders(void **state)
{
    static const char *const valid[] = {"",
                                        "a",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf"};
    static const char *const invalid[] = {"\x80",
                                          "\xbf",
                                          "\xc1\xbf",
                                          "\xc0\x80",
                                          "\xc2",
                                          "\xc2z",
                                          "\xdf\xc0",
                                          "\xe0\x9f\xbf",
                                          "\xed\xa0\x80",
                                          "\xed\xbf\xbf",
                                          "\xe2\x82",
                                          "\xe2z\x80",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xf0\x90\x80",
                                          "\xfe",
                                          "\xff",
                                          "\xf8\x88\x80\x80\x80"};
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++)
        assert_true(utf8_valid(view_of_string(valid[i])));
    for (size_t i = 0; i < COUNT(invalid); i++) {
        char between[16];
        assert_false(utf8_valid(view_of_string(invalid[i])));
        snprintf(between, sizeof between, "a%sb", invalid[i]);
        assert_false(utf8_valid(view_of_string(between)));
    }
    assert_true(utf8_valid(view_of("a\0b", 3)));
}

static void peers_text_is_cleaned(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", "\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80"},
        {"a\tb\r\n\033[2J\x7f", "a?b???[2J?"},
        /* the C1 controls and the character after them */
        {"\xc2\x80|\xc2\x9f|\xc2\xa0", "?|?|\xc2\xa0"},
        /* U+2028 U+2029; U+202A U+202E; U+2066 U+2069; U+200E U+200F; U+061C */
        {"\xe2\x80\xa8\xe2\x80\xa9", "??"},
        {"\xe2\x80\xaa\xe2\x80\xae", "??"},
        {"\xe2\x81\xa6\xe2\x81\xa9", "??"},
        {"\xe2\x80\x8e\xe2\x80\x8f", "??"},
        {"\xd8\x9c", "?"},
        /* U+200B U+200D U+2060 U+FEFF; U+00AD; U+3164 U+115F; U+FE0F; U+E0001 U+E0041 U+E007F */
        {"\xe2\x80\x8b\xe2\x80\x8d\xe2\x81\xa0\xef\xbb\xbf", "????"},
        {"a\xc2\xad"
         "b",
         "a?b"},
        {"\xe3\x85\xa4\xe1\x85\x9f", "??"},
        {"\xef\xb8\x8f", "?"},
        {"\xf3\xa0\x80\x81\xf3\xa0\x81\x81\xf3\xa0\x81\xbf", "???"},
        /* neighbours: U+200A U+2010, U+202F, U+2070, U+3163 U+3165, U+FDFF U+FE10, U+FFFC, and the
         * first after the table */
        {"\xe2\x80\x8a\xe2\x80\x90", "\xe2\x80\x8a\xe2\x80\x90"},
        {"\xe2\x80\xaf\xe2\x81\xb0", "\xe2\x80\xaf\xe2\x81\xb0"},
        {"\xe3\x85\xa3\xe3\x85\xa5", "\xe3\x85\xa3\xe3\x85\xa5"},
        {"\xef\xb7\xbf\xef\xb8\x90\xef\xbf\xbc", "\xef\xb7\xbf\xef\xb8\x90\xef\xbf\xbc"},
        {"\xf3\xa1\x80\x80", "\xf3\xa1\x80\x80"},
        {"\xff\xc3", "??"},
        {"\xe2\x82z", "??z"},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = text_clean(out, sizeof out, view_of_string(cases[i][0]));
        assert_string_equal(out, cases[i][1]);
        assert_int_equal(len, strlen(out));
        assert_int_equal(text_is_clean(view_of_string(cases[i][0])),
                         strcmp(cases[i][0], cases[i][1]) == 0);
    }
    text_clean(out, sizeof out, view_of("a\0b", 3));
    assert_string_equal(out, "a?b");
}

static void cleaned_text_is_cut_between_characters(void **state)
{
    char out[8] = "xxxxxxx";
    (void)state;
    assert_int_equal(text_clean(out, 5, view_of_string("abc\xc3\xa9")), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(text_clean(out, 6, view_of_string("abc\xc3\xa9")), 5);
    assert_int_equal(text_clean(out, 1, view_of_string("abc")), 0);
    assert_string_equal(out, "");
    assert_int_equal(text_clean(NULL, 0, view_of_string("abc")), 0);
}

static void byte_counts_are_readable(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {999, "999 B"},
        {1000, "1.0 KB"},
        {1500, "1.5 KB"},
        {999999, "999.9 KB"},
        {3200000, "3.2 MB"},
        {2000000000, "2.0 GB"},
        {UINT64_MAX, "18.4 EB"},
        {999999999999, "999.9 GB"},
        {1000000000000U, "1.0 TB"},
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_bytes(out, cases[i].bytes);
        assert_string_equal(out, cases[i].text);
    }
}

static void durations_are_readable(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "0 s"},
        {850, "0 s"},
        {484500, "0.5 s"},
        {999999, "1 s"},
        {3400000, "3.4 s"},
        {4000000, "4 s"},
        {9960000, "10 s"},
        {45400000, "45 s"},
        {59499999, "59 s"},
        {59500000, "1 min"},
        {125000000, "2 min 5 s"},
        {3599499999, "59 min 59 s"},
        {10920000000, "3 h 2 min"},
        {UINT64_MAX / 2, "2562047788 h"},
    };
    char out[24];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_duration(out, cases[i].us);
        assert_string_equal(out, cases[i].text);
    }
}

static void round_trips_are_in_milliseconds(void **state)
{
    char out[24];
    (void)state;
    text_round_trip(out, 94);
    assert_string_equal(out, "0.1 ms");
    text_round_trip(out, 4020);
    assert_string_equal(out, "4.0 ms");
    text_round_trip(out, 120400);
    assert_string_equal(out, "120 ms");
}

static void waits_say_when(void **state)
{
    char out[32];
    (void)state;
    text_wait(out, 0);
    assert_string_equal(out, "now");
    text_wait(out, 500000);
    assert_string_equal(out, "in 0.5 s");
}

static void numbers_are_digits(void **state)
{
    static const struct {
        const char *text;
        uint64_t low, high;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0, true, 0},
        {"22", 1, 65535, true, 22},
        {"0080", 1, 65535, true, 80},
        {"65535", 1, 65535, true, 65535},
        {"65536", 1, 65535, false, 0},
        {"0", 1, 65535, false, 0},
        {"18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, false, 0},
        {"99999999999999999999", 0, UINT64_MAX, false, 0},
        {"", 0, UINT64_MAX, false, 0},
        {"-1", 0, UINT64_MAX, false, 0},
        {"+1", 0, UINT64_MAX, false, 0},
        {" 1", 0, UINT64_MAX, false, 0},
        {"1 ", 0, UINT64_MAX, false, 0},
        {"1/", 0, UINT64_MAX, false, 0},
        {"1:", 0, UINT64_MAX, false, 0},
        {"0x1", 0, UINT64_MAX, false, 0},
        {"1\xb2", 0, UINT64_MAX, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t v = 7;
        bool good = text_number(&v, view_of_string(cases[i].text), cases[i].low, cases[i].high);
        if (good != cases[i].good || v != (good ? cases[i].value : 7))
            fail_msg("'%s': %d, %" PRIu64, cases[i].text, good, v);
    }
    uint64_t v;
    assert_true(text_number(&v, view_of("123", 2), 0, 99)); /* no more than the view */
    assert_int_equal(v, 12);
}

static void numbers_are_taken_with_what_ends_them(void **state)
{
    const char *text = "12 345\n6", *at = text;
    uint64_t v = 7;
    (void)state;
    assert_false(text_take_number(&at, '\n', &v, 0, 99));
    assert_false(text_take_number(&at, ' ', &v, 13, 99));
    assert_ptr_equal(at, text);
    assert_int_equal(v, 7);
    assert_true(text_take_number(&at, ' ', &v, 0, 99));
    assert_int_equal(v, 12);
    assert_true(text_take_number(&at, '\n', &v, 0, 999));
    assert_int_equal(v, 345);
    assert_true(text_take_number(&at, '\0', &v, 0, 9));
    assert_int_equal(v, 6);
    assert_string_equal(at, "");
    assert_false(text_take_number(&at, '\0', &v, 0, 9)); /* no digit */
}

static void system_texts_look_like_ours(void **state)
{
    (void)state;
    assert_string_equal(system_text(ECONNREFUSED), "connection refused");
}

static void patterns_match(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "\xc3\xa9", true},
        {"?", "ab", false},
        {"boston-*", "boston-vmax-01", true},
        {"boston-*", "boston-", true},
        {"boston-*", "bostn-1", false},
        {"boston-*", "xboston-1", false},
        {"*-01", "boston-vmax-01", true},
        {"*-01", "boston-vmax-02", false},
        {"*a*b", "xaxxabxb", true},
        {"*a*b*", "xbxa", false},
        {"a?c*e", "abcde", true},
        {"a**b", "ab", true},
        {"lab-1", "lab-10", false},
        {"[a]", "a", false},
        {"[a]", "[a]", true},
        {"ab", "a", false},
        {"*\xc3\xa9", "e\xc3\xa8\xc3\xa9", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(text_matches(cases[i].pattern, cases[i].text), cases[i].matches);
}

/* By the definition of each element, trying everything. */
static bool matches_by_trying(const char *pattern, const char *text)
{
    size_t n = 1;
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return matches_by_trying(pattern + 1, text) ||
               (*text != '\0' && matches_by_trying(pattern, text + 1));
    if (*text == '\0')
        return false;
    while (*pattern == '?' && ((uint8_t)text[n] & 0xc0) == 0x80)
        n++;
    return (*pattern == '?' ? ((uint8_t)*text & 0xc0) != 0x80 : *pattern == *text) &&
           matches_by_trying(pattern + 1, text + n);
}

/* The next of always the same numbers, below `end`. */
static unsigned next_number(unsigned end)
{
    static uint32_t state = 1;
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % end;
}

/* Up to `most` characters out of a few. */
static void make_text(char *out, const char *const *characters, unsigned count, unsigned most)
{
    out[0] = '\0';
    for (unsigned left = next_number(most + 1); left > 0; left--)
        strcat(out, characters[next_number(count)]);
}

static void patterns_match_as_their_elements_do(void **state)
{
    static const char *const characters[] = {"a", "b", "\xc3\xa9", "\xe2\x82\xac", "?", "*", "*"};
    char pattern[64], text[64];
    unsigned matched = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        make_text(pattern, characters, COUNT(characters), 9);
        make_text(text, characters, 4, 9);
        bool expected = matches_by_trying(pattern, text);
        if (text_matches(pattern, text) != expected)
            fail_msg("'%s' and '%s': expected %d", pattern, text, expected);
        matched += expected;
    }
    assert_true(matched > 20000);
}

/* Across the borders of the matcher's words, and its limit. */
static void long_patterns_match(void **state)
{
    char pattern[PATTERN_MAX_BYTES + 8], text[PATTERN_MAX_BYTES + 8];
    (void)state;
    for (size_t n = 1; n <= PATTERN_MAX_BYTES; n++) {
        snprintf(pattern, sizeof pattern, "*%0*d**", (int)n, 0);
        snprintf(text, sizeof text, "ab%0*d", (int)n, 0);
        assert_true(text_matches(pattern, text));
        text[n + 1] = '1';
        assert_false(text_matches(pattern, text));
    }
    snprintf(pattern, sizeof pattern, "*%0*d", PATTERN_MAX_BYTES + 1, 0);
    snprintf(text, sizeof text, "%0*d", PATTERN_MAX_BYTES + 1, 0);
    assert_false(text_matches(pattern, text));
}

/* A matcher that tries again after each '*' needs a million steps here for each pattern, a
 * recursive one longer than the age of the universe. */
static void pattern_time_is_bounded(void **state)
{
    char pattern[129] = "", text[2001];
    (void)state;
    for (int i = 0; i < 64; i++)
        strcat(pattern, "a*");
    pattern[127] = 'b';
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    uint64_t begun = clock_now_us();
    for (int i = 0; i < 1000; i++)
        assert_false(text_matches(pattern, text));
    assert_true(clock_now_us() - begun < 1000000);
}

/* clock, random, list */

static void clocks_run(void **state)
{
    char text[25];
    uint64_t first = clock_now_us();
    int64_t before = clock_wall_s();
    (void)state;
    assert_true(first > 0);
    assert_true(clock_now_us() >= first);
    clock_wall_text(text);
    assert_int_equal(strlen(text), 24);
    for (size_t i = 0; i < 24; i++) {
        char expected = "dddd-dd-ddTdd:dd:dd.dddZ"[i];
        if (expected == 'd')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], expected);
    }
    assert_true(before > 1700000000 && clock_wall_s() >= before);
}

static void random_bytes_fill_everything(void **state)
{
    static uint8_t a[4096];
    unsigned seen[256] = {0};
    (void)state;
    random_bytes(a, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        seen[a[i]]++;
    /* 16 of each are expected; 80 of one do not happen in the life of this program. */
    for (size_t i = 0; i < 256; i++)
        assert_true(seen[i] < 80);
    assert_false(bytes_are_zero(a + sizeof a - 32, 32));
    random_bytes(a, 0);
}

static void random_numbers_stay_below_the_bound(void **state)
{
    unsigned seen[5] = {0};
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = random_below(5);
        assert_true(v < 5);
        seen[v]++;
    }
    for (int i = 0; i < 5; i++)
        assert_true(seen[i] > 50);
    assert_true(random_below(1) == 0);
    assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

struct item {
    int number;
    struct list link;
};

static void lists_keep_order(void **state)
{
    struct list head, other;
    struct item items[4];
    int expected = 0;
    (void)state;
    list_init(&head);
    list_init(&other);
    assert_true(list_empty(&head));
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_init(&items[i].link);
        assert_false(list_linked(&items[i].link));
        list_append(&head, &items[i].link);
        assert_true(list_linked(&items[i].link));
    }
    list_each (it, &head) {
        struct item *item = container_of(it, struct item, link);
        assert_int_equal(item->number, expected++);
        if (item->number % 2 == 0)
            list_move(&other, it);
    }
    assert_int_equal(expected, 4);
    assert_ptr_equal(other.next, &items[0].link);
    assert_ptr_equal(other.prev, &items[2].link);
    assert_ptr_equal(head.next, &items[1].link);
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    list_remove(&items[3].link);
    assert_true(list_empty(&head));
}

/* rate */

static void rate_is_kept(void **state)
{
    const uint64_t s = CLOCK_US_PER_S;
    struct rate rate = {0};
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(rate_take(&rate, 50 * s, 1, 10));
    assert_false(rate_take(&rate, 50 * s, 1, 10));
    assert_false(rate_take(&rate, 51 * s - 1, 1, 10));
    assert_true(rate_take(&rate, 51 * s, 1, 10));
    assert_false(rate_take(&rate, 51 * s, 1, 10));
    for (int i = 0; i < 10; i++)
        assert_true(rate_take(&rate, 100 * s, 1, 10)); /* full again, not fuller */
    assert_false(rate_take(&rate, 100 * s, 1, 10));
    struct rate charged = {0};
    assert_true(rate_charge(&charged, 50 * s, 10, 100, 1000)); /* more than the burst, once */
    assert_int_equal(rate_charge_from_us(&charged, 10, 100), 140 * s + 1);
    assert_false(rate_charge(&charged, 140 * s, 10, 100, 0));
    assert_true(rate_charge(&charged, 140 * s + 1, 10, 100, 50));
    assert_false(rate_charge(&charged, 144 * s, 10, 100, 1));
    assert_true(rate_charge(&charged, 146 * s, 10, 100, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(secrets_are_compared_and_wiped),
        cmocka_unit_test(views_compare),
        cmocka_unit_test(first_error_stays),
        cmocka_unit_test(error_text_is_one_safe_line),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_every_byte_value),
        cmocka_unit_test(base64_refuses_other_spellings),
        cmocka_unit_test(utf8_borders),
        cmocka_unit_test(peers_text_is_cleaned),
        cmocka_unit_test(cleaned_text_is_cut_between_characters),
        cmocka_unit_test(byte_counts_are_readable),
        cmocka_unit_test(durations_are_readable),
        cmocka_unit_test(round_trips_are_in_milliseconds),
        cmocka_unit_test(waits_say_when),
        cmocka_unit_test(numbers_are_digits),
        cmocka_unit_test(numbers_are_taken_with_what_ends_them),
        cmocka_unit_test(system_texts_look_like_ours),
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(patterns_match_as_their_elements_do),
        cmocka_unit_test(long_patterns_match),
        cmocka_unit_test(pattern_time_is_bounded),
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(random_bytes_fill_everything),
        cmocka_unit_test(random_numbers_stay_below_the_bound),
        cmocka_unit_test(lists_keep_order),
        cmocka_unit_test(rate_is_kept),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
