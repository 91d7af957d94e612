/* Look-ups that the parts of a running agent share. */
#include "agent/state.h"

#include <string.h>

#include "agent/guest.h"
#include "base/clock.h"
#include "base/version.h"
#include "guard/guard.h"

#define RESTOCK_US CLOCK_US_PER_S
#define LOG_SWEEP_US (5 * CLOCK_US_PER_S)

static void on_restock(struct timer *timer)
{
    key_stock_fill(&container_of(timer, struct agent, restock)->stock);
}

void agent_restock(struct agent *a)
{
    a->restock.on_fire = on_restock;
    timer_set(a->loop, &a->restock, loop_now(a->loop) + RESTOCK_US);
}

struct circumstances agent_circumstances(const struct agent *a)
{
    return (struct circumstances){.zone = &a->config.time_zone.zone,
                                  .wall_s = clock_wall_s(),
                                  .built_s = version_built_s(),
                                  .is_locked = a->is_locked};
}

const struct agent_user *agent_find_user(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < a->config.user_count; i++)
        if (memcmp(a->config.users[i].public_key, key, KEY_BYTES) == 0)
            return &a->config.users[i];
    return NULL;
}

const char *agent_user_name(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    const struct agent_user *user = agent_find_user(a, key);
    const struct guest *guest = user ? NULL : guest_find(&a->guests, key, NULL);
    return user ? user->name : guest ? guest->user.name : "";
}

const struct agent_relay *agent_find_relay(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < a->config.relay_count; i++)
        if (memcmp(a->config.relays[i].public_key, key, KEY_BYTES) == 0)
            return &a->config.relays[i];
    return NULL;
}

void agent_party(const struct agent *a, uint8_t out[LOG_PARTY_BYTES],
                 const uint8_t relay_key[KEY_BYTES], const uint8_t user_key[KEY_BYTES])
{
    bool known = *agent_user_name(a, user_key) != '\0';
    for (size_t i = 0; i < LOG_PARTY_BYTES; i++)
        out[i] = known ? relay_key[i] ^ user_key[i] : relay_key[i];
}

static void on_log_sweep(struct timer *timer)
{
    agent_sweep_log(container_of(timer, struct agent, log_sweep));
}

void agent_sweep_log(struct agent *a)
{
    log_rates_sweep(&a->log, loop_now(a->loop));
    guard_tell_refused();
    a->log_sweep.on_fire = on_log_sweep;
    timer_set(a->loop, &a->log_sweep, loop_now(a->loop) + LOG_SWEEP_US);
}
