/* Compares a configuration with the directory by keys: a party that has another one, or another
 * name, is another party. */
#include "relay/changes.h"

#include <string.h>

#include "audit/note.h"
#include "relay/directory.h"
#include "relay/labels.h"

static const struct audit_entry by_reload = {.by = "reload"};

static void log_agent(struct audit *audit, const char *name, const uint8_t key[KEY_BYTES],
                      const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "agent_changed", .agent = name, .key = fingerprint, .reason = what};
    key_fingerprint(fingerprint, key);
    log_event(LOG_INFO, &f, "agent %s: %s, key %s", name, what, fingerprint);
    audit_note(audit, &f, &by_reload);
}

static bool has(const struct relay_user *u, const char *pattern)
{
    for (size_t i = 0; u && i < u->agent_count; i++)
        if (strcmp(u->agents[i], pattern) == 0)
            return true;
    return false;
}

/* Those of one user that the other, if there is one, does not have. */
static void log_patterns(struct audit *audit, const struct relay_user *in,
                         const struct relay_user *not_in, const char *what)
{
    for (size_t i = 0; i < in->agent_count; i++) {
        struct log_fields f = {.event = "permission_changed",
                               .user = in->name,
                               .agent = in->agents[i],
                               .reason = what};
        if (has(not_in, in->agents[i]))
            continue;
        log_event(LOG_INFO, &f, "user %s: %s: Agents %s", in->name, what, in->agents[i]);
        audit_note(audit, &f, &by_reload);
    }
}

bool changes_in_agents(const struct relay_user *before, const struct relay_user *fresh)
{
    bool same = before->agent_count == fresh->agent_count;
    for (size_t i = 0; same && i < fresh->agent_count; i++)
        same = strcmp(before->agents[i], fresh->agents[i]) == 0;
    return !same;
}

static void compare_user(struct audit *audit, const struct directory *d,
                         const struct relay_user *fresh)
{
    const struct known_user *u = directory_user_by_key(d, fresh->public_key);
    const struct relay_user *old =
        u && !u->visit && strcmp(u->config->name, fresh->name) == 0 ? u->config : NULL;
    if (!old)
        audit_note_user(audit, fresh->name, fresh->public_key, "added");
    log_patterns(audit, fresh, old, "added");
    if (old)
        log_patterns(audit, old, fresh, "removed");
}

static bool same_dial(const struct relay_agent *a, const struct relay_agent *b)
{
    return a->has_dial == b->has_dial && (!a->has_dial || host_port_same(&a->dial, &b->dial));
}

static void compare_agent(struct audit *audit, const struct directory *d,
                          const struct relay_agent *fresh)
{
    const struct known_agent *a = directory_agent_by_key(d, fresh->public_key);
    if (!a || strcmp(a->name, fresh->name) != 0) {
        log_agent(audit, fresh->name, fresh->public_key, "added");
        return;
    }
    if (!same_dial(a->config, fresh))
        log_agent(audit, fresh->name, fresh->public_key, "Dial changed");
    if (!labels_same(a->config->labels, fresh->labels))
        log_agent(audit, fresh->name, fresh->public_key, "Labels changed");
}

void changes_log_new(struct audit *audit, const struct directory *d,
                     const struct relay_config *fresh)
{
    for (size_t i = 0; fresh->users && i < fresh->user_count; i++)
        compare_user(audit, d, &fresh->users[i]);
    for (size_t i = 0; i < fresh->agent_count; i++)
        compare_agent(audit, d, &fresh->agents[i]);
}

void changes_log_gone_user(struct audit *audit, const struct known_user *u)
{
    audit_note_user(audit, u->config->name, u->public_key, "removed");
}

void changes_log_gone_agent(struct audit *audit, const struct known_agent *a)
{
    log_agent(audit, a->name, a->public_key, "removed");
}

static bool has_authority(const struct relay_config *c, const struct relay_authority *a)
{
    for (size_t i = 0; i < c->authority_count; i++)
        if (memcmp(c->authorities[i].public_key, a->public_key, SIGN_PUBLIC_BYTES) == 0)
            return true;
    return false;
}

static void log_authorities(struct audit *audit, const struct relay_config *in,
                            const struct relay_config *not_in, const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {.event = "authority_changed", .key = fingerprint, .reason = what};
    for (size_t i = 0; i < in->authority_count; i++) {
        if (has_authority(not_in, &in->authorities[i]))
            continue;
        f.user = in->authorities[i].name;
        sign_fingerprint(fingerprint, in->authorities[i].public_key);
        log_event(LOG_INFO, &f, "authority %s: %s, key %s", f.user, what, fingerprint);
        audit_note(audit, &f, &by_reload);
    }
}

void changes_log_authorities(struct audit *audit, const struct relay_config *old,
                             const struct relay_config *fresh)
{
    log_authorities(audit, old, fresh, "removed");
    log_authorities(audit, fresh, old, "added");
}
