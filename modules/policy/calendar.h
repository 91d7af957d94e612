/* Days of the proleptic Gregorian calendar, counted from 1970-01-01 as day 0. */
#ifndef SPX_POLICY_CALENDAR_H
#define SPX_POLICY_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400

/* Later than every second that can be asked for. */
#define TIME_NEVER INT64_MAX

/* Seconds since 1970 are taken up to this many before and after it, which is more than 30,000
 * years; a clock that shows more is taken for one that shows this. */
#define TIME_MAX_S ((int64_t)1 << 40)

struct calendar_date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

/* True if the year has a 29 February. */
bool calendar_is_leap(int64_t year);

/* How many days the month has; month: 1 to 12. */
unsigned calendar_month_days(int64_t year, unsigned month);

/* From a date that there is to its day, and from a day to its date. */
int64_t calendar_day(struct calendar_date date);
struct calendar_date calendar_date_of(int64_t day);

/* The weekday of a day, from 0, Monday, to 6. */
unsigned calendar_weekday(int64_t day);

/* Of a second since 1970, before it too: the day, and the second of the day from 0 on. */
int64_t calendar_day_of_second(int64_t s);
int32_t calendar_second_of_day(int64_t s);

/* The second, or the nearest to it within TIME_MAX_S of 1970. */
int64_t calendar_clamp(int64_t s);

#endif
