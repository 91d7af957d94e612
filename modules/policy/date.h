/* Dates, and dates with a time, by RFC 3339; and a second as people read it. */
#ifndef SPX_POLICY_DATE_H
#define SPX_POLICY_DATE_H

#include "policy/zone.h"

struct date {
    bool is_set;
    bool is_day; /* without a time: at_s is the day's begin by clocks in the agent's zone */
    int64_t at_s;
};

/* "2026-12-31", or "2026-12-31T18:00:00+01:00" (a space for T, Z for +00:00; fractions of a second
 * are cut off). Errors, FAILURE_USAGE, say what is expected. */
bool date_parse(struct date *out, const char *text, struct error *e);

/* The first second of it: of a day, or the second itself. */
int64_t date_begin(const struct date *d, const struct zone *z);

/* The first second after it: after a day, or the second itself. */
int64_t date_end(const struct date *d, const struct zone *z);

/* True if both are the same day, or second, or both are not set. */
bool date_same(const struct date *a, const struct date *b);

/* "Mon 2026-11-30 08:00 +01:00", seconds only if there are any. */
#define DATE_TEXT_BYTES 64
void date_text(char out[DATE_TEXT_BYTES], const struct zone *z, int64_t utc_s);

#endif
