#include "config/config.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "config/schema.h"

#define KNOWN_AGENTS_DEFAULT "known_agents"

static void *begin_client(struct config_reader *r)
{
    return r->config;
}

static void *begin_relay(struct config_reader *r)
{
    struct client_config *c = r->config;
    struct client_relay *relays = array_append(c->relays, &c->relay_count, sizeof *relays);

    if (!relays)
        return NULL;
    c->relays = relays;
    return &relays[c->relay_count - 1];
}

static void *begin_agent(struct config_reader *r)
{
    struct client_config *c = r->config;
    struct client_agent *agents = array_append(c->agents, &c->agent_count, sizeof *agents);

    if (!agents)
        return NULL;
    c->agents = agents;
    return &agents[c->agent_count - 1];
}

static bool finish_client(struct config_reader *r, void *object, struct error *e)
{
    struct client_config *c = object;

    return c->known_agents || parse_path(r, &c->known_agents, KNOWN_AGENTS_DEFAULT, e);
}

static bool finish_relay(struct config_reader *r, void *object, struct error *e)
{
    const struct client_relay *relay = object;

    return config_note_peer(r, NULL, relay->public_key, e);
}

static bool finish_agent(struct config_reader *r, void *object, struct error *e)
{
    const struct client_agent *agent = object;

    return config_note_peer(r, agent->name, agent->has_key ? agent->public_key : NULL, e);
}

static bool parse_agent_key(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    struct client_agent *agent = field;

    agent->has_key = true;
    return parse_public_key(r, agent->public_key, value, e);
}

static bool parse_forward(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct client_agent *agent = field;
    struct forward *forwards =
        array_append(agent->forwards, &agent->forward_count, sizeof *forwards);

    (void)r;
    if (!forwards)
        return error_set(e, FAILURE_CONFIG, "no memory to read it");
    agent->forwards = forwards;
    return value_forward_option(&forwards[agent->forward_count - 1], value, e);
}

/* Where a field stands in the object of its section. */
#define CLIENT(field) offsetof(struct client_config, field)
#define RELAY(field) offsetof(struct client_relay, field)
#define AGENT(field) offsetof(struct client_agent, field)

static const struct config_key client_keys[] = {
    {"KeyFile", EXACTLY_ONE, parse_key_file, CLIENT(key)},
    {"KnownAgents", AT_MOST_ONE, parse_path, CLIENT(known_agents)},
    {NULL, 0, NULL, 0},
};

static const struct config_key relay_keys[] = {
    {"Address", EXACTLY_ONE, parse_relay_address, RELAY(address)},
    {"PublicKey", EXACTLY_ONE, parse_public_key, RELAY(public_key)},
    {NULL, 0, NULL, 0},
};

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, parse_name, AGENT(name)},
    {"PublicKey", AT_MOST_ONE, parse_agent_key, 0},
    {"Forward", ANY_NUMBER, parse_forward, 0},
    {NULL, 0, NULL, 0},
};

static const struct config_section sections[] = {
    {"Client", EXACTLY_ONE, begin_client, finish_client, client_keys},
    {"Relay", AT_LEAST_ONE, begin_relay, finish_relay, relay_keys},
    {"Agent", ANY_NUMBER, begin_agent, finish_agent, agent_keys},
    {NULL, 0, NULL, NULL, NULL},
};

bool client_config_load(struct client_config *c, const char *path, struct error *e)
{
    struct config_reader r = {.path = path, .config = c, .sections = sections};

    *c = (struct client_config){0};
    if (config_read(&r, &c->key, "client", e))
        return true;
    client_config_free(c);
    return false;
}

void client_config_free(struct client_config *c)
{
    free(c->known_agents);
    free(c->relays);
    for (size_t i = 0; i < c->agent_count; i++)
        free(c->agents[i].forwards);
    free(c->agents);
    wipe(c, sizeof *c);
}
