/* Look-ups that the parts of a running agent share. */
#include "agent/state.h"

#include <string.h>

#include "base/clock.h"

#define RESTOCK_US CLOCK_US_PER_S

static void on_restock(struct timer *timer)
{
    key_stock_fill(&container_of(timer, struct agent, restock)->stock);
}

void agent_restock(struct agent *a)
{
    a->restock.on_fire = on_restock;
    timer_set(a->loop, &a->restock, loop_now(a->loop) + RESTOCK_US);
}

const struct agent_user *agent_find_user(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < a->config.user_count; i++)
        if (memcmp(a->config.users[i].public_key, key, KEY_BYTES) == 0)
            return &a->config.users[i];
    return NULL;
}

const struct agent_relay *agent_find_relay(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < a->config.relay_count; i++)
        if (memcmp(a->config.relays[i].public_key, key, KEY_BYTES) == 0)
            return &a->config.relays[i];
    return NULL;
}
