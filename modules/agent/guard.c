/* The agent's part of the guard: who it becomes, and what a reload needs. */
#include "agent/guard.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/state.h"
#include "base/array.h"
#include "base/log.h"
#include "guard/fence.h"
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

/* ---- The fence. ---- */

static void allow_files(struct fence *f, const struct agent *a, const char *state_directory)
{
    const struct agent_config *config = &a->config;
    fence_allow_system(f);
    fence_allow_beside(f, a->config_path, FENCE_READ);
    fence_allow_beside(f, config->key_path, FENCE_READ);
    for (size_t i = 0; i < config->authority_count; i++)
        if (config->authorities[i].revocations)
            fence_allow_beside(f, config->authorities[i].revocations, FENCE_READ);
    if (config->audit)
        fence_allow_beside(f, config->audit, FENCE_WRITE);
    for (size_t i = 0; i < config->authority_count; i++)
        if (config->authorities[i].revocations)
            fence_allow_beside(f, config->authorities[i].revocations, FENCE_READ);
    if (state_directory)
        fence_allow(f, state_directory, FENCE_WRITE);
    if (agent_config_socket(config))
        fence_allow_beside(f, agent_config_socket(config), FENCE_LISTEN);
    for (size_t i = 0; i < a->listen_path_count; i++)
        if (a->listen_paths[i])
            fence_allow_beside(f, a->listen_paths[i], FENCE_LISTEN);
}

static bool keep_path(struct agent *a, const char *path)
{
    char **grown = array_append(a->listen_paths, &a->listen_path_count, sizeof *grown);
    if (!grown)
        return false;
    a->listen_paths = grown;
    grown[a->listen_path_count - 1] = strdup(path);
    return grown[a->listen_path_count - 1] != NULL;
}

/* Calls for each path at which users may listen. */
static void each_path(struct agent *a, const struct agent_config *config,
                      void (*f)(struct agent *a, const char *path))
{
    for (size_t i = 0; i < config->user_count; i++)
        for (size_t j = 0; j < config->users[i].listen_count; j++)
            if (config->users[i].listen[j].kind == TARGET_UNIX)
                f(a, config->users[i].listen[j].name);
}

static void note_path(struct agent *a, const char *path)
{
    if (!keep_path(a, path))
        log_error(NO_MEMORY_TEXT);
}

static size_t folder_bytes(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static bool is_open(const struct agent *a, const char *path)
{
    size_t len = folder_bytes(path);
    for (size_t i = 0; i < a->listen_path_count; i++) {
        const char *known = a->listen_paths[i];
        if (known && folder_bytes(known) == len && strncmp(known, path, len) == 0)
            return true;
    }
    return false;
}

static void tell_closed(struct agent *a, const char *path)
{
    if (!is_open(a, path))
        log_warning("Listen in [User]: unix:%s: this process has given up making sockets in that "
                    "folder: restart needed",
                    path);
}

/* ---- A reload. ---- */

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

void agent_guard_begin(struct agent *a, const char *state_directory)
{
    struct fence fence;
    each_path(a, &a->config, note_path);
    fence_begin(&fence, true, true);
    allow_files(&fence, a, state_directory);
    guard_enter(&(struct guard_settings){
        .role = GUARD_AGENT, .low_ports = needs_low_ports(&a->config), .fence = &fence});
    try_reload(a->config_path);
}

void agent_guard_reloaded(struct agent *a, const struct agent_config *old)
{
    if (guard_gave_up_low_ports() && needs_low_ports(&a->config) && !needs_low_ports(old))
        log_warning("Listen in [User] allows ports below 1024, which this process has given up: "
                    "restart needed");
    if (guard_is_fenced())
        each_path(a, &a->config, tell_closed);
}

void agent_guard_end(struct agent *a)
{
    for (size_t i = 0; i < a->listen_path_count; i++)
        free(a->listen_paths[i]);
    free(a->listen_paths);
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
