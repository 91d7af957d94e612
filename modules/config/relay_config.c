#include "config/config.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "config/schema.h"
#include "wire/limits.h"

static void *begin_relay(struct config_reader *r)
{
    return r->config;
}

static void *begin_user(struct config_reader *r)
{
    struct relay_config *c = r->config;
    struct relay_user *users = array_append(c->users, &c->user_count, sizeof *users);

    if (!users)
        return NULL;
    c->users = users;
    return &users[c->user_count - 1];
}

static void *begin_agent(struct config_reader *r)
{
    struct relay_config *c = r->config;
    struct relay_agent *agents = array_append(c->agents, &c->agent_count, sizeof *agents);

    if (!agents)
        return NULL;
    c->agents = agents;
    return &agents[c->agent_count - 1];
}

static bool finish_user(struct config_reader *r, void *object, struct error *e)
{
    const struct relay_user *user = object;

    return config_note_peer(r, user->name, user->public_key, e);
}

static bool finish_agent(struct config_reader *r, void *object, struct error *e)
{
    const struct relay_agent *agent = object;

    return config_note_peer(r, agent->name, agent->public_key, e);
}

static bool parse_listen(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct relay_config *c = field;

    (void)r;
    return append_listen(&c->listen, &c->listen_count, value, e);
}

static bool parse_keepalive(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    unsigned *keepalive_s = field;
    uint64_t v;

    (void)r;
    if (!value_number(&v, value, KEEPALIVE_MIN_S, KEEPALIVE_MAX_S, e))
        return false;
    *keepalive_s = (unsigned)v;
    return true;
}

static bool parse_workers(struct config_reader *r, void *field, const char *value, struct error *e)
{
    unsigned *workers = field;
    uint64_t v;

    (void)r;
    if (!value_number(&v, value, 1, RELAY_WORKERS_MAX, e))
        return false;
    *workers = (unsigned)v;
    return true;
}

static bool append_agent_pattern(void *arg, const char *item, struct error *e)
{
    struct relay_user *user = arg;
    char(*agents)[NAME_TEXT_BYTES] = array_append(user->agents, &user->agent_count, sizeof *agents);

    if (!agents)
        return error_set(e, FAILURE_CONFIG, "no memory to read it");
    user->agents = agents;
    return value_name_pattern(agents[user->agent_count - 1], item, e);
}

static bool parse_agents(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_list(value, append_agent_pattern, field, e);
}

static bool parse_dial(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct relay_agent *agent = field;
    struct target target;

    (void)r;
    if (!value_target(&target, value, e))
        return false;
    if (target.kind != TARGET_TCP)
        return error_set(e, FAILURE_CONFIG, "'%s' cannot be dialled; expected is tcp:HOST:PORT",
                         value);
    agent->has_dial = true;
    agent->dial = target.at;
    return true;
}

/* Where a field stands in the object of its section. */
#define RELAY(field) offsetof(struct relay_config, field)
#define USER(field) offsetof(struct relay_user, field)
#define AGENT(field) offsetof(struct relay_agent, field)

static const struct config_key relay_keys[] = {
    {"Listen", AT_LEAST_ONE, parse_listen, 0},
    {"KeyFile", EXACTLY_ONE, parse_key_file, RELAY(key)},
    {"Keepalive", AT_MOST_ONE, parse_keepalive, RELAY(keepalive_s)},
    {"Workers", AT_MOST_ONE, parse_workers, RELAY(workers)},
    {NULL, 0, NULL, 0},
};

static const struct config_key user_keys[] = {
    {"Name", EXACTLY_ONE, parse_name, USER(name)},
    {"PublicKey", EXACTLY_ONE, parse_public_key, USER(public_key)},
    {"Agents", AT_MOST_ONE, parse_agents, 0},
    {NULL, 0, NULL, 0},
};

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, parse_name, AGENT(name)},
    {"PublicKey", EXACTLY_ONE, parse_public_key, AGENT(public_key)},
    {"Labels", AT_MOST_ONE, parse_labels, AGENT(labels)},
    {"Dial", AT_MOST_ONE, parse_dial, 0},
    {NULL, 0, NULL, 0},
};

static const struct config_section sections[] = {
    {"Relay", EXACTLY_ONE, begin_relay, NULL, relay_keys},
    {"User", ANY_NUMBER, begin_user, finish_user, user_keys},
    {"Agent", ANY_NUMBER, begin_agent, finish_agent, agent_keys},
    {NULL, 0, NULL, NULL, NULL},
};

bool relay_config_load(struct relay_config *c, const char *path, struct error *e)
{
    struct config_reader r = {.path = path, .config = c, .sections = sections};

    *c = (struct relay_config){.keepalive_s = KEEPALIVE_DEFAULT_S};
    if (config_read(&r, &c->key, "relay", e))
        return true;
    relay_config_free(c);
    return false;
}

void relay_config_free(struct relay_config *c)
{
    for (size_t i = 0; i < c->user_count; i++)
        free(c->users[i].agents);
    for (size_t i = 0; i < c->agent_count; i++)
        free(c->agents[i].labels);
    free(c->users);
    free(c->agents);
    free(c->listen);
    wipe(c, sizeof *c);
}
