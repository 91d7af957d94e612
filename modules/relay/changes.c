/* Compares a configuration with the directory by keys: a party that has another one, or another
 * name, is another party. */
#include "relay/changes.h"

#include <string.h>

#include "base/log.h"
#include "relay/directory.h"
#include "relay/labels.h"

static void log_user(const struct relay_user *u, const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "user_changed", .user = u->name, .key = fingerprint, .reason = what};
    key_fingerprint(fingerprint, u->public_key);
    log_event(LOG_INFO, &f, "user %s: %s, key %s", u->name, what, fingerprint);
}

static void log_agent(const char *name, const uint8_t key[KEY_BYTES], const char *what)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct log_fields f = {
        .event = "agent_changed", .agent = name, .key = fingerprint, .reason = what};
    key_fingerprint(fingerprint, key);
    log_event(LOG_INFO, &f, "agent %s: %s, key %s", name, what, fingerprint);
}

static bool has(const struct relay_user *u, const char *pattern)
{
    for (size_t i = 0; u && i < u->agent_count; i++)
        if (strcmp(u->agents[i], pattern) == 0)
            return true;
    return false;
}

/* Those of one user that the other does not have; NULL has none. */
static void log_patterns(const struct relay_user *in, const struct relay_user *not_in,
                         const char *what)
{
    for (size_t i = 0; in && i < in->agent_count; i++) {
        struct log_fields f = {.event = "permission_changed",
                               .user = in->name,
                               .agent = in->agents[i],
                               .reason = what};
        if (!has(not_in, in->agents[i]))
            log_event(LOG_INFO, &f, "user %s: %s: Agents %s", in->name, what, in->agents[i]);
    }
}

static void compare_user(const struct directory *d, const struct relay_user *fresh)
{
    const struct known_user *u = directory_user_by_key(d, fresh->public_key);
    const struct relay_user *old =
        u && strcmp(u->config->name, fresh->name) == 0 ? u->config : NULL;
    if (!old)
        log_user(fresh, "added");
    log_patterns(fresh, old, "added");
    log_patterns(old, fresh, "removed");
}

static bool same_dial(const struct relay_agent *a, const struct relay_agent *b)
{
    return a->has_dial == b->has_dial && (!a->has_dial || host_port_same(&a->dial, &b->dial));
}

static void compare_agent(const struct directory *d, const struct relay_agent *fresh)
{
    const struct known_agent *a = directory_agent_by_key(d, fresh->public_key);
    if (!a || strcmp(a->name, fresh->name) != 0) {
        log_agent(fresh->name, fresh->public_key, "added");
        return;
    }
    if (!same_dial(a->config, fresh))
        log_agent(fresh->name, fresh->public_key, "Dial changed");
    if (!labels_same(a->config->labels, fresh->labels))
        log_agent(fresh->name, fresh->public_key, "Labels changed");
}

void changes_log_new(const struct directory *d, const struct relay_config *fresh)
{
    for (size_t i = 0; i < fresh->user_count; i++)
        compare_user(d, &fresh->users[i]);
    for (size_t i = 0; i < fresh->agent_count; i++)
        compare_agent(d, &fresh->agents[i]);
}

void changes_log_gone_user(const struct known_user *u)
{
    log_user(u->config, "removed");
}

void changes_log_gone_agent(const struct known_agent *a)
{
    log_agent(a->name, a->public_key, "removed");
}
