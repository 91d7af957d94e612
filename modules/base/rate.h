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

#endif
