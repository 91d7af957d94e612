/* relay.conf: its tables, and what only it has. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/files.h"
#include "config/config.h"
#include "config/schema.h"
#include "permit/armour.h"
#include "permit/vouch.h"
#include "wire/limits.h"

#define VOUCH_FILE_MAX 65536 /* a mail with it */

static bool finish_user(struct config_reader *r, void *object, struct error *e)
{
    const struct relay_user *user = object;
    return config_note_peer(r, user->name, user->public_key, e);
}

/* Whose it is: a relay passes it on, and need not know the authority. */
static bool check_vouch(const struct relay_agent *agent, struct error *e)
{
    struct vouch v;
    if (!agent->vouch)
        return true;
    return (vouch_decode(&v, view_of(agent->vouch, agent->vouch_len)) &&
            view_equal(v.agent, view_of_string(agent->name)) &&
            memcmp(v.key, agent->public_key, KEY_BYTES) == 0) ||
           error_set(e, FAILURE_CONFIG, "Statement is about another agent, or another key of it");
}

static bool finish_agent(struct config_reader *r, void *object, struct error *e)
{
    const struct relay_agent *agent = object;
    if (!check_vouch(agent, e))
        return false;
    return config_note_peer(r, agent->name, agent->public_key, e);
}

static bool finish_authority(struct config_reader *r, void *object, struct error *e)
{
    const struct relay_config *c = r->config;
    const struct relay_authority *own = object;
    if (c->authority_count > RELAY_AUTHORITIES_MAX)
        return error_set(e, FAILURE_CONFIG, "too many authorities; expected at most %d",
                         RELAY_AUTHORITIES_MAX);
    for (size_t i = 0; i < c->authority_count; i++)
        if (&c->authorities[i] != own &&
            memcmp(c->authorities[i].public_key, own->public_key, SIGN_PUBLIC_BYTES) == 0)
            return error_set(e, FAILURE_CONFIG, "authority %s has the same PublicKey",
                             c->authorities[i].name);
    return config_note_peer(r, own->name, NULL, e);
}

static bool append_agent_pattern(void *arg, const char *item, struct error *e)
{
    struct relay_user *user = arg;
    char(*agents)[NAME_TEXT_BYTES] = array_append(user->agents, &user->agent_count, sizeof *agents);

    if (!agents)
        return error_no_memory(e);
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
        return error_set(e, FAILURE_CONFIG, "'%s' cannot be dialled; expected tcp:HOST:PORT",
                         value);
    agent->has_dial = true;
    agent->dial = target.at;
    return true;
}

static bool read_vouch(struct relay_agent *agent, const char *path, struct error *e)
{
    uint8_t bytes[VOUCH_MAX_BYTES];
    struct error inner = {0};
    char *text;
    size_t len;
    bool good;
    if (!file_read(path, VOUCH_FILE_MAX, false, &text, &len, e))
        return false;
    good = armour_read(bytes, sizeof bytes, &agent->vouch_len, ARMOUR_AGENT, view_of(text, len),
                       &inner);
    free(text);
    if (!good)
        return error_set(e, inner.failure, "%s: %s", path, inner.text);
    agent->vouch = malloc(agent->vouch_len);
    if (!agent->vouch)
        return error_no_memory(e);
    memcpy(agent->vouch, bytes, agent->vouch_len);
    return true;
}

static bool parse_vouch(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char *path = config_path(r->path, value);
    bool good = path ? read_vouch(field, path, e) : error_no_memory(e);
    free(path);
    return good;
}

/* Where a field stands in the object of its section. */
#define RELAY(field) offsetof(struct relay_config, field)
#define RELAY_NUMBER(field) CONFIG_NUMBER(struct relay_config, field)
#define USER(field) offsetof(struct relay_user, field)
#define AGENT(field) offsetof(struct relay_agent, field)

static const struct config_type agent_patterns = {.parse = parse_agents};
static const struct config_type statement_file = {.parse = parse_vouch};
static const struct config_type dial_address = {.parse = parse_dial};

