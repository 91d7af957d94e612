/* agent.conf: its tables, and what only it has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/ownership.h"
#include "config/config.h"
#include "config/rule_types.h"
#include "config/schema.h"
#include "wire/limits.h"

static bool finish_relay(struct config_reader *r, void *object, struct error *e)
{
    unsigned *line_without_address = r->arg;
    const struct agent_relay *relay = object;
    if (!relay->has_address && *line_without_address == 0)
        *line_without_address = r->section_line;
    return config_note_peer(r, NULL, relay->public_key, e);
}

static bool finish_user(struct config_reader *r, void *object, struct error *e)
{
    const struct agent_user *user = object;
    if (strcmp(user->name, "all") == 0)
        return error_set(e, FAILURE_CONFIG,
                         "a user cannot be named 'all', which spx agent end takes for everybody");
    return config_note_peer(r, user->name, user->public_key, e);
}

/* Two are trusted at once when one follows the other; each has its own. */
static bool finish_authority(struct config_reader *r, void *object, struct error *e)
{
    const struct agent_config *c = r->config;
    const struct agent_authority *own = object;
    for (size_t i = 0; i < c->authority_count; i++)
        if (&c->authorities[i] != own &&
            memcmp(c->authorities[i].public_key, own->public_key, SIGN_PUBLIC_BYTES) == 0)
            return error_set(e, FAILURE_CONFIG, "authority %s has the same PublicKey",
                             c->authorities[i].most.name);
    return config_note_peer(r, own->most.name, NULL, e);
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
    return error_set(e, FAILURE_CONFIG, "'%s' is too long for a socket; expected under %zu bytes",
                     *path, room);
}

static bool parse_remote_access(struct config_reader *r, void *field, const char *value,
                                struct error *e)
{
    bool *locked = field;
    (void)r;
    *locked = strcasecmp(value, "locked") == 0;
    return *locked || strcasecmp(value, "open") == 0 ||
           error_set(e, FAILURE_CONFIG, "'%s' is not open or locked", value);
}

