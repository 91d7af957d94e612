/* TZ strings. */
#include <string.h>

#include "policy/scan.h"
#include "policy/zone.h"

#define NAME_MIN 3
#define OFFSET_HOURS_MAX 24
#define RULE_HOURS_MAX 167
#define DEFAULT_TIME_S (2 * HOUR_S)

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* "CET", or "<+03>". */
static bool read_name(const char **at)
{
    bool quoted = scan_sign(at, '<');
    size_t len = strspn(*at, quoted ? LETTERS "0123456789+-" : LETTERS);
    *at += len;
    return len >= NAME_MIN && (!quoted || scan_sign(at, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **at, int32_t *out, unsigned hours_max)
{
    unsigned h, m = 0, s = 0;
    bool negative = scan_sign(at, '-');
    if (!negative)
        scan_sign(at, '+');
    if (!scan_number(at, &h, 1, 3, hours_max))
        return false;
    if (scan_sign(at, ':')) {
        if (!scan_number(at, &m, 1, 2, 59))
            return false;
        if (scan_sign(at, ':') && !scan_number(at, &s, 1, 2, 59))
            return false;
    }
    *out = (int32_t)(h * HOUR_S + m * MINUTE_S + s);
    if (*out > (int32_t)hours_max * HOUR_S)
        return false;
    *out = negative ? -*out : *out;
    return true;
}

/* POSIX counts west of UTC. */
static bool read_offset(const char **at, int32_t *out)
{
    if (!read_time(at, out, OFFSET_HOURS_MAX))
        return false;
    *out = -*out;
    return true;
}

static bool read_weekday(const char **at, struct zone_day *d)
{
    unsigned month, week, day;
    if (!scan_number(at, &month, 1, 2, 12) || !scan_sign(at, '.') ||
        !scan_number(at, &week, 1, 1, 5) || !scan_sign(at, '.') || !scan_number(at, &day, 1, 1, 6))
        return false;
    d->form = ZONE_DAY_WEEKDAY;
    d->month = (uint8_t)month;
    d->week = (uint8_t)week;
    d->day = (uint16_t)day;
    return month > 0 && week > 0;
}

static bool read_day(const char **at, struct zone_day *d)
{
    unsigned day;
    if (scan_sign(at, 'M'))
        return read_weekday(at, d);
    d->form = scan_sign(at, 'J') ? ZONE_DAY_JULIAN : ZONE_DAY_NUMBER;
    if (!scan_number(at, &day, 1, 3, 365))
        return false;
    d->day = (uint16_t)day;
    return d->form == ZONE_DAY_NUMBER || day > 0;
}

/* ",DAY" or ",DAY/TIME" */
static bool read_rule(const char **at, struct zone_day *d)
{
    d->time_s = DEFAULT_TIME_S;
    return scan_sign(at, ',') && read_day(at, d) &&
           (!scan_sign(at, '/') || read_time(at, &d->time_s, RULE_HOURS_MAX));
}

/* From the name of the summer time on. */
static const char *read_summer(const char **at, struct zone_rules *r)
{
    r->has_summer = true;
    r->summer_offset_s = r->offset_s + HOUR_S;
    if (!read_name(at))
        return "a name of summer time: at least 3 letters, or <+03>";
    if (**at != ',' && **at != '\0' && !read_offset(at, &r->summer_offset_s))
        return "an offset of summer time, as in CET-1CEST-2: HOURS[:MINUTES], at most 24";
    if (**at == '\0')
        return "when summer time begins and ends, as in CET-1CEST,M3.5.0,M10.5.0/3";
    if (!read_rule(at, &r->begins) || !read_rule(at, &r->ends))
        return "when summer time begins and ends: two of ,Mm.w.d ,Jn or ,n, with /HOURS after it";
    return NULL;
}

/* The expectation that the text does not meet; NULL: it is read. */
static const char *read_rules(const char **at, struct zone_rules *r)
{
    const char *expected;
    if (!read_name(at))
        return "a name: at least 3 letters, or <+03>";
    if (!read_offset(at, &r->offset_s))
        return "an offset west of UTC, as in CET-1: HOURS[:MINUTES], at most 24";
    if (**at == '\0')
        return NULL;
    expected = read_summer(at, r);
    if (expected)
        return expected;
    return **at == '\0' ? NULL : "the end";
}

bool zone_parse(struct zone *out, const char *text, struct error *e)
{
    const char *at = text, *expected;
    struct zone z = {.has_rules = true};
    expected = read_rules(&at, &z.rules);
    *out = (struct zone){0};
    if (expected)
        return error_set(e, FAILURE_USAGE, "'%s' is not a time zone: expected, at '%s', %s", text,
                         at, expected);
    z.first_offset_s = z.rules.offset_s;
    *out = z;
    return true;
}
