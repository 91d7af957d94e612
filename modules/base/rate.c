/* A leaky bucket, kept as the moment at which it is empty again. */
#include "base/rate.h"

#include "base/clock.h"

bool rate_take(struct rate *r, uint64_t now_us, unsigned per_s, unsigned burst)
{
    uint64_t each_us = CLOCK_US_PER_S / per_s;
    uint64_t full_us = (r->full_us > now_us ? r->full_us : now_us) + each_us;
    if (full_us - now_us > burst * each_us)
        return false;
    r->full_us = full_us;
    return true;
}

bool rate_charge(struct rate *r, uint64_t now_us, unsigned per_s, unsigned burst, unsigned cost)
{
    uint64_t each_us = CLOCK_US_PER_S / per_s;
    uint64_t from_us = r->full_us > now_us ? r->full_us : now_us;
    if (from_us - now_us >= burst * each_us)
        return false;
    r->full_us = from_us + cost * each_us;
    return true;
}

uint64_t rate_charge_from_us(const struct rate *r, unsigned per_s, unsigned burst)
{
    uint64_t burst_us = burst * (CLOCK_US_PER_S / per_s);
    return r->full_us > burst_us ? r->full_us - burst_us + 1 : 0;
}
