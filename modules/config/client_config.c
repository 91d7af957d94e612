/* client.conf: its tables, and what only it has. */
#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "config/config.h"
#include "config/schema.h"

#define KNOWN_AGENTS_DEFAULT "known_agents"

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
    agent->key_line = r->key_line;
    return parse_public_key(r, agent->public_key, value, e);
}

static bool parse_forward(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct client_agent *agent = field;
    struct forward *forwards =
        array_append(agent->forwards, &agent->forward_count, sizeof *forwards);
    (void)r;
    if (!forwards)
        return error_no_memory(e);
    agent->forwards = forwards;
    return value_forward_option(&forwards[agent->forward_count - 1], value, e);
}

/* Where a field stands in the object of its section. */
#define CLIENT(field) offsetof(struct client_config, field)
#define CLIENT_NUMBER(field) CONFIG_NUMBER(struct client_config, field)
#define RELAY(field) offsetof(struct client_relay, field)
#define AGENT(field) offsetof(struct client_agent, field)

static const struct config_type optional_key = {.parse = parse_agent_key};
static const struct config_type forward_list = {.parse = parse_forward};

/* A client reads its file once, for all that it does. */
static const struct config_key client_keys[] = {
    {"KeyFile", EXACTLY_ONE, AT_ONCE, &config_key_file, CLIENT(key)},
    {"Permit", AT_MOST_ONE, AT_ONCE, &config_any_path, CLIENT(permit)},
    {"KnownAgents", AT_MOST_ONE, AT_ONCE, &config_any_path, CLIENT(known_agents)},
    {"Audit", AT_MOST_ONE, NEXT_START, &config_any_path, CLIENT(audit)},
    {"AuditSize",
     AT_MOST_ONE,
     NEXT_START,
     &config_number,
     CLIENT_NUMBER(audit_mb),
     {0, AUDIT_MB_MAX},
     AUDIT_MB_DEFAULT},
};

static const struct config_key relay_keys[] = {
    {"Address", EXACTLY_ONE, AT_ONCE, &config_relay_address, RELAY(address)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_public_key, RELAY(public_key)},
};

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, AGENT(name)},
    {"PublicKey", AT_MOST_ONE, AT_ONCE, &optional_key, 0},
    {"Forward", ANY_NUMBER, AT_ONCE, &forward_list, 0},
};

#define AUTHORITY(field) offsetof(struct client_authority, field)

static bool finish_authority(struct config_reader *r, void *object, struct error *e)
{
    const struct client_authority *authority = object;
    return config_note_peer(r, authority->name, NULL, e);
}

static const struct config_key authority_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, AUTHORITY(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_authority_key, AUTHORITY(public_key)},
};

static const struct config_section sections[] = {
    {"Client", EXACTLY_ONE, {0}, finish_client, CONFIG_KEYS(client_keys)},
    {"Relay", AT_LEAST_ONE, CONFIG_ITEMS(struct client_config, relays, relay_count), finish_relay,
     CONFIG_KEYS(relay_keys)},
    {"Agent", ANY_NUMBER, CONFIG_ITEMS(struct client_config, agents, agent_count), finish_agent,
     CONFIG_KEYS(agent_keys)},
    {"Authority", ANY_NUMBER, CONFIG_ITEMS(struct client_config, authorities, authority_count),
     finish_authority, CONFIG_KEYS(authority_keys)},
};

const struct config_file client_config_file = {"client", CONFIG_SECTIONS(sections)};

bool client_config_load(struct client_config *c, const char *path, struct error *e)
{
    struct config_reader r = {.path = path, .file = &client_config_file, .config = c};
    *c = (struct client_config){0};
    bool good = config_read(&r, &c->key, e);
    free(r.key_path);
    if (good)
        return true;
    client_config_free(c);
    return false;
}

void client_config_free(struct client_config *c)
{
    free(c->known_agents);
    free(c->permit);
    free(c->audit);
    free(c->relays);
    for (size_t i = 0; i < c->agent_count; i++)
        free(c->agents[i].forwards);
    free(c->agents);
    free(c->authorities);
    wipe(c, sizeof *c);
}
