/* Unit tests of modules/policy/calendar.h, zone.h and tzif.h: dates, TZ strings, files of the zone
 * database, and the offsets and changes that follow from them. */
#include "policy_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/tzif.h"

#define FILE_BYTES 8192

static int64_t second_of(int64_t year, unsigned month, unsigned day, unsigned hour, unsigned minute)
{
    return calendar_day((struct calendar_date){year, month, day}) * DAY_S + hour * HOUR_S +
           minute * MINUTE_S;
}

/* ---- Dates. ---- */

static void days_are_counted(void **state)
{
    static const struct {
        struct calendar_date date;
        int64_t day;
        unsigned weekday;
    } cases[] = {
        {{1970, 1, 1}, 0, 3},      {{1969, 12, 31}, -1, 2},    {{2000, 2, 29}, 11016, 1},
        {{2000, 3, 1}, 11017, 2},  {{2024, 2, 29}, 19782, 3},  {{2026, 11, 30}, 20787, 0},
        {{1900, 3, 1}, -25508, 3}, {{1, 1, 1}, -719162, 0},    {{9999, 12, 31}, 2932896, 4},
        {{0, 2, 29}, -719469, 1},  {{-1, 12, 31}, -719529, 4},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct calendar_date back = calendar_date_of(cases[i].day);
        assert_int_equal(calendar_day(cases[i].date), cases[i].day);
        assert_int_equal(back.year, cases[i].date.year);
        assert_int_equal(back.month, cases[i].date.month);
        assert_int_equal(back.day, cases[i].date.day);
        assert_int_equal(calendar_weekday(cases[i].day), cases[i].weekday);
    }
}

/* Each day follows the one before it, for 2,000 years around now. */
static void days_follow_each_other(void **state)
{
    struct calendar_date date = {1000, 1, 1};
    int64_t day = calendar_day(date);
    (void)state;
    while (date.year < 3000) {
        struct calendar_date next = calendar_date_of(++day);
        if (date.day < calendar_month_days(date.year, date.month))
            date.day++;
        else
            date = date.month < 12 ? (struct calendar_date){date.year, date.month + 1, 1}
                                   : (struct calendar_date){date.year + 1, 1, 1};
        assert_true(next.year == date.year && next.month == date.month && next.day == date.day);
        assert_int_equal(calendar_day(date), day);
    }
    assert_false(calendar_is_leap(1900) || calendar_is_leap(2023));
    assert_true(calendar_is_leap(2000) && calendar_is_leap(2024));
}

static void seconds_before_1970(void **state)
{
    (void)state;
    assert_int_equal(calendar_day_of_second(-1), -1);
    assert_int_equal(calendar_second_of_day(-1), DAY_S - 1);
    assert_int_equal(calendar_day_of_second(-DAY_S), -1);
    assert_int_equal(calendar_second_of_day(-DAY_S), 0);
    assert_int_equal(calendar_clamp(INT64_MAX), TIME_MAX_S);
    assert_int_equal(calendar_clamp(INT64_MIN), -TIME_MAX_S);
    assert_int_equal(calendar_clamp(7), 7);
}

/* ---- TZ strings. ---- */

static void strings_are_read(void **state)
{
    static const struct {
        const char *text;
        int32_t january, july; /* offsets of 2026 */
    } cases[] = {
        {"UTC0", 0, 0},
        {"CET-1", 3600, 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200},
        {"EST5EDT,M3.2.0,M11.1.0", -18000, -14400},
        {"EST+5EDT+4,M3.2.0/2:00:00,M11.1.0/02", -18000, -14400},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 39600, 36000},
        {"<+03>-3", 10800, 10800},
        {"<-0330>3:30:15", -12615, -12615},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 39600, 37800},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 0, 3600},
        {"AAA24", -86400, -86400},
        {"AAA-24:00", 86400, 86400},
        {"AAA0BBB,J32,J181", 0, 0},
        {"AAA0BBB,J32,J210", 0, 3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600},
        {"EST5EDT,0/0,J365/25", -14400, -14400},
        {"AAA0BBB,M2.1.1/-167,M11.5.6/167", 0, 3600},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct zone z = zone_of(cases[i].text);
        assert_int_equal(zone_offset(&z, second_of(2026, 1, 15, 12, 0)), cases[i].january);
        assert_int_equal(zone_offset(&z, second_of(2026, 7, 15, 12, 0)), cases[i].july);
    }
}

