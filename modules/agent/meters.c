/* A list: there are no more meters than the configuration has had users. */
#include "agent/meters.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define DAY_US (24ULL * 3600 * CLOCK_US_PER_S)
#define HOLD_US CLOCK_US_PER_S /* at once: who is held back has to show signs of life */

struct meter *meter_of(struct list *all, const uint8_t user_key[KEY_BYTES])
{
    struct meter *m;
    list_each (link, all) {
        m = container_of(link, struct meter, place);
        if (memcmp(m->user_key, user_key, KEY_BYTES) == 0)
            return m;
    }
    m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    memcpy(m->user_key, user_key, KEY_BYTES);
    list_append(all, &m->place);
    return m;
}

void meters_free(struct list *all)
{
    list_each (link, all) {
        struct meter *m = container_of(link, struct meter, place);
        list_remove(link);
        free(m);
    }
}

static bool is_day_over(const struct meter *m, uint64_t now_us)
{
    return now_us >= meter_day_ends_us(m);
}

uint64_t meter_count(struct meter *m, uint64_t now_us)
{
    uint64_t from_us;
    if (m->entries == 0 || is_day_over(m, now_us)) {
        m->day_us = now_us;
        m->entries = 0;
        m->told = false;
    }
    m->entries++;
    if (!rate_charge(&m->rate, now_us, METER_RATE_PER_S, METER_BURST, 1))
        m->rate.full_us += CLOCK_US_PER_S / METER_RATE_PER_S; /* it was written all the same */
    from_us = rate_charge_from_us(&m->rate, METER_RATE_PER_S, METER_BURST);
    if (from_us <= now_us)
        return 0;
    return from_us < now_us + HOLD_US ? from_us : now_us + HOLD_US;
}

bool meter_is_spent(const struct meter *m, uint32_t quota, uint64_t now_us)
{
    return quota > 0 && m->entries >= quota && !is_day_over(m, now_us);
}

uint64_t meter_day_ends_us(const struct meter *m)
{
    return m->day_us + DAY_US;
}
