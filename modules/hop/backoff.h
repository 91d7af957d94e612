/* When to try again: full jitter, base 1 s, cap 30 s; the first try of a series at once
 * (docs/PROTOCOL.md section 5). */
#ifndef SPX_HOP_BACKOFF_H
#define SPX_HOP_BACKOFF_H

#include <stdint.h>

/* Zeroed: a new series. */
struct backoff {
    unsigned tries;
    uint64_t worked_us; /* since when it works; 0: it does not */
};

/* How long to wait before the next try. A series starts anew only after 60 s of working. */
uint64_t backoff_next(struct backoff *b, uint64_t now_us);

/* It works from now on. */
void backoff_worked(struct backoff *b, uint64_t now_us);

#endif