static void other_strings_are_refused(void **state)
{
    static const struct {
        const char *text, *at, *expected;
    } cases[] = {
        {"", "", "a name"},
        {"Europe/Berlin", "/Berlin", "an offset"},
        {"CE-1", "-1", "a name"},
        {"<+3>-3", ">-3", "a name"},
        {"<+03-3", "", "a name"},
        {"<+0_>-3", "_>-3", "a name"},
        {"CET", "", "an offset"},
        {"CET 1", " 1", "an offset"},
        {"CET-25", "25", "an offset"},
        {"CET-24:01", "", "an offset"},
        {"CET-1:60", "60", "an offset"},
        {"CET-1:", "", "an offset"},
        {"CET-1000", "1000", "an offset"},
        {"CET-1CEST", "", "when summer time"},
        {"CET-1CEST-2", "", "when summer time"},
        {"CET-1CEST-x", "x", "an offset of summer"},
        {"CET-1 ", " ", "a name of summer"},
        {"CET-1CEST,M3.5.0", "", "when summer time"},
        {"CET-1CEST,M3.5.0,", "", "when summer time"},
        {"CET-1CEST,M13.5.0,M10.5.0", "13.5.0,M10.5.0", "when summer time"},
        {"CET-1CEST,M0.5.0,M10.5.0", ",M10.5.0", "when summer time"},
        {"CET-1CEST,M3.6.0,M10.5.0", "6.0,M10.5.0", "when summer time"},
        {"CET-1CEST,M3.0.0,M10.5.0", ",M10.5.0", "when summer time"},
        {"CET-1CEST,M3.5.7,M10.5.0", "7,M10.5.0", "when summer time"},
        {"CET-1CEST,J0,J1", ",J1", "when summer time"},
        {"CET-1CEST,J366,J1", "366,J1", "when summer time"},
        {"CET-1CEST,366,1", "366,1", "when summer time"},
        {"CET-1CEST,1/168,2", "168,2", "when summer time"},
        {"CET-1CEST,1/-167:01,2", ",2", "when summer time"},
        {"CET-1CEST,1,2,3", ",3", "the end"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error e = {0};
        struct zone z;
        char begin[200];
        snprintf(begin, sizeof begin, "'%s' is not a time zone: expected, at '%s', %s",
                 cases[i].text, cases[i].at, cases[i].expected);
        assert_false(zone_parse(&z, cases[i].text, &e));
        assert_int_equal(e.failure, FAILURE_USAGE);
        if (strncmp(e.text, begin, strlen(begin)) != 0)
            fail_msg("%s\nnot: %s", e.text, begin);
        assert_true(zone_offset(&z, 0) == 0 && !z.has_rules);
    }
}

/* The seconds at which offsets change, one after the other. */
static void changes_are_found(void **state)
{
    struct zone berlin = zone_of(BERLIN);
    struct zone sydney = zone_of(SYDNEY);
    struct zone always = zone_of("EST5EDT,0/0,J365/25"), never = zone_of("CET-1");
    struct zone julian = zone_of("AAA0BBB,J60/0,J61/0"), number = zone_of("AAA0BBB,59/0,60/0");
    int64_t t = second_of(2024, 1, 1, 0, 0);
    (void)state;
    t = zone_next_change(&berlin, t);
    assert_int_equal(t, second_of(2024, 3, 31, 1, 0));
    assert_int_equal(zone_offset(&berlin, t - 1), 3600);
    assert_int_equal(zone_offset(&berlin, t), 7200);
    t = zone_next_change(&berlin, t);
    assert_int_equal(t, second_of(2024, 10, 27, 1, 0));
    assert_int_equal(zone_next_change(&berlin, t - 1), t);
    assert_int_equal(zone_next_change(&berlin, t), second_of(2025, 3, 30, 1, 0));
    t = zone_next_change(&sydney, second_of(2026, 1, 1, 0, 0));
    assert_int_equal(t, second_of(2026, 4, 4, 16, 0));
    assert_int_equal(zone_next_change(&sydney, t), second_of(2026, 10, 3, 16, 0));
    assert_int_equal(zone_next_change(&always, second_of(2026, 1, 1, 0, 0)), TIME_NEVER);
    assert_int_equal(zone_next_change(&never, 0), TIME_NEVER);
    /* 1 March is J60 in every year, but 59 only in those without a 29 February. */
    t = second_of(2024, 1, 1, 0, 0);
    assert_int_equal(zone_next_change(&julian, t), second_of(2024, 3, 1, 0, 0));
    assert_int_equal(zone_next_change(&number, t), second_of(2024, 2, 29, 0, 0));
    t = second_of(2025, 1, 1, 0, 0);
    assert_int_equal(zone_next_change(&julian, t), second_of(2025, 3, 1, 0, 0));
    assert_int_equal(zone_next_change(&number, t), second_of(2025, 3, 1, 0, 0));
}

static void local_times_become_seconds(void **state)
{
    struct zone berlin = zone_of(BERLIN);
    (void)state;
    assert_int_equal(zone_utc(&berlin, second_of(2026, 7, 1, 12, 0)), second_of(2026, 7, 1, 10, 0));
    assert_int_equal(zone_utc(&berlin, second_of(2026, 1, 1, 0, 0)),
                     second_of(2025, 12, 31, 23, 0));
    /* Skipped: the change. Shown twice: the first time. */
    assert_int_equal(zone_utc(&berlin, second_of(2026, 3, 29, 2, 30)),
                     second_of(2026, 3, 29, 1, 0));
    assert_int_equal(zone_utc(&berlin, second_of(2026, 3, 29, 3, 0)), second_of(2026, 3, 29, 1, 0));
    assert_int_equal(zone_utc(&berlin, second_of(2026, 10, 25, 2, 30)),
                     second_of(2026, 10, 25, 0, 30));
    assert_int_equal(zone_utc(&berlin, second_of(2026, 10, 25, 3, 0)),
                     second_of(2026, 10, 25, 2, 0));
    assert_true(zone_utc(&berlin, INT64_MAX) > TIME_MAX_S / 4);
    assert_true(zone_utc(&berlin, INT64_MIN) < -TIME_MAX_S / 4);
}

/* ---- Files. ---- */

static size_t read_hex(uint8_t *out, const char *text)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return len;
}

