/* Compares two configurations by their keys: a party that has another one is another party. */
#include "agent/changes.h"

#include <stdio.h>
#include <string.h>

#include "agent/guest.h"
#include "agent/rule_words.h"
#include "audit/note.h"

static const struct audit_entry by_reload = {.by = "reload"};

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
static void log_patterns(struct audit *audit, const char *user, struct list_of in,
                         struct list_of not_in, const char *what)
{
    char text[TARGET_TEXT_BYTES];
    struct log_fields f = {.event = "permission_changed", .user = user, .reason = what};
    for (size_t i = 0; i < in.count; i++) {
        if (has(&not_in, &in.items[i]))
            continue;
        target_pattern_to_text(text, &in.items[i], in.listening);
        f.target = text;
        log_event(LOG_INFO, &f, "user %s: %s: %s %s", user, what, in.key, text);
        audit_note(audit, &f, &by_reload);
    }
}

static void log_number(struct audit *audit, const char *user, const char *key, unsigned from,
                       unsigned to, const char *when)
{
    char text[160];
    struct log_fields f = {.event = "permission_changed", .user = user, .reason = text};
    snprintf(text, sizeof text, "%s changed from %u to %u%s", key, from, to, when);
    log_event(LOG_INFO, &f, "user %s: %s", user, text);
    audit_note(audit, &f, &by_reload);
}

/* old: NULL for one who is new. */
static void log_permissions(struct audit *audit, const struct agent_user *old,
                            const struct agent_user *fresh)
{
    log_patterns(audit, fresh->name, allow_of(fresh), allow_of(old), "added");
    log_patterns(audit, fresh->name, allow_of(old), allow_of(fresh), "removed");
    log_patterns(audit, fresh->name, listen_of(fresh), listen_of(old), "added");
    log_patterns(audit, fresh->name, listen_of(old), listen_of(fresh), "removed");
    if (old && old->listeners != fresh->listeners)
        log_number(audit, fresh->name, "Listeners", old->listeners, fresh->listeners, "");
    if (old && old->streams != fresh->streams)
        log_number(audit, fresh->name, "Streams", old->streams, fresh->streams,
                   ", for sessions that begin after this");
}

/* The rules for sessions, as each configuration gives them in its time zone. */
static void log_rules(struct audit *audit, const struct agent_config *old_config,
                      const struct agent_user *old, const struct agent_config *config,
                      const struct agent_user *fresh)
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
                 before[0] ? before : rule_unset(i), after[0] ? after : rule_unset(i));
        log_event(LOG_INFO, &f, "user %s: %s", fresh->name, text);
        audit_note(audit, &f, &by_reload);
    }
}

static const struct agent_user *find_key(const struct agent_config *c, const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < c->user_count; i++)
        if (memcmp(c->users[i].public_key, key, KEY_BYTES) == 0)
            return &c->users[i];
    return NULL;
}

static const struct agent_user *find_user(const struct agent_config *c, const struct agent_user *u)
{
    return find_key(c, u->public_key);
}

static bool same_list(struct list_of a, struct list_of b)
{
    for (size_t i = 0; i < a.count; i++)
        if (!has(&b, &a.items[i]))
            return false;
    return a.count == b.count;
}

static const char *zone_name(const struct agent_config *c)
{
    return c->time_zone.name ? c->time_zone.name : "UTC";
}

static bool same_rules(const struct agent_config *a, const struct agent_user *u,
                       const struct agent_config *b, const struct agent_user *v)
{
    char before[RULE_VALUE_BYTES], after[RULE_VALUE_BYTES];
    bool same = strcmp(zone_name(a), zone_name(b)) == 0;
    for (unsigned i = 0; same && i < RULE_WORDS; i++) {
        rule_value(before, i, &u->given.rules, &a->time_zone.zone);
        rule_value(after, i, &v->given.rules, &b->time_zone.zone);
        same = strcmp(before, after) == 0;
    }
    return same;
}

bool changes_same_user(const struct agent_config *a, const struct agent_config *b,
                       const uint8_t key[KEY_BYTES])
{
    const struct agent_user *u = find_key(a, key), *v = find_key(b, key);
    return u && v && strcmp(u->name, v->name) == 0 && same_list(allow_of(u), allow_of(v)) &&
           same_list(listen_of(u), listen_of(v)) && u->listeners == v->listeners &&
           u->streams == v->streams && same_rules(a, u, b, v);
}

