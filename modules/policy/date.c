/* RFC 3339 section 5.6, and seconds as text. */
#include "policy/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/scan.h"

static bool read_day(const char **at, int64_t *day)
{
    unsigned year, month, of_month;
    if (!scan_number(at, &year, 4, 4, 9999) || !scan_sign(at, '-') ||
        !scan_number(at, &month, 2, 2, 12) || !scan_sign(at, '-') ||
        !scan_number(at, &of_month, 2, 2, 31))
        return false;
    if (month == 0 || of_month == 0 || of_month > calendar_month_days(year, month))
        return false;
    *day = calendar_day((struct calendar_date){year, month, of_month});
    return true;
}

/* A leap second is the first one of the next minute. */
static bool read_time(const char **at, int32_t *out)
{
    unsigned h, m, s;
    if (!scan_number(at, &h, 2, 2, 23) || !scan_sign(at, ':') || !scan_number(at, &m, 2, 2, 59) ||
        !scan_sign(at, ':') || !scan_number(at, &s, 2, 2, 60))
        return false;
    *out = (int32_t)(h * HOUR_S + m * MINUTE_S + s);
    if (!scan_sign(at, '.'))
        return true;
    size_t fraction = strspn(*at, "0123456789");
    *at += fraction;
    return fraction > 0;
}

static bool read_offset(const char **at, int32_t *out)
{
    unsigned h, m;
    bool west = false;
    *out = 0;
    if (scan_sign(at, 'Z') || scan_sign(at, 'z'))
        return true;
    if (!scan_sign(at, '+') && !(west = scan_sign(at, '-')))
        return false;
    if (!scan_number(at, &h, 2, 2, 23) || !scan_sign(at, ':') || !scan_number(at, &m, 2, 2, 59))
        return false;
    *out = (int32_t)(h * HOUR_S + m * MINUTE_S);
    *out = west ? -*out : *out;
    return true;
}

bool date_parse(struct date *out, const char *text, struct error *e)
{
    const char *at = text;
    int64_t day;
    int32_t time_s = 0, offset_s = 0;
    *out = (struct date){0};
    if (!read_day(&at, &day))
        return error_set(e, FAILURE_USAGE, "'%s' is not a date such as 2026-12-31", text);
    out->is_day = *at == '\0';
    if (!out->is_day) {
        bool good = scan_sign(&at, 'T') || scan_sign(&at, 't') || scan_sign(&at, ' ');
        good = good && read_time(&at, &time_s) && read_offset(&at, &offset_s);
        if (!good || *at != '\0')
            return error_set(e, FAILURE_USAGE,
                             "'%s' is not a date and time such as 2026-12-31T18:00:00+01:00", text);
    }
    out->is_set = true;
    out->at_s = day * DAY_S + time_s - offset_s;
    return true;
}

int64_t date_begin(const struct date *d, const struct zone *z)
{
    return d->is_day ? zone_utc(z, d->at_s) : d->at_s;
}

int64_t date_end(const struct date *d, const struct zone *z)
{
    return d->is_day ? zone_utc(z, d->at_s + DAY_S) : d->at_s;
}

bool date_same(const struct date *a, const struct date *b)
{
    return a->is_set == b->is_set && a->is_day == b->is_day && a->at_s == b->at_s;
}

/* ":SS", or nothing. */
static void seconds_text(char out[8], unsigned seconds)
{
    out[0] = '\0';
    if (seconds)
        snprintf(out, 8, ":%02u", seconds % 60);
}

void date_text(char out[DATE_TEXT_BYTES], const struct zone *z, int64_t utc_s)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    char seconds[8], offset_seconds[8];
    int32_t offset_s = zone_offset(z, utc_s);
    int64_t local = calendar_clamp(utc_s) + offset_s, day = calendar_day_of_second(local);
    unsigned of_day = (unsigned)calendar_second_of_day(local), offset = (unsigned)abs(offset_s);
    struct calendar_date date = calendar_date_of(day);
    seconds_text(seconds, of_day % MINUTE_S);
    seconds_text(offset_seconds, offset % MINUTE_S);
    snprintf(out, DATE_TEXT_BYTES, "%s %04lld-%02u-%02u %02u:%02u%s %c%02u:%02u%s",
             days[calendar_weekday(day)], (long long)date.year, date.month, date.day,
             of_day / HOUR_S, of_day / MINUTE_S % 60, seconds, offset_s < 0 ? '-' : '+',
             offset / HOUR_S, offset / MINUTE_S % 60, offset_seconds);
}