static const struct config_key relay_keys[] = {
    {"Listen", AT_LEAST_ONE, NEXT_START, &config_addresses, RELAY(listen)},
    {"KeyFile", EXACTLY_ONE, NEXT_START, &config_key_file, RELAY(key)},
    {"User", AT_MOST_ONE, NEXT_START, &config_user, RELAY(user)},
    {"Group", AT_MOST_ONE, NEXT_START, &config_group, RELAY(group)},
    {"Keepalive",
     AT_MOST_ONE,
     NEXT_HOP,
     &config_number,
     RELAY_NUMBER(keepalive_s),
     {KEEPALIVE_MIN_S, KEEPALIVE_MAX_S, SECONDS},
     KEEPALIVE_DEFAULT_S},
    {"Workers",
     AT_MOST_ONE,
     NEXT_START,
     &config_number,
     RELAY_NUMBER(workers),
     {1, RELAY_WORKERS_MAX}},
    {"Audit", AT_MOST_ONE, NEXT_START, &config_any_path, RELAY(audit)},
    {"AuditSize",
     AT_MOST_ONE,
     NEXT_START,
     &config_number,
     RELAY_NUMBER(audit_mb),
     {0, AUDIT_MB_MAX},
     AUDIT_MB_DEFAULT},
};

static const struct config_key user_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, USER(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_public_key, USER(public_key)},
    {"Agents", AT_MOST_ONE, AT_ONCE, &agent_patterns, 0},
};

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, AGENT(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_public_key, AGENT(public_key)},
    {"Labels", AT_MOST_ONE, AT_ONCE, &config_labels, AGENT(labels)},
    {"Statement", AT_MOST_ONE, AT_ONCE, &statement_file, 0},
    {"Dial", AT_MOST_ONE, AT_ONCE, &dial_address, 0},
};

#define AUTHORITY(field) offsetof(struct relay_authority, field)

static const struct config_key authority_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, AUTHORITY(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_authority_key, AUTHORITY(public_key)},
    {"MaxSession",
     AT_MOST_ONE,
     AT_ONCE,
     &config_number,
     CONFIG_NUMBER(struct relay_authority, max_session_s),
     {0, MAX_SESSION_MAX_S, SECONDS},
     MAX_SESSION_DEFAULT_S},
    {"Revocations", AT_MOST_ONE, AT_ONCE, &config_any_path, AUTHORITY(revocations)},
};

static const struct config_section sections[] = {
    {"Relay", EXACTLY_ONE, {0}, NULL, CONFIG_KEYS(relay_keys)},
    {"User", ANY_NUMBER, CONFIG_ITEMS(struct relay_config, users, user_count), finish_user,
     CONFIG_KEYS(user_keys)},
    {"Agent", ANY_NUMBER, CONFIG_ITEMS(struct relay_config, agents, agent_count), finish_agent,
     CONFIG_KEYS(agent_keys)},
    {"Authority", ANY_NUMBER, CONFIG_ITEMS(struct relay_config, authorities, authority_count),
     finish_authority, CONFIG_KEYS(authority_keys)},
};

const struct config_file relay_config_file = {"relay", CONFIG_SECTIONS(sections)};

bool relay_config_load(struct relay_config *c, const char *path, struct error *e)
{
    struct config_reader r = {.path = path, .file = &relay_config_file, .config = c};
    *c = (struct relay_config){0};
    bool good = config_read(&r, &c->key, e);
    c->key_path = r.key_path;
    if (good)
        return true;
    relay_config_free(c);
    return false;
}

void relay_config_free(struct relay_config *c)
{
    for (size_t i = 0; i < c->user_count; i++)
        free(c->users[i].agents);
    for (size_t i = 0; i < c->agent_count; i++) {
        free(c->agents[i].labels);
        free(c->agents[i].vouch);
    }
    free(c->users);
    free(c->agents);
    for (size_t i = 0; i < c->authority_count; i++)
        free(c->authorities[i].revocations);
    free(c->authorities);
    free(c->listen.items);
    free(c->audit);
    free(c->key_path);
    free(c->user);
    free(c->group);
    wipe(c, sizeof *c);
}
