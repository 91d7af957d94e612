/* The relay's part of the guard: who it becomes, and what a reload needs. */
#include "relay/guard.h"

#include <unistd.h>

#include "base/log.h"
#include "guard/fence.h"
#include "guard/guard.h"
#include "guard/user.h"
#include "relay/desk.h"

static bool become(const struct relay_config *config, struct error *e)
{
    const struct guard_user user = {
        .section = "Relay", .user = config->user, .group = config->group};
    return guard_user_become(&user, e);
}

static bool dials(const struct relay_config *config)
{
    for (size_t i = 0; i < config->agent_count; i++)
        if (config->agents[i].has_dial)
            return true;
    return false;
}

static void give_up(const struct relay *r, const char *config_path)
{
    struct fence fence;
    bool dialling = dials(&r->config);
    fence_begin(&fence, dialling, false);
    fence_allow_system(&fence);
    fence_allow_beside(&fence, config_path, FENCE_READ);
    fence_allow_beside(&fence, r->config.key_path, FENCE_READ);
    for (size_t i = 0; i < r->config.authority_count; i++)
        if (r->config.authorities[i].revocations)
            fence_allow_beside(&fence, r->config.authorities[i].revocations, FENCE_READ);
    if (r->config.audit)
        fence_allow_beside(&fence, r->config.audit, FENCE_WRITE);
    for (size_t i = 0; i < r->config.authority_count; i++)
        if (r->config.authorities[i].revocations)
            fence_allow_beside(&fence, r->config.authorities[i].revocations, FENCE_READ);
    guard_enter(&(struct guard_settings){.role = dialling ? GUARD_RELAY | GUARD_DIALS : GUARD_RELAY,
                                         .fence = &fence});
}

/* Reads the files as a reload will, with what is left to the process. */
static void try_reload(const char *config_path)
{
    struct relay_config again;
    struct error e = {0};
    if (relay_config_load(&again, config_path, &e))
        relay_config_free(&again);
    else
        log_warning("a reload would be refused, and need a restart: %s", e.text);
}

bool relay_guard_begin(const struct relay *r, const char *config_path, struct error *e)
{
    if (!become(&r->config, e))
        return false;
    give_up(r, config_path);
    try_reload(config_path);
    return true;
}

void relay_guard_reloaded(struct relay_config *config)
{
    for (size_t i = 0; i < config->agent_count && guard_gave_up_dialling(); i++) {
        if (config->agents[i].has_dial)
            log_warning("Dial of agent %s: this process has given up connecting to others: takes "
                        "effect at the next start",
                        config->agents[i].name);
        config->agents[i].has_dial = false;
    }
}

void relay_guard_check(const struct relay_config *config, const char *config_path)
{
    struct error e = {0};
    if (geteuid() != 0 || (!config->user && !config->group))
        return;
    if (become(config, &e))
        try_reload(config_path);
    else
        log_warning("%s", e.text);
}
