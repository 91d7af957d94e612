/* Offsets of a zone at any second: by its steps, and after these by the rules for each year. */
#include "policy/zone.h"

#include <stdlib.h>

#define SUNDAY 6 /* as calendar_weekday has it; POSIX: 0 */

/* A change in a year around the one asked for. */
struct zone_event {
    int64_t at_s;
    int32_t offset_s;
};

/* ---- Rules. ---- */

/* Mm.w.d */
static int64_t weekday_of_month(int64_t year, const struct zone_day *d)
{
    int64_t first = calendar_day((struct calendar_date){year, d->month, 1});
    unsigned wanted = (d->day + SUNDAY) % 7;
    unsigned day = (wanted + 7 - calendar_weekday(first)) % 7 + 7 * (d->week - 1U);
    while (day >= calendar_month_days(year, d->month))
        day -= 7;
    return first + day;
}

/* The rule's second of a year, by clocks with this offset. */
static int64_t second_of_year(int64_t year, const struct zone_day *d, int32_t offset_s)
{
    int64_t day = calendar_day((struct calendar_date){year, 1, 1});
    if (d->form == ZONE_DAY_WEEKDAY)
        day = weekday_of_month(year, d);
    else if (d->form == ZONE_DAY_NUMBER)
        day += d->day;
    else
        day += d->day - 1 + (d->day >= 60 && calendar_is_leap(year));
    return day * DAY_S + d->time_s - offset_s;
}

/* The changes near a second, more than a year to either side, by year. Of two at one second the
 * later one here holds. */
#define YEARS_BEFORE 2
#define YEARS_AFTER 2
#define EVENTS (2 * (YEARS_BEFORE + 1 + YEARS_AFTER))

static void find_events(struct zone_event out[EVENTS], const struct zone_rules *r, int64_t utc_s)
{
    int64_t year = calendar_date_of(calendar_day_of_second(utc_s + r->offset_s)).year;
    year -= YEARS_BEFORE;
    for (size_t i = 0; i < EVENTS / 2; i++, year++) {
        out[2 * i] =
            (struct zone_event){second_of_year(year, &r->begins, r->offset_s), r->summer_offset_s};
        out[2 * i + 1] =
            (struct zone_event){second_of_year(year, &r->ends, r->summer_offset_s), r->offset_s};
    }
}

static int32_t rules_offset(const struct zone_rules *r, int64_t utc_s)
{
    struct zone_event events[EVENTS], last = {-TIME_NEVER, r->offset_s};
    if (!r->has_summer)
        return r->offset_s;
    find_events(events, r, utc_s);
    for (int i = 0; i < EVENTS; i++)
        if (events[i].at_s <= utc_s && events[i].at_s >= last.at_s)
            last = events[i];
    return last.offset_s;
}

static int64_t rules_next_change(const struct zone_rules *r, int64_t utc_s)
{
    struct zone_event events[EVENTS];
    int32_t now = rules_offset(r, utc_s);
    int64_t next = TIME_NEVER;
    if (!r->has_summer)
        return TIME_NEVER;
    find_events(events, r, utc_s);
    for (int i = 0; i < EVENTS; i++)
        if (events[i].at_s > utc_s && events[i].at_s < next &&
            rules_offset(r, events[i].at_s) != now)
            next = events[i].at_s;
    return next;
}

/* ---- A zone. ---- */

void zone_free(struct zone *z)
{
    free(z->steps);
    *z = (struct zone){0};
}

/* How many steps are at this second or before it. */
static size_t steps_until(const struct zone *z, int64_t utc_s)
{
    size_t low = 0, high = z->step_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->steps[middle].at_s <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset(const struct zone *z, int64_t utc_s)
{
    size_t n;
    utc_s = calendar_clamp(utc_s);
    n = steps_until(z, utc_s);
    if (n == z->step_count && z->has_rules)
        return rules_offset(&z->rules, utc_s);
    return n ? z->steps[n - 1].offset_s : z->first_offset_s;
}

int64_t zone_next_change(const struct zone *z, int64_t utc_s)
{
    int32_t now = zone_offset(z, utc_s);
    utc_s = calendar_clamp(utc_s);
    for (size_t i = steps_until(z, utc_s); i < z->step_count; i++) {
        utc_s = z->steps[i].at_s;
        if (zone_offset(z, utc_s) != now)
            return utc_s;
    }
    return z->has_rules ? rules_next_change(&z->rules, utc_s) : TIME_NEVER;
}

/* Of a local time half of what else may be asked for: so a change is found while there is one. */
int64_t zone_utc(const struct zone *z, int64_t local_s)
{
    int64_t local = calendar_clamp(2 * calendar_clamp(local_s)) / 2,
            from = local - ZONE_OFFSET_MAX_S;
    for (;;) {
        int64_t until = zone_next_change(z, from), at = local - zone_offset(z, from);
        if (at < until)
            return at > from ? at : from;
        from = until;
    }
}
