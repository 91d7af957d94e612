/* Pauses between tries: full jitter, base 1 s, cap 30 s; the first try of a series at once
 * (docs/PROTOCOL.md section 5.4). */
#ifndef SPX_HOP_BACKOFF_H
#define SPX_HOP_BACKOFF_H

#include <stdint.h>

/* Zeroed: a new series. */
struct backoff {
    unsigned tries;
};

/* The longest pause before the next try, which this call begins. worked_us: for how long what the
 * last try brought has worked; 0: it brought nothing. A link that worked halves the series, but
 * not to nothing; one that worked for 5 s ends it. */
uint64_t backoff_most(struct backoff *b, uint64_t worked_us);

/* The pause before the next try: any time up to backoff_most's. */
uint64_t backoff_next(struct backoff *b, uint64_t worked_us);

#endif
