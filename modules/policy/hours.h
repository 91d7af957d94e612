/* The hours of a week in which something is allowed: "Mon-Fri 08:00-18:00, Sat 09:00-12:00". */
#ifndef SPX_POLICY_HOURS_H
#define SPX_POLICY_HOURS_H

#include "policy/zone.h"

#define HOURS_MINUTES (7 * 24 * 60) /* of a week */
#define HOURS_TEXT_BYTES 256

/* Clocks in the zone decide: it is open while they show a minute of the hours. So at a change of
 * the offset hours that begin in what is skipped begin at the change, and what is repeated is open
 * both times. */
struct hours {
    uint8_t open[HOURS_MINUTES / 8]; /* a bit for each minute, from Monday 00:00 on */
    char text[HOURS_TEXT_BYTES];     /* as it was read; "": there are none */
};

/* Spans separated by commas, which may overlap: days and times, as "Mon-Fri 08:00-18:00",
 * "Sat 09:00-12:00", "22:00-06:00" (every day, into the next). Days are Mon to Sun; a time is
 * HH:MM, an end also 24:00. Errors, FAILURE_USAGE, say what is expected. */
bool hours_parse(struct hours *out, const char *text, struct error *e);

/* True if they are open at this second since 1970, by the clocks of the zone. */
bool hours_are_open(const struct hours *h, const struct zone *z, int64_t utc_s);

/* The first second after this one at which they open or close; TIME_NEVER: none. */
int64_t hours_next_change(const struct hours *h, const struct zone *z, int64_t utc_s);

/* True if both are open at the same times, however they were written. */
bool hours_same(const struct hours *a, const struct hours *b);

#endif