/* Each zone of the vectors: its changes, and no others, and the offset just before each. */
static void files_of_the_database(void **state)
{
    FILE *file = fopen("tests/vectors/zones.txt", "r");
    char word[8], value[128];
    uint8_t bytes[FILE_BYTES];
    size_t len = 0, zones = 0;
    struct zone z = {0};
    struct error e = {0};
    long long at = 0, offset = 0, before = 0;
    (void)state;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "# %*[^\n]"), 0);
    while (fscanf(file, "%7s %127s", word, value) == 2) {
        if (strcmp(word, "zone") == 0) {
            zones++;
            len = 0;
            continue;
        }
        if (strcmp(word, "data") == 0) {
            assert_true(len + sizeof value / 2 <= sizeof bytes);
            len += read_hex(bytes + len, value);
            continue;
        }
        at = atoll(value);
        assert_int_equal(fscanf(file, "%lld", &offset), 1);
        if (at == 0 && !tzif_read(&z, view_of(bytes, len), &e))
            fail_msg("%s", e.text);
        if (at > 0 && strcmp(word, "until") != 0)
            assert_int_equal(zone_next_change(&z, before), at);
        if (at > 0)
            assert_int_equal(zone_offset(&z, at - 1), zone_offset(&z, before));
        if (strcmp(word, "until") == 0) {
            assert_true(zone_next_change(&z, before) > at);
            zone_free(&z);
        } else {
            assert_int_equal(zone_offset(&z, at), offset);
        }
        before = at;
    }
    assert_true(feof(file) && zones == 7);
    fclose(file);
}

/* A file of our own: a header, a block, and what follows. */
#define HEADER(version, times, types, leaps)                                                       \
    'T', 'Z', 'i', 'f', version, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        0, 0, 0, 0, leaps, 0, 0, 0, times, 0, 0, 0, types, 0, 0, 0, 4
#define NAMES 0, 0, 0, 0
#define VERSION_1                                                                               \
    HEADER(0, 2, 2, 0), 0, 0, 0, 100, 0, 0, 0, 200, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, 16, 1, 0, \
        NAMES