static bool same_truth(const void *a, const void *b)
{
    return *(const bool *)a == *(const bool *)b;
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
        error_no_memory(e);
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

bool agent_user_add_allow(struct agent_user *user, const char *list, struct error *e)
{
    return value_list(list, append_allow, user, e);
}

static bool parse_allow(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return agent_user_add_allow(field, value, e);
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

bool agent_user_add_listen(struct agent_user *user, const char *list, struct error *e)
{
    return value_list(list, append_listen_item, user, e);
}

static bool parse_user_listen(struct config_reader *r, void *field, const char *value,
                              struct error *e)
{
    (void)r;
    return agent_user_add_listen(field, value, e);
}

/* Where a field stands in the object of its section. */
#define AGENT(field) offsetof(struct agent_config, field)
#define AGENT_NUMBER(field) CONFIG_NUMBER(struct agent_config, field)
#define RELAY(field) offsetof(struct agent_relay, field)
#define USER(field) offsetof(struct agent_user, field)
#define AUTHORITY(field) offsetof(struct agent_authority, field)
#define USER_NUMBER(field) CONFIG_NUMBER(struct agent_user, field)

static bool parse_audit_failure(struct config_reader *r, void *field, const char *value,
                                struct error *e)
{
    bool *goes_on = field;
    (void)r;
    *goes_on = strcasecmp(value, "continue") == 0;
    if (*goes_on || strcasecmp(value, "refuse") == 0)
        return true;
    return error_set(e, FAILURE_CONFIG, "malformed AuditFailure '%s'; expected refuse or continue",
                     value);
}

/* For who starts it in another directory. */
static bool make_absolute(char **path, struct error *e)
{
    char *here = **path == '/' ? NULL : getcwd(NULL, 0), *whole = NULL;
    if (**path == '/')
        return true;
    if (here && asprintf(&whole, "%s/%s", here, *path) < 0)
        whole = NULL;
    free(here);
    if (!whole)
        return error_set(e, FAILURE_CONFIG, "%s: expected a path that begins with /", *path);
    free(*path);
    *path = whole;
    return true;
}

/* It runs as the agent does: nobody else may have written it. */
static bool check_program(const char *path, struct error *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return error_set(e, FAILURE_CONFIG, "%s: %s", path, system_text(errno));
    if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return error_set(e, FAILURE_CONFIG, "%s: not a program that can be run; run: chmod +x %s",
                         path, path);
    return ownership_is_trusted(path, &st, e);
}

static bool parse_program(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char **path = field;
    return parse_path(r, path, value, e) && make_absolute(path, e) && check_program(*path, e);
}

static const struct config_type program = {parse_program, same_text, sizeof(char *)};
static const struct config_type audit_failure = {parse_audit_failure, same_truth, sizeof(bool)};
static const struct config_type socket_path = {parse_socket_path, same_text, sizeof(char *)};
static const struct config_type remote_access = {parse_remote_access, same_truth, sizeof(bool)};
static const struct config_type optional_address = {.parse = parse_address};
static const struct config_type targets_to_allow = {.parse = parse_allow};
static const struct config_type places_to_listen = {.parse = parse_user_listen};

/* Rules for sessions: in [User], and in [Agent] for all whose section does not give them. */
#define RULE_KEYS(field)                                                       \
    {"Access", AT_MOST_ONE, AT_ONCE, &config_access, field},                   \
        {"Hours", AT_MOST_ONE, AT_ONCE, &config_hours, field},                 \
        {"NotBefore", AT_MOST_ONE, AT_ONCE, &config_not_before, field},        \
        {"NotAfter", AT_MOST_ONE, AT_ONCE, &config_not_after, field},          \
        {"MaxSession", AT_MOST_ONE, AT_ONCE, &config_max_session, field},      \
        {"IdleEnd", AT_MOST_ONE, AT_ONCE, &config_idle_end, field},            \
        {"AskTimeout", AT_MOST_ONE, AT_ONCE, &config_ask_timeout, field},      \
    {                                                                          \
        "ReasonRequired", AT_MOST_ONE, AT_ONCE, &config_reason_required, field \
    }

static const struct config_key agent_keys[] = {
    {"Name", EXACTLY_ONE, NEXT_START, &config_name, AGENT(name)},
    {"KeyFile", EXACTLY_ONE, NEXT_START, &config_key_file, AGENT(key)},
    {"User", AT_MOST_ONE, NEXT_START, &config_user, AGENT(user)},
    {"Group", AT_MOST_ONE, NEXT_START, &config_group, AGENT(group)},
    {"Listen", ANY_NUMBER, NEXT_START, &config_addresses, AGENT(listen)},
    {"Labels", AT_MOST_ONE, AT_ONCE, &config_labels, AGENT(labels)},
    {"CallSocket", AT_MOST_ONE, NEXT_START, &socket_path, AGENT(call_socket)},
    {"ControlSocket", AT_MOST_ONE, NEXT_START, &socket_path, AGENT(control_socket)},
    {"ControlGroup", AT_MOST_ONE, NEXT_START, &config_group, AGENT(control_group)},
    {"RemoteAccess", AT_MOST_ONE, NEXT_START, &remote_access, AGENT(starts_locked)},
    {"StateDirectory", AT_MOST_ONE, NEXT_START, &config_any_path, AGENT(state_directory)},
    {"ResumeWindow",
     AT_MOST_ONE,
     NEXT_SESSION,
     &config_number,
     AGENT_NUMBER(resume_window_s),
     {0, RESUME_WINDOW_MAX_S, SECONDS},
     RESUME_WINDOW_DEFAULT_S},
    {"Scope", AT_MOST_ONE, AT_ONCE, &config_name, AGENT(scope)},
    {"TimeZone", AT_MOST_ONE, AT_ONCE, &config_time_zone, AGENT(time_zone)},
    RULE_KEYS(AGENT(given)),
    {"Audit", AT_MOST_ONE, NEXT_START, &config_any_path, AGENT(audit)},
    {"AuditSize",
     AT_MOST_ONE,
     NEXT_START,
     &config_number,
     AGENT_NUMBER(audit_mb),
     {0, AUDIT_MB_MAX},
     AUDIT_MB_DEFAULT},
    {"AuditQuota",
     AT_MOST_ONE,
     AT_ONCE,
     &config_number,
     AGENT_NUMBER(audit_quota),
     {0, AUDIT_QUOTA_MAX},
     AUDIT_QUOTA_DEFAULT},
    {"AuditFailure", AT_MOST_ONE, NEXT_START, &audit_failure, AGENT(audit_continue)},
    {"OnEvent", AT_MOST_ONE, NEXT_START, &program, AGENT(on_event)},
};

static const struct config_key relay_keys[] = {
    {"Address", AT_MOST_ONE, AT_ONCE, &optional_address, 0},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_public_key, RELAY(public_key)},
};

/* All that a user may have: in [User], and in [Authority], whose object begins with a user. */
#define USE_KEYS                                                                                \
    {"Allow", AT_MOST_ONE, AT_ONCE, &targets_to_allow, 0},                                      \
        {"Listen", AT_MOST_ONE, AT_ONCE, &places_to_listen, 0},                                 \
        {"Listeners",        AT_MOST_ONE,      AT_ONCE, &config_number, USER_NUMBER(listeners), \
         {1, LISTENERS_MAX}, LISTENERS_DEFAULT},                                                \
        {"Streams",        AT_MOST_ONE,    AT_ONCE, &config_number, USER_NUMBER(streams),       \
         {1, STREAMS_MAX}, STREAMS_DEFAULT},                                                    \
        RULE_KEYS(USER(given))

static const struct config_key user_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, USER(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_public_key, USER(public_key)},
    USE_KEYS,
};

