/* Unit tests of modules/policy/date.h: dates of RFC 3339, the days of a zone, seconds as text. */
#include "policy_times.h"

#include <string.h>

static void dates_are_read(void **state)
{
    static const struct {
        const char *text;
        bool is_day;
        int64_t at_s;
    } cases[] = {
        {"1970-01-01", true, 0},
        {"2024-02-29", true, 1709164800},
        {"2026-12-31", true, 1798675200},
        {"1970-01-01T00:00:00Z", false, 0},
        {"1970-01-01t00:00:00z", false, 0},
        {"1970-01-01 00:00:00.999Z", false, 0},
        {"2026-12-31T18:00:00+01:00", false, 1798736400},
        {"2026-12-31T12:00:00-05:30", false, 1798738200},
        {"2016-12-31T23:59:60Z", false, 1483228800},
        {"0000-01-01", true, -62167219200},
        {"9999-12-31T23:59:59Z", false, 253402300799},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct date d = date_of(cases[i].text);
        assert_true(d.is_set && d.is_day == cases[i].is_day);
        assert_int_equal(d.at_s, cases[i].at_s);
    }
}

static void others_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-13-01",
        "2026-00-01",
        "2026-02-30",
        "2026-02-00",
        "1900-02-29",
        "26-12-31",
        "2026-1-1",
        "2026-12-31 ",
        "2026-12-31T",
        "31.12.2026",
        "2026-12-31T18:00",
        "2026-12-31T18:00:00",
        "2026-12-31T18:00:00 Z",
        "2026-12-31T24:00:00Z",
        "2026-12-31T18:60:00Z",
        "2026-12-31T18:00:61Z",
        "2026-12-31T18:00:00.Z",
        "2026-12-31T18:00:00+1:00",
        "2026-12-31T18:00:00+24:00",
        "2026-12-31T18:00:00+01:00 ",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error e = {0};
        struct date d;
        if (date_parse(&d, bad[i], &e))
            fail_msg("'%s' is taken", bad[i]);
        assert_true(e.failure == FAILURE_USAGE && !d.is_set);
        assert_non_null(strstr(e.text, "such as 2026-12-31"));
    }
}

/* A day begins and ends by clocks in the zone. Sao Paulo skipped the midnight of 2018-11-04, and
 * Apia all of 2011-12-30. */
static void days_of_a_zone(void **state)
{
    static struct zone_step at_midnight = {1541300400, -7200}, at_noon = {1325239200, 50400};
    struct zone berlin = zone_of(BERLIN), utc = {0};
    struct zone sao_paulo = {.first_offset_s = -10800, .steps = &at_midnight, .step_count = 1};
    struct zone apia = {.first_offset_s = -36000, .steps = &at_noon, .step_count = 1};
    struct date summer = date_of("2026-07-01"), change = date_of("2026-03-29");
    struct date brazil = date_of("2018-11-04"), skipped = date_of("2011-12-30");
    struct date exact = date_of("2026-07-01T00:00:00Z");
    (void)state;
    assert_int_equal(date_begin(&summer, &utc), second_at("2026-07-01T00:00:00Z"));
    assert_int_equal(date_begin(&summer, &berlin), second_at("2026-06-30T22:00:00Z"));
    assert_int_equal(date_end(&summer, &berlin), second_at("2026-07-01T22:00:00Z"));
    assert_int_equal(date_end(&change, &berlin) - date_begin(&change, &berlin), 23 * HOUR_S);
    assert_int_equal(date_begin(&brazil, &sao_paulo), second_at("2018-11-04T03:00:00Z"));
    assert_int_equal(date_begin(&skipped, &apia), second_at("2011-12-30T10:00:00Z"));
    assert_int_equal(date_end(&skipped, &apia), second_at("2011-12-30T10:00:00Z"));
    assert_int_equal(date_begin(&exact, &berlin), exact.at_s);
    assert_int_equal(date_end(&exact, &berlin), exact.at_s);
}

static void dates_are_compared(void **state)
{
    struct date day = date_of("2026-07-01"), second = date_of("2026-07-01T00:00:00Z");
    struct date same = date_of("2026-07-01T02:00:00+02:00"), none = {0};
    (void)state;
    assert_true(date_same(&second, &same) && date_same(&none, &none));
    assert_false(date_same(&day, &second) || date_same(&day, &none));
}

static void seconds_as_text(void **state)
{
    static const struct {
        const char *zone, *at, *text;
    } cases[] = {
        {BERLIN, "2026-11-30T07:00:00Z", "Mon 2026-11-30 08:00 +01:00"},
        {BERLIN, "2026-07-01T22:00:00Z", "Thu 2026-07-02 00:00 +02:00"},
        {"UTC0", "2026-11-30T07:00:05Z", "Mon 2026-11-30 07:00:05 +00:00"},
        {"<-0330>3:30", "2026-03-01T00:00:00Z", "Sat 2026-02-28 20:30 -03:30"},
        {"LMT-0:53:28", "1890-01-01T00:00:00Z", "Wed 1890-01-01 00:53:28 +00:53:28"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct zone z = zone_of(cases[i].zone);
        char text[DATE_TEXT_BYTES];
        date_text(text, &z, second_at(cases[i].at));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read),  cmocka_unit_test(others_are_refused),
        cmocka_unit_test(days_of_a_zone),  cmocka_unit_test(dates_are_compared),
        cmocka_unit_test(seconds_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
