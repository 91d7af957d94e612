/* A limit for how often something may happen. */
#ifndef SPX_BASE_RATE_H
#define SPX_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* At most so many a second in the long run, so many at once. Zeroed: full. */
struct rate {
    uint64_t full_us; /* when it is full again */
};

/* True if one more is allowed now; then it is counted. */
bool rate_take(struct rate *r, uint64_t now_us, unsigned per_s, unsigned burst);

/* True if something of this cost is allowed now, that is while less than `burst` is charged. Then
 * all of the cost is charged: one thing may be larger than the burst, but the next one waits for
 * it. */
bool rate_charge(struct rate *r, uint64_t now_us, unsigned per_s, unsigned burst, unsigned cost);

/* From when on rate_charge allows something again; may have passed. */
uint64_t rate_charge_from_us(const struct rate *r, unsigned per_s, unsigned burst);

#endif
