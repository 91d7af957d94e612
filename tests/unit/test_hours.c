/* Unit tests of modules/policy/hours.h: spans of the week, at midnight, at the week's end and at
 * changes of the offset. */
#include "policy_times.h"

#include <stdio.h>
#include <string.h>

static void other_texts_are_refused(void **state)
{
    static const struct {
        const char *text, *at, *expected;
    } cases[] = {
        {"", "", "a time"},
        {"Mon-Fri", "", "a time"},
        {"Mon-Fre 08:00-18:00", "Fre 08:00-18:00", "a day"},
        {"Monday 08:00-18:00", "day 08:00-18:00", "a time"},
        {"8:00-18:00", "8:00-18:00", "a time"},
        {"24:00-06:00", "-06:00", "a time"},
        {"08:00", "", "-HH:MM"},
        {"08:00-24:01", "", "-HH:MM"},
        {"08:00-18:60", "60", "-HH:MM"},
        {"08:00 18:00", "18:00", "-HH:MM"},
        {"08:00-08:00", "", "an end"},
        {"22:00-00:00", "", "an end"},
        {"08:00-12:00 13:00-18:00", "13:00-18:00", "a comma"},
        {"08:00-12:00,", "", "a time"},
        {"08:00-12:00,,13:00-18:00", ",13:00-18:00", "a time"},
        {"08:00:00-12:00", ":00-12:00", "-HH:MM"},
    };
    char longest[HOURS_TEXT_BYTES + 20];
    struct hours h;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[200];
        e = (struct error){0};
        snprintf(expected, sizeof expected, "expected, at '%s', %s", cases[i].at,
                 cases[i].expected);
        assert_false(hours_parse(&h, cases[i].text, &e));
        assert_true(e.failure == FAILURE_USAGE && h.text[0] == '\0');
        if (!strstr(e.text, expected))
            fail_msg("%s\nnot: %s", e.text, expected);
    }
    e = (struct error){0};
    memset(longest, ' ', sizeof longest);
    snprintf(longest + HOURS_TEXT_BYTES - 11, 12, "08:00-18:00");
    assert_false(hours_parse(&h, longest, &e));
    assert_string_equal(e.text, "too long: expected at most 255 bytes");
    assert_true(hours_parse(&h, longest + 1, &(struct error){0}));
}

/* For how many minutes of the week they are open. */
static unsigned minutes_open(const struct hours *h)
{
    unsigned n = 0;
    for (unsigned i = 0; i < HOURS_MINUTES; i++)
        n += h->open[i / 8] >> i % 8 & 1;
    return n;
}

