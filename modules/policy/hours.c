/* Hours as a set of the minutes of a week, so that spans may overlap and cross midnight. */
#include "policy/hours.h"

#include <stdio.h>
#include <string.h>

#include "policy/scan.h"

#define DAY_MINUTES (24 * 60)
#define SEARCH_S (60 * DAY_S) /* changes of the offset may hide a weekly span a few times */

static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* One span: of these days, from a minute of the day to another, which may be the next day's. */
struct week_span {
    unsigned first_day, last_day; /* the last may be before the first: over the week's end */
    unsigned begins, ends;
};

/* ---- Reading. ---- */

static bool read_days(const char **at, struct week_span *w)
{
    w->first_day = 0;
    w->last_day = 6;
    if (!scan_word(at, &w->first_day, days, 7))
        return true;
    w->last_day = w->first_day;
    scan_space(at);
    if (!scan_sign(at, '-'))
        return true;
    scan_space(at);
    return scan_word(at, &w->last_day, days, 7);
}

static bool read_minute(const char **at, unsigned *out)
{
    unsigned h, m;
    scan_space(at);
    if (!scan_number(at, &h, 2, 2, 24) || !scan_sign(at, ':') || !scan_number(at, &m, 2, 2, 59))
        return false;
    *out = h * 60 + m;
    return *out <= DAY_MINUTES;
}

/* The expectation that the text does not meet; NULL: it is read. */
static const char *read_span(const char **at, struct week_span *w)
{
    scan_space(at);
    if (!read_days(at, w))
        return "a day, Mon to Sun";
    if (!read_minute(at, &w->begins) || w->begins == DAY_MINUTES)
        return "a time, 00:00 to 23:59";
    scan_space(at);
    if (!scan_sign(at, '-') || !read_minute(at, &w->ends))
        return "-HH:MM, up to 24:00";
    if (w->ends == w->begins || w->ends == 0)
        return "an end that is not the begin, such as 24:00 for the end of the day";
    scan_space(at);
    return NULL;
}

static void open_span(struct hours *h, const struct week_span *w)
{
    unsigned minutes = (w->ends > w->begins ? w->ends : w->ends + DAY_MINUTES) - w->begins;
    unsigned count = (w->last_day + 7 - w->first_day) % 7 + 1;
    for (unsigned day = w->first_day; count > 0; day++, count--)
        for (unsigned i = 0; i < minutes; i++) {
            unsigned minute = (day * DAY_MINUTES + w->begins + i) % HOURS_MINUTES;
            h->open[minute / 8] |= (uint8_t)(1U << minute % 8);
        }
}

bool hours_parse(struct hours *out, const char *text, struct error *e)
{
    const char *at = text, *expected;
    struct week_span w;
    *out = (struct hours){0};
    if (strlen(text) >= sizeof out->text)
        return error_set(e, FAILURE_USAGE, "too long: expected at most %d bytes",
                         HOURS_TEXT_BYTES - 1);
    do {
        expected = read_span(&at, &w);
        if (!expected)
            open_span(out, &w);
    } while (!expected && scan_sign(&at, ','));
    if (!expected && *at != '\0')
        expected = "a comma before the next";
    if (expected) {
        *out = (struct hours){0};
        return error_set(e, FAILURE_USAGE,
                         "'%s' are not hours such as Mon-Fri 08:00-18:00, Sat 09:00-12:00: "
                         "expected, at '%s', %s",
                         text, at, expected);
    }
    snprintf(out->text, sizeof out->text, "%s", text);
    return true;
}

/* ---- Asking. ---- */

static bool is_open(const struct hours *h, unsigned minute)
{
    return h->open[minute / 8] >> minute % 8 & 1;
}

/* The minute of the week that clocks with this offset show. */
static unsigned minute_of_week(int64_t utc_s, int32_t offset_s)
{
    int64_t local = utc_s + offset_s;
    unsigned day = calendar_weekday(calendar_day_of_second(local));
    return day * DAY_MINUTES + (unsigned)calendar_second_of_day(local) / MINUTE_S;
}

bool hours_are_open(const struct hours *h, const struct zone *z, int64_t utc_s)
{
    utc_s = calendar_clamp(utc_s);
    return is_open(h, minute_of_week(utc_s, zone_offset(z, utc_s)));
}

/* The same if the offset stays: TIME_NEVER if it is always the same. */
static int64_t next_with_offset(const struct hours *h, int64_t utc_s, int32_t offset_s)
{
    unsigned now = minute_of_week(utc_s, offset_s);
    int64_t minute_s = utc_s - calendar_second_of_day(utc_s + offset_s) % MINUTE_S;
    for (unsigned i = 1; i < HOURS_MINUTES; i++)
        if (is_open(h, (now + i) % HOURS_MINUTES) != is_open(h, now))
            return minute_s + (int64_t)i * MINUTE_S;
    return TIME_NEVER;
}

int64_t hours_next_change(const struct hours *h, const struct zone *z, int64_t utc_s)
{
    int64_t from = calendar_clamp(utc_s), limit = from + (int64_t)SEARCH_S;
    bool now = hours_are_open(h, z, from);
    while (from < limit) {
        int64_t offset_ends = zone_next_change(z, from);
        int64_t next = next_with_offset(h, from, zone_offset(z, from));
        if (next == TIME_NEVER)
            return TIME_NEVER;
        if (next < offset_ends)
            return next;
        from = offset_ends;
        if (hours_are_open(h, z, from) != now)
            return from;
    }
    return TIME_NEVER;
}

bool hours_same(const struct hours *a, const struct hours *b)
{
    return memcmp(a->open, b->open, sizeof a->open) == 0;
}
