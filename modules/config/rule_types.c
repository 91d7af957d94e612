/* Rules for sessions as values of agent.conf. They are read here and decided by in modules/policy.
 */
#include "config/rule_types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/files.h"
#include "policy/tzif.h"

#define ZONES "/usr/share/zoneinfo/"
#define ZONE_NAME_MAX_BYTES 100
#define LONGEST_S (366U * DAY_S)

/* ---- Time zones. ---- */

/* A name that stays within the directory. */
static bool is_zone_name(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/");
    return text[len] == '\0' && len > 0 && len <= ZONE_NAME_MAX_BYTES && text[0] != '/';
}

static bool read_zone_file(struct zone *out, const char *path, struct error *e)
{
    struct error inner = {0};
    char *bytes;
    size_t len;
    bool good;
    if (!file_read(path, TZIF_MAX_BYTES, false, &bytes, &len, e))
        return false;
    good = tzif_read(out, view_of(bytes, len), &inner);
    free(bytes);
    return good || error_set(e, inner.failure, "%s: %s", path, inner.text);
}

/* By its name in the system's database, or as a POSIX string, which needs no files. */
static bool read_zone(struct zone *out, const char *value, struct error *e)
{
    struct error inner = {0};
    char path[sizeof ZONES + ZONE_NAME_MAX_BYTES];
    if (strcmp(value, "UTC") == 0 || zone_parse(out, value, &inner))
        return true;
    if (!is_zone_name(value))
        return error_set(e, FAILURE_CONFIG, "%s", inner.text);
    snprintf(path, sizeof path, ZONES "%s", value);
    if (access(path, F_OK) == 0)
        return read_zone_file(out, path, e);
    return error_set(e, FAILURE_CONFIG,
                     "no time zone '%s' in " ZONES "; expected a name there, such as "
                     "Europe/Berlin, or a POSIX string such as CET-1CEST,M3.5.0,M10.5.0/3",
                     value);
}

static bool parse_time_zone(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    struct agent_zone *zone = field;
    (void)r;
    if (!read_zone(&zone->zone, value, e))
        return false;
    zone->name = strdup(value);
    return zone->name || error_no_memory(e);
}

/* ---- Rules. ---- */

static bool parse_access(struct config_reader *r, void *field, const char *value, struct error *e)
{
    static const char *const words[] = {
        [ACCESS_ALWAYS] = "always", [ACCESS_ASK] = "ask", [ACCESS_NEVER] = "never"};
    struct given_rules *given = field;
    (void)r;
    given->has_access = true;
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(value, words[i]) != 0)
            continue;
        given->rules.access = (enum rules_access)i;
        return true;
    }
    return error_set(e, FAILURE_CONFIG, "'%s' is not always, ask or never", value);
}

static bool parse_hours(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    return hours_parse(&given->rules.hours, value, e);
}

static bool parse_not_before(struct config_reader *r, void *field, const char *value,
                             struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    return date_parse(&given->rules.not_before, value, e);
}

static bool parse_not_after(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    return date_parse(&given->rules.not_after, value, e);
}

static const struct number_range durations = {0, LONGEST_S, SECONDS};

static bool parse_max_session(struct config_reader *r, void *field, const char *value,
                              struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    given->has_max_session = true;
    return value_number(&given->rules.max_session_s, value, &durations, e);
}

static bool parse_idle_end(struct config_reader *r, void *field, const char *value, struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    given->has_idle_end = true;
    return value_number(&given->rules.idle_end_s, value, &durations, e);
}

static bool parse_ask_timeout(struct config_reader *r, void *field, const char *value,
                              struct error *e)
{
    static const struct number_range times = {10, DAY_S, SECONDS};
    struct given_rules *given = field;
    (void)r;
    return value_number(&given->rules.ask_timeout_s, value, &times, e);
}

static bool parse_reason_required(struct config_reader *r, void *field, const char *value,
                                  struct error *e)
{
    struct given_rules *given = field;
    (void)r;
    given->has_needs_reason = true;
    given->rules.needs_reason = strcasecmp(value, "yes") == 0;
    return given->rules.needs_reason || strcasecmp(value, "no") == 0 ||
           error_set(e, FAILURE_CONFIG, "'%s' is not yes or no", value);
}

const struct config_type config_time_zone = {.parse = parse_time_zone};
const struct config_type config_access = {.parse = parse_access};
const struct config_type config_hours = {.parse = parse_hours};
const struct config_type config_not_before = {.parse = parse_not_before};
const struct config_type config_not_after = {.parse = parse_not_after};
const struct config_type config_max_session = {.parse = parse_max_session};
const struct config_type config_idle_end = {.parse = parse_idle_end};
const struct config_type config_ask_timeout = {.parse = parse_ask_timeout};
const struct config_type config_reason_required = {.parse = parse_reason_required};

void given_rules_inherit(struct given_rules *user, const struct given_rules *defaults)
{
    struct rules *own = &user->rules;
    const struct rules *other = &defaults->rules;
    if (!user->has_access)
        own->access = other->access;
    if (!own->hours.text[0])
        own->hours = other->hours;
    if (!own->not_before.is_set)
        own->not_before = other->not_before;
    if (!own->not_after.is_set)
        own->not_after = other->not_after;
    if (!user->has_max_session)
        own->max_session_s = other->max_session_s;
    if (!user->has_idle_end)
        own->idle_end_s = other->idle_end_s;
    if (!user->has_needs_reason)
        own->needs_reason = other->needs_reason;
    if (!own->ask_timeout_s)
        own->ask_timeout_s = other->ask_timeout_s ? other->ask_timeout_s : ASK_TIMEOUT_DEFAULT_S;
}
