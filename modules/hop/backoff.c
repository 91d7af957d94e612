#include "hop/backoff.h"

#include "base/clock.h"
#include "base/random.h"

#define BASE_US CLOCK_US_PER_S
#define CAP_US (30 * CLOCK_US_PER_S)
#define WORKED_US (60 * CLOCK_US_PER_S)

uint64_t backoff_next(struct backoff *b, uint64_t now_us)
{
    uint64_t most;
    if (b->worked_us && now_us - b->worked_us >= WORKED_US)
        b->tries = 0;
    b->worked_us = 0;
    if (b->tries++ == 0)
        return 0;
    most = b->tries < 7 ? BASE_US << (b->tries - 2) : CAP_US;
    return random_below(most < CAP_US ? most : CAP_US) + 1;
}

void backoff_worked(struct backoff *b, uint64_t now_us)
{
    b->worked_us = now_us;
}
