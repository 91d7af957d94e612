#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "config/schema.h"
#include "wire/limits.h"

/* What is read, and what can only be checked at the end. */
struct agent_load {
    struct agent_config *c;
    unsigned line_without_address; /* the first [Relay] without Address; 0: none */
};

static struct agent_config *config_of(struct config_reader *r)
{
    return ((struct agent_load *)r->config)->c;
}

static void *begin_agent(struct config_reader *r)
{
    return config_of(r);
}

static void *begin_relay(struct config_reader *r)
{
    struct agent_config *c = config_of(r);
    struct agent_relay *relays = array_append(c->relays, &c->relay_count, sizeof *relays);

    if (!relays)
        return NULL;
    c->relays = relays;
    return &relays[c->relay_count - 1];
}

static void *begin_user(struct config_reader *r)
{
    struct agent_config *c = config_of(r);
    struct agent_user *users = array_append(c->users, &c->user_count, sizeof *users);

    if (!users)
        return NULL;
    c->users = users;
    users[c->user_count - 1].listeners = LISTENERS_DEFAULT;
    return &users[c->user_count - 1];
}

static bool finish_relay(struct config_reader *r, void *object, struct error *e)
{
    struct agent_load *load = r->config;
    const struct agent_relay *relay = object;

    if (!relay->has_address && load->line_without_address == 0)
        load->line_without_address = r->section_line;
    return config_note_peer(r, NULL, relay->public_key, e);
}

static bool finish_user(struct config_reader *r, void *object, struct error *e)
{
    const struct agent_user *user = object;

    return config_note_peer(r, user->name, user->public_key, e);
}

static bool parse_listen(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct agent_config *c = field;

    (void)r;
    return append_listen(&c->listen, &c->listen_count, value, e);
}

static bool parse_socket_path(struct config_reader *r, void *field, const char *value,
                              struct error *e)
{
    size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
    char **path = field;

    if (!parse_path(r, path, value, e))
        return false;
    if (strlen(*path) < room)
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "'%s' is too long for a socket; expected are under %zu bytes", *path, room);
}

static bool parse_address(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct agent_relay *relay = field;

    relay->has_address = true;
    return parse_relay_address(r, &relay->address, value, e);
}

/* One more pattern; NULL without memory. */
static struct target_pattern *append_pattern(struct target_pattern **patterns, size_t *count,
                                             struct error *e)
{
    struct target_pattern *grown = array_append(*patterns, count, sizeof *grown);

    if (!grown) {
        error_set(e, FAILURE_CONFIG, "no memory to read it");
        return NULL;
    }
    *patterns = grown;
    return &grown[*count - 1];
}

static bool append_allow(void *arg, const char *item, struct error *e)
{
    struct agent_user *user = arg;
    struct target_pattern *p = append_pattern(&user->allow, &user->allow_count, e);

    return p && value_target_pattern(p, item, e);
}

static bool parse_allow(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_list(value, append_allow, field, e);
}

static bool append_user_listen(void *arg, const char *item, struct error *e)
{
    struct agent_user *user = arg;
    struct target_pattern *p = append_pattern(&user->listen, &user->listen_count, e);

    return p && value_listen_pattern(p, item, e);
}

/* "default" stands for the loopback addresses and the ports that need no privilege. */
static bool append_listen_item(void *arg, const char *item, struct error *e)
{
    if (strcasecmp(item, "default") != 0)
        return append_user_listen(arg, item, e);
    return append_user_listen(arg, "127.0.0.0/8:1024-65535", e) &&
           append_user_listen(arg, "[::1]:1024-65535", e);
}

static bool parse_user_listen(struct config_reader *r, void *field, const char *value,
                              struct error *e)
{
    (void)r;
    return value_list(value, append_listen_item, field, e);
}

static bool parse_listeners(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    uint16_t *listeners = field;
    uint64_t v;

    (void)r;
    if (!value_number(&v, value, 1, LISTENERS_MAX, e))
        return false;
    *listeners = (uint16_t)v;
    return true;
}

static bool parse_resume_window(struct config_reader *r, void *field, const char *value,
                                struct error *e)
{
    uint32_t *window_s = field;
    uint64_t v;

    (void)r;
    if (!value_number(&v, value, 0, RESUME_WINDOW_MAX_S, e))
        return false;
    *window_s = (uint32_t)v;
    return true;
}

/* Where a field stands in the object of its section. */
#define AGENT(field) offsetof(struct agent_config, field)
#define RELAY(field) offsetof(struct agent_relay, field)
#define USER(field) offsetof(struct agent_user, field)

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, parse_name, AGENT(name)},
    {"KeyFile", EXACTLY_ONE, parse_key_file, AGENT(key)},
    {"Listen", ANY_NUMBER, parse_listen, 0},
    {"Labels", AT_MOST_ONE, parse_labels, AGENT(labels)},
    {"CallSocket", AT_MOST_ONE, parse_socket_path, AGENT(call_socket)},
    {"ResumeWindow", AT_MOST_ONE, parse_resume_window, AGENT(resume_window_s)},
    {NULL, 0, NULL, 0},
};

static const struct config_key relay_keys[] = {
    {"Address", AT_MOST_ONE, parse_address, 0},
    {"PublicKey", EXACTLY_ONE, parse_public_key, RELAY(public_key)},
    {NULL, 0, NULL, 0},
};

static const struct config_key user_keys[] = {
    {"Name", EXACTLY_ONE, parse_name, USER(name)},
    {"PublicKey", EXACTLY_ONE, parse_public_key, USER(public_key)},
    {"Allow", AT_MOST_ONE, parse_allow, 0},
    {"Listen", AT_MOST_ONE, parse_user_listen, 0},
    {"Listeners", AT_MOST_ONE, parse_listeners, USER(listeners)},
    {NULL, 0, NULL, 0},
};

static const struct config_section sections[] = {
    {"Agent", EXACTLY_ONE, begin_agent, NULL, agent_keys},
    {"Relay", AT_LEAST_ONE, begin_relay, finish_relay, relay_keys},
    {"User", ANY_NUMBER, begin_user, finish_user, user_keys},
    {NULL, 0, NULL, NULL, NULL},
};

/* A relay without an address must be able to dial this agent. */
static bool check_reachable(const struct agent_load *load, const char *path, struct error *e)
{
    if (load->line_without_address == 0 || load->c->listen_count > 0)
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "%s:%u: [Relay] has no Address; expected is Address = HOST:PORT, or Listen in "
                     "[Agent] for a relay that dials this agent",
                     path, load->line_without_address);
}

bool agent_config_load(struct agent_config *c, const char *path, struct error *e)
{
    struct agent_load load = {.c = c};
    struct config_reader r = {.path = path, .config = &load, .sections = sections};

    *c = (struct agent_config){.resume_window_s = RESUME_WINDOW_DEFAULT_S};
    if (config_read(&r, &c->key, "agent", e) && check_reachable(&load, path, e))
        return true;
    agent_config_free(c);
    return false;
}

void agent_config_free(struct agent_config *c)
{
    for (size_t i = 0; i < c->user_count; i++) {
        free(c->users[i].allow);
        free(c->users[i].listen);
    }
    free(c->users);
    free(c->relays);
    free(c->listen);
    free(c->call_socket);
    free(c->labels);
    wipe(c, sizeof *c);
}
