/* The arithmetic of dates, without tables of years: a year begins in March here, so that the day
 * that some years have more is its last. */
#include "policy/calendar.h"

#define ERA_YEARS 400
#define ERA_DAYS 146097
#define MARCH_0_TO_1970 719468 /* from 0000-03-01 */

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool calendar_is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

unsigned calendar_month_days(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && calendar_is_leap(year) ? 1U : 0U);
}

int64_t calendar_day(struct calendar_date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = floor_divide(year, ERA_YEARS), of_era = year - era * ERA_YEARS;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9; /* from March */
    int64_t of_year = (153 * month + 2) / 5 + date.day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - MARCH_0_TO_1970;
}

struct calendar_date calendar_date_of(int64_t day)
{
    int64_t from_march = day + MARCH_0_TO_1970;
    int64_t era = floor_divide(from_march, ERA_DAYS), of_era = from_march - era * ERA_DAYS;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */
    struct calendar_date date = {.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
                                 .month = (unsigned)(month < 10 ? month + 3 : month - 9)};
    date.year = years + era * ERA_YEARS + (date.month <= 2);
    return date;
}

unsigned calendar_weekday(int64_t day)
{
    int64_t from_thursday = day + 3; /* 1970-01-01 was one */
    return (unsigned)(from_thursday - 7 * floor_divide(from_thursday, 7));
}

int64_t calendar_day_of_second(int64_t s)
{
    return floor_divide(s, DAY_S);
}

int32_t calendar_second_of_day(int64_t s)
{
    return (int32_t)(s - DAY_S * floor_divide(s, DAY_S));
}

int64_t calendar_clamp(int64_t s)
{
    if (s > TIME_MAX_S)
        return TIME_MAX_S;
    return s < -TIME_MAX_S ? -TIME_MAX_S : s;
}
