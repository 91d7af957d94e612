/* The agent's part of the guard: who it becomes, and what a reload needs. */
#include "agent/guard.h"

#include <unistd.h>

#include "agent/state.h"
#include "base/log.h"
#include "guard/guard.h"
#include "guard/user.h"

#define LOW_PORTS 1024

static bool become(const struct agent_config *config, struct error *e)
{
    const struct guard_user user = {.section = "Agent",
                                    .user = config->user,
                                    .group = config->group,
                                    .more_group = config->control_group};
    return guard_user_become(&user, e);
}

static bool user_needs_low_ports(const struct agent_user *user)
{
    for (size_t i = 0; i < user->listen_count; i++)
        if (user->listen[i].kind == TARGET_TCP && user->listen[i].port_first < LOW_PORTS)
            return true;
    return false;
}

static bool needs_low_ports(const struct agent_config *config)
{
    bool needs = false;
    for (size_t i = 0; i < config->user_count; i++)
        needs = needs || user_needs_low_ports(&config->users[i]);
    for (size_t i = 0; i < config->authority_count; i++)
        needs = needs || user_needs_low_ports(&config->authorities[i].most);
    return needs;
}

/* Reads the files as a reload will, with what is left to the process. */
static void try_reload(const char *config_path)
{
    struct agent_config again;
    struct error e = {0};
    if (agent_config_load(&again, config_path, &e))
        agent_config_free(&again);
    else
        log_warning("a reload would be refused, and need a restart: %s", e.text);
}

bool agent_guard_become(const struct agent *a, struct error *e)
{
    return become(&a->config, e);
}

void agent_guard_begin(const struct agent *a)
{
    guard_enter(&(struct guard_settings){.low_ports = needs_low_ports(&a->config)});
    try_reload(a->config_path);
}

void agent_guard_reloaded(const struct agent_config *old, const struct agent_config *config)
{
    if (guard_gave_up_low_ports() && needs_low_ports(config) && !needs_low_ports(old))
        log_warning("Listen in [User] allows ports below 1024, which this process has given up: "
                    "restart needed");
}

void agent_guard_check(const struct agent_config *config, const char *config_path)
{
    struct error e = {0};
    if (geteuid() != 0 || (!config->user && !config->group))
        return;
    if (become(config, &e))
        try_reload(config_path);
    else
        log_warning("%s", e.text);
}