static void log_name(struct audit *audit, const struct agent_user *old,
                     const struct agent_user *fresh)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES], text[USER_TEXT_BYTES + 16];
    struct log_fields f = {
        .event = "user_changed", .user = old->name, .key = fingerprint, .reason = text};
    key_fingerprint(fingerprint, fresh->public_key);
    snprintf(text, sizeof text, "now named %s", fresh->name);
    log_event(LOG_INFO, &f, "user %s: %s", old->name, text);
    audit_note(audit, &f, &by_reload);
}

static void log_users(struct audit *audit, const struct agent_config *old,
                      const struct agent_config *fresh)
{
    for (size_t i = 0; i < old->user_count; i++)
        if (!find_user(fresh, &old->users[i]))
            audit_note_user(audit, old->users[i].name, old->users[i].public_key, "removed");
    for (size_t i = 0; fresh->users && i < fresh->user_count; i++) {
        const struct agent_user *u = &fresh->users[i], *before = find_user(old, u);
        if (!before)
            audit_note_user(audit, u->name, u->public_key, "added");
        else if (strcmp(before->name, u->name) != 0)
            log_name(audit, before, u);
        log_permissions(audit, before, u);
        log_rules(audit, old, before, fresh, u);
    }
}

/* ---- Authorities. ---- */

static const struct agent_authority *find_authority(const struct agent_config *c,
                                                    const struct agent_authority *a)
{
    for (size_t i = 0; i < c->authority_count; i++)
        if (memcmp(c->authorities[i].public_key, a->public_key, SIGN_PUBLIC_BYTES) == 0)
            return &c->authorities[i];
    return NULL;
}

static void log_authority(struct audit *audit, const struct agent_authority *a, const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "authority_changed", .user = a->most.name, .key = fingerprint, .reason = what};
    sign_fingerprint(fingerprint, a->public_key);
    log_event(LOG_INFO, &f, "authority %s: %s, key %s", a->most.name, what, fingerprint);
    audit_note(audit, &f, &by_reload);
}

static void log_section(struct audit *audit, const struct agent_config *old_config,
                        const struct agent_authority *old, const struct agent_config *config,
                        const struct agent_authority *fresh)
{
    const struct agent_user after = guest_section(fresh);
    const struct agent_user before = old ? guest_section(old) : (struct agent_user){0};
    if (!old)
        log_authority(audit, fresh, "added");
    log_permissions(audit, old ? &before : NULL, &after);
    log_rules(audit, old_config, old ? &before : NULL, config, &after);
    if (old && old->max_permit_s != fresh->max_permit_s)
        log_number(audit, after.name, "MaxPermit", old->max_permit_s, fresh->max_permit_s,
                   " seconds");
}

static void log_authorities(struct audit *audit, const struct agent_config *old,
                            const struct agent_config *fresh)
{
    for (size_t i = 0; i < old->authority_count; i++)
        if (!find_authority(fresh, &old->authorities[i]))
            log_authority(audit, &old->authorities[i], "removed");
    for (size_t i = 0; i < fresh->authority_count; i++)
        log_section(audit, old, find_authority(old, &fresh->authorities[i]), fresh,
                    &fresh->authorities[i]);
}

bool changes_same_relay(const struct agent_relay *a, const struct agent_relay *b)
{
    return memcmp(a->public_key, b->public_key, KEY_BYTES) == 0 &&
           a->has_address == b->has_address &&
           (!a->has_address || host_port_same(&a->address, &b->address));
}

/* Those of one configuration that are not in the other. */
static void log_relays(struct audit *audit, const struct agent_config *in,
                       const struct agent_config *not_in, const char *what)
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
        audit_write(audit, &(struct audit_entry){.event = "relay_changed",
                                                 .relay = fingerprint,
                                                 .address = r->has_address ? r->address.host : NULL,
                                                 .reason = what,
                                                 .by = "reload"});
        if (r->has_address)
            log_info("relay %s port %u: %s, key %s", r->address.host, r->address.port, what,
                     fingerprint);
        else
            log_info("relay that dials this agent: %s, key %s", what, fingerprint);
    }
}

void changes_log(struct audit *audit, const struct agent_config *old,
                 const struct agent_config *fresh)
{
    log_relays(audit, old, fresh, "removed");
    log_relays(audit, fresh, old, "added");
    log_users(audit, old, fresh);
    log_authorities(audit, old, fresh);
}
