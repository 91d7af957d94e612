/* Compares two configurations by their keys: a party that has another one is another party. */
#include "agent/changes.h"

#include <stdio.h>
#include <string.h>

#include "agent/rule_words.h"
#include "base/log.h"

/* A list of patterns, as it stands in the file. */
struct list_of {
    const char *key;
    bool listening; /* there TCP is not named */
    const struct target_pattern *items;
    size_t count;
};

static struct list_of allow_of(const struct agent_user *u)
{
    return (struct list_of){"Allow", false, u ? u->allow : NULL, u ? u->allow_count : 0};
}

static struct list_of listen_of(const struct agent_user *u)
{
    return (struct list_of){"Listen", true, u ? u->listen : NULL, u ? u->listen_count : 0};
}

static bool has(const struct list_of *l, const struct target_pattern *p)
{
    for (size_t i = 0; i < l->count; i++)
        if (target_pattern_same(&l->items[i], p))
            return true;
    return false;
}

/* Those of one list that are not in the other. */
static void log_patterns(const char *user, struct list_of in, struct list_of not_in,
                         const char *what)
{
    char text[TARGET_TEXT_BYTES];
    struct log_fields f = {.event = "permission_changed", .user = user, .reason = what};
    for (size_t i = 0; i < in.count; i++) {
        if (has(&not_in, &in.items[i]))
            continue;
        target_pattern_to_text(text, &in.items[i], in.listening);
        f.target = text;
        log_event(LOG_INFO, &f, "user %s: %s: %s %s", user, what, in.key, text);
    }
}

/* old: NULL for one who is new. */
static void log_permissions(const struct agent_user *old, const struct agent_user *fresh)
{
    log_patterns(fresh->name, allow_of(fresh), allow_of(old), "added");
    log_patterns(fresh->name, allow_of(old), allow_of(fresh), "removed");
    log_patterns(fresh->name, listen_of(fresh), listen_of(old), "added");
    log_patterns(fresh->name, listen_of(old), listen_of(fresh), "removed");
    if (old && old->listeners != fresh->listeners)
        log_info("user %s: Listeners changed from %u to %u", fresh->name, old->listeners,
                 fresh->listeners);
    if (old && old->streams != fresh->streams)
        log_info("user %s: Streams changed from %u to %u, for sessions that begin after this",
                 fresh->name, old->streams, fresh->streams);
}

/* The rules for sessions, as each configuration gives them in its time zone. */
static void log_rules(const struct agent_config *old_config, const struct agent_user *old,
                      const struct agent_config *config, const struct agent_user *fresh)
{
    static const struct rules none;
    char before[RULE_VALUE_BYTES], after[RULE_VALUE_BYTES];
    char text[3 * RULE_VALUE_BYTES];
    struct log_fields f = {.event = "rule_changed", .user = fresh->name, .reason = text};
    for (unsigned i = 0; i < RULE_WORDS; i++) {
        rule_value(before, i, old ? &old->given.rules : &none, &old_config->time_zone.zone);
        rule_value(after, i, &fresh->given.rules, &config->time_zone.zone);
        if (strcmp(before, after) == 0)
            continue;
        snprintf(text, sizeof text, "%s changed from %s to %s", rule_key(i),
                 before[0] ? before : "no limit", after[0] ? after : "no limit");
        log_event(LOG_INFO, &f, "user %s: %s", fresh->name, text);
    }
}

static const struct agent_user *find_user(const struct agent_config *c, const struct agent_user *u)
{
    for (size_t i = 0; i < c->user_count; i++)
        if (memcmp(c->users[i].public_key, u->public_key, KEY_BYTES) == 0)
            return &c->users[i];
    return NULL;
}

static void log_user(const struct agent_user *u, const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "user_changed", .user = u->name, .key = fingerprint, .reason = what};
    key_fingerprint(fingerprint, u->public_key);
    log_event(LOG_INFO, &f, "user %s: %s, key %s", u->name, what, fingerprint);
}

static void log_users(const struct agent_config *old, const struct agent_config *fresh)
{
    for (size_t i = 0; i < old->user_count; i++)
        if (!find_user(fresh, &old->users[i]))
            log_user(&old->users[i], "removed");
    for (size_t i = 0; fresh->users && i < fresh->user_count; i++) {
        const struct agent_user *u = &fresh->users[i], *before = find_user(old, u);
        if (!before)
            log_user(u, "added");
        else if (strcmp(before->name, u->name) != 0)
            log_info("user %s: now named %s", before->name, u->name);
        log_permissions(before, u);
        log_rules(old, before, fresh, u);
    }
}

bool changes_same_relay(const struct agent_relay *a, const struct agent_relay *b)
{
    return memcmp(a->public_key, b->public_key, KEY_BYTES) == 0 &&
           a->has_address == b->has_address &&
           (!a->has_address || host_port_same(&a->address, &b->address));
}

/* Those of one configuration that are not in the other. */
static void log_relays(const struct agent_config *in, const struct agent_config *not_in,
                       const char *what)
{
    for (size_t i = 0; i < in->relay_count; i++) {
        const struct agent_relay *r = &in->relays[i];
        char fingerprint[FINGERPRINT_TEXT_BYTES];
        bool found = false;
        for (size_t j = 0; j < not_in->relay_count; j++)
            found = found || changes_same_relay(r, &not_in->relays[j]);
        if (found)
            continue;
        key_fingerprint(fingerprint, r->public_key);
        if (r->has_address)
            log_info("relay %s port %u: %s, key %s", r->address.host, r->address.port, what,
                     fingerprint);
        else
            log_info("relay that dials this agent: %s, key %s", what, fingerprint);
    }
}

void changes_log(const struct agent_config *old, const struct agent_config *fresh)
{
    log_relays(old, fresh, "removed");
    log_relays(fresh, old, "added");
    log_users(old, fresh);
}
