/* The relay's part of the guard: who it becomes, and what a reload needs. */
#include "relay/guard.h"

#include <unistd.h>

#include "base/log.h"
#include "guard/guard.h"
#include "guard/user.h"
#include "relay/desk.h"

static bool become(const struct relay_config *config, struct error *e)
{
    const struct guard_user user = {
        .section = "Relay", .user = config->user, .group = config->group};
    return guard_user_become(&user, e);
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
    guard_enter(&(struct guard_settings){.low_ports = false});
    try_reload(config_path);
    return true;
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
