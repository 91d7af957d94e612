/* Time zones: the offset of the local time from UTC, and when it changes. One comes from a POSIX TZ
 * string (zone_parse), or from a file of the system's zone database (policy/tzif.h). */
#ifndef SPX_POLICY_ZONE_H
#define SPX_POLICY_ZONE_H

#include <stddef.h>

#include "base/error.h"
#include "policy/calendar.h"

/* The forms of a rule's day. */
enum zone_day_form {
    ZONE_DAY_JULIAN, /* Jn: 1 to 365, never counting 29 February */
    ZONE_DAY_NUMBER, /* n: 0 to 365, counting it */
    ZONE_DAY_WEEKDAY /* Mm.w.d: of month 1 to 12 week 1 to 5 (the last) day 0 to 6 (0: Sunday) */
};

/* When summer time begins, or ends, each year. */
struct zone_day {
    enum zone_day_form form;
    uint16_t day;
    uint8_t month, week;
    int32_t time_s; /* of the day, before the change: -167 to 167 h */
};

/* Offsets are seconds east of UTC. */
struct zone_rules {
    int32_t offset_s;
    bool has_summer;
    int32_t summer_offset_s;
    struct zone_day begins, ends;
};

/* From a second on, this offset. */
struct zone_step {
    int64_t at_s;
    int32_t offset_s;
};

/* Invariant: steps are in ascending order. Zeros: UTC. */
struct zone {
    int32_t first_offset_s;  /* before the first step */
    struct zone_step *steps; /* allocated, or NULL */
    size_t step_count;
    bool has_rules; /* from the last step on; without, its offset stays */
    struct zone_rules rules;
};

#define ZONE_OFFSET_MAX_S 93600 /* 26 h, of any zone, either way */

/* Reads a TZ string (POSIX, with RFC 8536's times of -167 to 167 h): "CET-1CEST,M3.5.0,M10.5.0/3",
 * "<+03>-3". One with summer time must have its rules. Errors, FAILURE_USAGE, say what is expected.
 */
bool zone_parse(struct zone *out, const char *text, struct error *e);

/* Frees its steps; then it is UTC. */
void zone_free(struct zone *z);

/* Seconds since 1970 are taken as calendar_clamp gives them. */

/* Seconds east of UTC. */
int32_t zone_offset(const struct zone *z, int64_t utc_s);

/* The first second after this one with another offset; TIME_NEVER if none follows. */
int64_t zone_next_change(const struct zone *z, int64_t utc_s);

/* The first second at which clocks in the zone show local_s (seconds since 1970 by these clocks),
 * or, where they skip it, later. */
int64_t zone_utc(const struct zone *z, int64_t local_s);

#endif