static void texts_are_read(void **state)
{
    static const struct {
        const char *text;
        unsigned minutes;
    } cases[] = {
        {"Mon-Fri 08:00-18:00, Sat 09:00-12:00", 5 * 600 + 180},
        {"mon-FRI 08:00-18:00,sAt 09:00-12:00", 5 * 600 + 180},
        {" Mon - Fri  08:00 - 18:00 ,\tSat 09:00-12:00 ", 5 * 600 + 180},
        {"08:00-18:00", 7 * 600},
        {"22:00-06:00", 7 * 480},
        {"00:00-24:00", HOURS_MINUTES},
        {"Sat-Mon 10:00-11:00", 3 * 60},
        {"Mon 08:00-12:00, Mon 10:00-14:00", 6 * 60},
        {"Sun 23:59-00:01", 2},
        {"Mon-Sun 12:00-11:59", HOURS_MINUTES - 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hours h = hours_of(cases[i].text);
        assert_int_equal(minutes_open(&h), cases[i].minutes);
        assert_string_equal(h.text, cases[i].text);
    }
}

static void the_same_hours_in_other_words(void **state)
{
    struct hours a = hours_of("Mon-Sun 08:00-12:00"), b = hours_of("08:00-10:00, 10:00-12:00");
    struct hours c = hours_of("08:00-12:01");
    (void)state;
    assert_true(hours_same(&a, &b));
    assert_false(hours_same(&a, &c));
}

/* From each second on, open or not until the next change. */
struct moment_case {
    const char *zone, *hours, *now;
    bool is_open;
    const char *next; /* NULL: never */
};

static void check(const struct moment_case *c)
{
    struct zone z = zone_of(c->zone);
    struct hours h = hours_of(c->hours);
    int64_t now = second_at(c->now), next = hours_next_change(&h, &z, now);
    char text[DATE_TEXT_BYTES];
    date_text(text, &z, next);
    if (hours_are_open(&h, &z, now) != c->is_open)
        fail_msg("%s at %s: not %s", c->hours, c->now, c->is_open ? "open" : "closed");
    if (next != (c->next ? second_at(c->next) : TIME_NEVER))
        fail_msg("%s at %s: next %s, expected %s", c->hours, c->now, text, c->next);
    if (!c->next)
        return;
    assert_true(hours_are_open(&h, &z, next) != c->is_open);
    assert_true(hours_are_open(&h, &z, next - 1) == c->is_open);
}

static void spans_of_the_week(void **state)
{
    static const struct moment_case cases[] = {
        /* 2026-11-30 is a Monday. */
        {"UTC0", "Mon-Fri 08:00-18:00", "2026-11-30T07:59:59Z", false, "2026-11-30T08:00:00Z"},
        {"UTC0", "Mon-Fri 08:00-18:00", "2026-11-30T08:00:00Z", true, "2026-11-30T18:00:00Z"},
        {"UTC0", "Mon-Fri 08:00-18:00", "2026-11-30T17:59:59Z", true, "2026-11-30T18:00:00Z"},
        {"UTC0", "Mon-Fri 08:00-18:00", "2026-11-30T18:00:00Z", false, "2026-12-01T08:00:00Z"},
        {"UTC0", "Mon-Fri 08:00-18:00", "2026-12-04T18:00:00Z", false, "2026-12-07T08:00:00Z"},
        {BERLIN, "Mon-Fri 08:00-18:00", "2026-11-30T06:59:59Z", false, "2026-11-30T07:00:00Z"},
        {SYDNEY, "Mon-Fri 08:00-18:00", "2026-11-29T21:00:00Z", true, "2026-11-30T07:00:00Z"},
        /* Over midnight, and from Sunday to Monday. */
        {BERLIN, "Sun 22:00-02:00", "2026-11-29T20:59:59Z", false, "2026-11-29T21:00:00Z"},
        {BERLIN, "Sun 22:00-02:00", "2026-11-29T23:30:00Z", true, "2026-11-30T01:00:00Z"},
        {BERLIN, "Sun 22:00-02:00", "2026-11-30T01:00:00Z", false, "2026-12-06T21:00:00Z"},
        {BERLIN, "Sun 22:00-24:00, Mon 00:00-02:00", "2026-11-29T21:00:00Z", true,
         "2026-11-30T01:00:00Z"},
        {BERLIN, "Fri 22:00-06:00", "2026-12-31T23:30:00Z", false, "2027-01-01T21:00:00Z"},
        /* Overlapping spans are one. */
        {"UTC0", "Mon 08:00-12:00, Mon 10:00-14:00", "2026-11-30T09:00:00Z", true,
         "2026-11-30T14:00:00Z"},
        /* Always, in a zone that changes. */
        {BERLIN, "00:00-24:00", "2026-11-30T09:00:00Z", true, NULL},
        /* A leap day. */
        {"UTC0", "Tue 00:00-24:00", "2028-02-29T12:00:00Z", true, "2028-03-01T00:00:00Z"},
        /* Offsets of seconds: a minute begins when clocks there show it. */
        {"AAA0:00:30", "08:00-18:00", "2026-11-30T08:00:29Z", false, "2026-11-30T08:00:30Z"},
        /* A clock that shows any time. */
        {BERLIN, "08:00-18:00", "0000-01-01T00:00:00Z", false, "0000-01-01T07:00:00Z"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i]);
}

/* Berlin: 2026-03-29 02:00 becomes 03:00 at 01:00 UTC, 2026-10-25 03:00 becomes 02:00 at 01:00 UTC.
 * Sydney: 2026-10-04 02:00 becomes 03:00 at 16:00 UTC, 2026-04-05 03:00 becomes 02:00. */
static void spans_at_changes(void **state)
{
    static const struct moment_case cases[] = {
        /* Begins in the skipped hour: at the change. */
        {BERLIN, "02:30-04:00", "2026-03-28T12:00:00Z", false, "2026-03-29T01:00:00Z"},
        {BERLIN, "02:30-04:00", "2026-03-29T01:00:00Z", true, "2026-03-29T02:00:00Z"},
        {SYDNEY, "02:30-04:00", "2026-10-03T12:00:00Z", false, "2026-10-03T16:00:00Z"},
        /* Ends in it: at the change. */
        {BERLIN, "01:00-02:30", "2026-03-29T00:00:00Z", true, "2026-03-29T01:00:00Z"},
        /* Lies in it: not that day. */
        {BERLIN, "02:10-02:50", "2026-03-29T00:59:59Z", false, "2026-03-30T00:10:00Z"},
        {BERLIN, "Sun 02:10-02:50", "2026-03-29T00:59:59Z", false, "2026-04-05T00:10:00Z"},
        /* Crosses it: an hour shorter. */
        {BERLIN, "Sat 22:00-06:00", "2026-03-28T21:00:00Z", true, "2026-03-29T04:00:00Z"},
        /* In the repeated hour: both times. */
        {BERLIN, "02:10-02:50", "2026-10-25T00:00:00Z", false, "2026-10-25T00:10:00Z"},
        {BERLIN, "02:10-02:50", "2026-10-25T00:10:00Z", true, "2026-10-25T00:50:00Z"},
        {BERLIN, "02:10-02:50", "2026-10-25T00:50:00Z", false, "2026-10-25T01:10:00Z"},
        {BERLIN, "02:10-02:50", "2026-10-25T01:10:00Z", true, "2026-10-25T01:50:00Z"},
        {BERLIN, "02:10-02:50", "2026-10-25T01:50:00Z", false, "2026-10-26T01:10:00Z"},
        /* Begins there: also from the change until that time it is closed. */
        {BERLIN, "02:30-04:00", "2026-10-25T00:30:00Z", true, "2026-10-25T01:00:00Z"},
        {BERLIN, "02:30-04:00", "2026-10-25T01:00:00Z", false, "2026-10-25T01:30:00Z"},
        /* Holds all of it, and crosses the change: an hour longer. */
        {BERLIN, "Sat 22:00-06:00", "2026-10-24T20:00:00Z", true, "2026-10-25T05:00:00Z"},
        {SYDNEY, "Sat 22:00-06:00", "2026-04-04T11:00:00Z", true, "2026-04-04T20:00:00Z"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(the_same_hours_in_other_words),
        cmocka_unit_test(spans_of_the_week),
        cmocka_unit_test(spans_at_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