#define EMPTY_BLOCK HEADER('2', 0, 1, 0), 0, 0, 0, 0, 0, 0, NAMES

static void version_1_ends_with_its_last_step(void **state)
{
    static const uint8_t data[] = {VERSION_1};
    struct zone z;
    struct error e = {0};
    (void)state;
    assert_true(tzif_read(&z, view_of(data, sizeof data), &e));
    assert_int_equal(zone_offset(&z, 99), 0);
    assert_int_equal(zone_offset(&z, 100), 3600);
    assert_int_equal(zone_offset(&z, 199), 3600);
    assert_int_equal(zone_offset(&z, 200), 0);
    assert_int_equal(zone_offset(&z, 1LL << 40), 0);
    assert_int_equal(zone_next_change(&z, 200), TIME_NEVER);
    assert_int_equal(zone_next_change(&z, -5), 100);
    zone_free(&z);
}

static bool reads(const uint8_t *data, size_t len)
{
    struct zone z;
    struct error e = {0};
    bool good = tzif_read(&z, view_of(data, len), &e);
    if (!good)
        assert_true(e.failure == FAILURE_CONFIG && z.steps == NULL && z.step_count == 0);
    zone_free(&z);
    return good;
}

/* The bytes behind the second block decide; an empty footer means that nothing is known. */
static void footers(void **state)
{
    static const uint8_t empty[] = {EMPTY_BLOCK, EMPTY_BLOCK, '\n', '\n'};
    static const uint8_t text[] = {EMPTY_BLOCK, EMPTY_BLOCK, '\n', 'A', 'A', 'A', '1', '\n'};
    static const uint8_t wrong[] = {EMPTY_BLOCK, EMPTY_BLOCK, '\n', 'A', 'A', 'A', '\n'};
    static const uint8_t open_end[] = {EMPTY_BLOCK, EMPTY_BLOCK, '\n', 'A', 'A', 'A', '1', '0'};
    static const uint8_t nul[] = {EMPTY_BLOCK, EMPTY_BLOCK, '\n', 'A', 'A', 'A', '1', 0, '\n'};
    static const uint8_t none[] = {EMPTY_BLOCK, EMPTY_BLOCK};
    struct zone z;
    struct error e = {0};
    (void)state;
    assert_true(reads(empty, sizeof empty));
    assert_true(tzif_read(&z, view_of(text, sizeof text), &e));
    assert_int_equal(zone_offset(&z, 0), -3600);
    zone_free(&z);
    assert_false(reads(wrong, sizeof wrong));
    assert_false(reads(open_end, sizeof open_end));
    assert_false(reads(nul, sizeof nul));
    assert_false(reads(none, sizeof none));
}

static void broken_files_are_refused(void **state)
{
    static const uint8_t good[] = {VERSION_1};
    static const uint8_t leap[] = {
        HEADER(0, 0, 1, 1), 0, 0, 0, 0, 0, 0, NAMES, 0, 0, 0, 1, 0, 0, 0, 1};
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 'X'},  {4, '1'},  {4, '5'}, {32, 1}, {35, 3}, {39, 1}, {39, 0},
        {36, 255}, {51, 100}, {51, 90}, {52, 2}, {54, 1}, {60, 2}, {43, 3},
    };
    uint8_t data[sizeof good + 1] = {0};
    (void)state;
    assert_true(reads(good, sizeof good));
    for (size_t len = 0; len < sizeof good; len++)
        assert_false(reads(good, len));
    memcpy(data, good, sizeof good);
    assert_false(reads(data, sizeof data));
    for (size_t i = 0; i < COUNT(changes); i++) {
        memcpy(data, good, sizeof good);
        data[changes[i].at] = changes[i].value;
        if (reads(data, sizeof good))
            fail_msg("byte %zu as %u is taken", changes[i].at, changes[i].value);
    }
    assert_false(reads(leap, sizeof leap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_counted),
        cmocka_unit_test(days_follow_each_other),
        cmocka_unit_test(seconds_before_1970),
        cmocka_unit_test(strings_are_read),
        cmocka_unit_test(other_strings_are_refused),
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(local_times_become_seconds),
        cmocka_unit_test(files_of_the_database),
        cmocka_unit_test(version_1_ends_with_its_last_step),
        cmocka_unit_test(footers),
        cmocka_unit_test(broken_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
