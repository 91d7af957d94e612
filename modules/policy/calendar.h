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

bool calendar_is_leap(int64_t year);

/* month: 1 to 12. */
unsigned calendar_month_days(int64_t year, unsigned month);

int64_t calendar_day(struct calendar_date date);
struct calendar_date calendar_date_of(int64_t day);

/* 0: Monday. */
unsigned calendar_weekday(int64_t day);

/* Of seconds since 1970: the day, and the second of the day. */
int64_t calendar_day_of_second(int64_t s);
int32_t calendar_second_of_day(int64_t s);

/* Within TIME_MAX_S. */
int64_t calendar_clamp(int64_t s);

#endif