_Static_assert(offsetof(struct agent_authority, most) == 0, "USE_KEYS");

static const struct config_key authority_keys[] = {
    {"Name", EXACTLY_ONE, AT_ONCE, &config_name, USER(name)},
    {"PublicKey", EXACTLY_ONE, AT_ONCE, &config_authority_key, AUTHORITY(public_key)},
    USE_KEYS,
    {"MaxPermit",
     AT_MOST_ONE,
     AT_ONCE,
     &config_number,
     CONFIG_NUMBER(struct agent_authority, max_permit_s),
     {60, 366U * DAY_S, SECONDS},
     MAX_PERMIT_DEFAULT_S},
    {"Revocations", AT_MOST_ONE, AT_ONCE, &config_any_path, AUTHORITY(revocations)},
};

static const struct config_section sections[] = {
    {"Agent", EXACTLY_ONE, {0}, NULL, CONFIG_KEYS(agent_keys)},
    {"Relay", AT_LEAST_ONE, CONFIG_ITEMS(struct agent_config, relays, relay_count), finish_relay,
     CONFIG_KEYS(relay_keys)},
    {"User", ANY_NUMBER, CONFIG_ITEMS(struct agent_config, users, user_count), finish_user,
     CONFIG_KEYS(user_keys)},
    {"Authority", ANY_NUMBER, CONFIG_ITEMS(struct agent_config, authorities, authority_count),
     finish_authority, CONFIG_KEYS(authority_keys)},
};

const struct config_file agent_config_file = {"agent", CONFIG_SECTIONS(sections)};

/* A relay without an address must be able to dial this agent. */
static bool check_reachable(const struct agent_config *c, unsigned line_without_address,
                            const char *path, struct error *e)
{
    if (line_without_address == 0 || c->listen.count > 0)
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "%s:%u: [Relay] has no Address; expected Address = HOST:PORT, or Listen in "
                     "[Agent] for a relay that dials this agent",
                     path, line_without_address);
}

bool agent_config_load(struct agent_config *c, const char *path, struct error *e)
{
    unsigned line_without_address = 0; /* the first [Relay] without Address */
    struct config_reader r = {
        .path = path, .file = &agent_config_file, .config = c, .arg = &line_without_address};
    *c = (struct agent_config){0};
    bool good = config_read(&r, &c->key, e);
    c->key_path = r.key_path;
    if (!good || !check_reachable(c, line_without_address, path, e)) {
        agent_config_free(c);
        return false;
    }
    for (size_t i = 0; i < c->user_count; i++)
        given_rules_inherit(&c->users[i].given, &c->given);
    for (size_t i = 0; i < c->authority_count; i++)
        given_rules_inherit(&c->authorities[i].most.given, &c->given);
    return true;
}

const char *agent_config_socket(const struct agent_config *c)
{
    return c->control_socket ? c->control_socket : c->call_socket;
}

void agent_user_free(struct agent_user *user)
{
    free(user->allow);
    free(user->listen);
}

static void authority_free(struct agent_authority *a)
{
    agent_user_free(&a->most);
    free(a->revocations);
}

void agent_config_free(struct agent_config *c)
{
    for (size_t i = 0; i < c->user_count; i++)
        agent_user_free(&c->users[i]);
    for (size_t i = 0; i < c->authority_count; i++)
        authority_free(&c->authorities[i]);
    free(c->users);
    free(c->authorities);
    free(c->relays);
    free(c->listen.items);
    free(c->call_socket);
    free(c->control_socket);
    free(c->control_group);
    free(c->key_path);
    free(c->user);
    free(c->group);
    free(c->state_directory);
    free(c->audit);
    free(c->on_event);
    free(c->labels);
    free(c->time_zone.name);
    zone_free(&c->time_zone.zone);
    wipe(c, sizeof *c);
}
