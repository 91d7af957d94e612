/* Full jitter: a random part of a pause that doubles with each try. */
#include "hop/backoff.h"

#include "base/clock.h"
#include "base/random.h"

#define BASE_US CLOCK_US_PER_S
#define CAP_US (30 * CLOCK_US_PER_S)
#define WORKED_US (5 * CLOCK_US_PER_S)

uint64_t backoff_most(struct backoff *b, uint64_t worked_us)
{
    uint64_t most;
    if (worked_us >= WORKED_US)
        b->tries = 0;
    else if (worked_us && b->tries > 1)
        b->tries /= 2;
    if (b->tries++ == 0)
        return 0;
    most = b->tries < 7 ? BASE_US << (b->tries - 2) : CAP_US;
    return most < CAP_US ? most : CAP_US;
}

uint64_t backoff_next(struct backoff *b, uint64_t worked_us)
{
    uint64_t most = backoff_most(b, worked_us);
    return most ? random_below(most) + 1 : 0;
}
