/* Seconds, zones and hours for the tests of modules/policy. */
#ifndef SPX_TESTS_POLICY_TIMES_H
#define SPX_TESTS_POLICY_TIMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/date.h"
#include "policy/hours.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define SYDNEY "AEST-10AEDT,M10.1.0,M4.1.0/3"

static inline struct zone zone_of(const char *text)
{
    struct zone z;
    struct error e = {0};
    if (!zone_parse(&z, text, &e))
        fail_msg("%s", e.text);
    return z;
}

static inline struct hours hours_of(const char *text)
{
    struct hours h;
    struct error e = {0};
    if (!hours_parse(&h, text, &e))
        fail_msg("%s", e.text);
    return h;
}

static inline struct date date_of(const char *text)
{
    struct date d;
    struct error e = {0};
    if (!date_parse(&d, text, &e))
        fail_msg("%s", e.text);
    return d;
}

/* "2026-11-30T08:00:00+01:00" */
static inline int64_t second_at(const char *text)
{
    struct date d = date_of(text);
    assert_false(d.is_day);
    return d.at_s;
}

#endif
