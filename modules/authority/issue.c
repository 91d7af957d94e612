/* Issuing a permit: texts of the command line become its fields. */
#include "authority/issue.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "config/values.h"
#include "crypto/authority_key.h"
#include "permit/armour.h"
#include "policy/date.h"

#define LASTS_DEFAULT "12h"

/* ---- Lists. ---- */

struct adding {
    struct issue_order *order;
    struct permit_list *list;
    bool (*check)(const char *item, struct error *e);
};

static bool too_many(struct error *e)
{
    return error_set(e, FAILURE_USAGE, "too many; a permit holds %d of each kind",
                     PERMIT_ITEMS_MAX);
}

static bool add(void *arg, const char *item, struct error *e)
{
    struct adding *a = arg;
    struct issue_order *o = a->order;
    char *copy;
    if (!a->check(item, e))
        return false;
    if (a->list->count == PERMIT_ITEMS_MAX)
        return too_many(e);
    copy = strdup(item);
    if (!copy)
        return error_no_memory(e);
    o->kept[o->kept_count++] = copy;
    return permit_list_add(a->list, view_of_string(copy));
}

static bool check_pattern(const char *item, struct error *e)
{
    char pattern[NAME_TEXT_BYTES];
    return value_name_pattern(pattern, item, e);
}

static bool check_target(const char *item, struct error *e)
{
    struct target_pattern pattern;
    return value_target_pattern(&pattern, item, e);
}

/* "default" is for the agent to read. */
static bool check_place(const char *item, struct error *e)
{
    struct target_pattern pattern;
    return strcmp(item, "default") == 0 || value_listen_pattern(&pattern, item, e);
}

bool issue_add_patterns(struct issue_order *o, const char *value, struct error *e)
{
    struct adding a = {o, &o->permit.outer.patterns, check_pattern};
    return value_list(value, add, &a, e);
}

bool issue_add_targets(struct issue_order *o, const char *value, struct error *e)
{
    struct adding a = {o, &o->permit.inner.allow, check_target};
    return value_list(value, add, &a, e);
}

bool issue_add_places(struct issue_order *o, const char *value, struct error *e)
{
    struct adding a = {o, &o->permit.inner.listen, check_place};
    return value_list(value, add, &a, e);
}

static bool read_key(uint8_t out[KEY_BYTES], const char *value, struct error *e)
{
    return public_key_from_text(out, view_of_string(value)) ||
           error_set(e, FAILURE_USAGE,
                     "'%s' is not a public key: 44 characters of base64, as 'spx key public FILE' "
                     "shows it",
                     value);
}

bool issue_add_key(struct issue_order *o, const char *value, struct error *e)
{
    struct permit_list *keys = &o->permit.outer.keys;
    if (keys->count == PERMIT_ITEMS_MAX)
        return too_many(e);
    uint8_t *key = o->agent_keys[keys->count];
    return read_key(key, value, e) && permit_list_add(keys, view_of(key, KEY_BYTES));
}

/* ---- The whole. ---- */

static bool is_complete(const struct issue_order *o, struct error *e)
{
    const struct permit_outer *outer = &o->permit.outer;
    if (!o->authority)
        return error_set(e, FAILURE_USAGE, "missing option: --authority FILE");
    if (!o->user)
        return error_set(e, FAILURE_USAGE, "missing option: --user NAME");
    if (!o->key)
        return error_set(e, FAILURE_USAGE, "missing option: --key KEY");
    if (outer->patterns.count + outer->keys.count == 0)
        return error_set(e, FAILURE_USAGE, "missing option: --agents PATTERN or --agent-key KEY");
    if (outer->patterns.count && !o->scope)
        return error_set(e, FAILURE_USAGE,
                         "--agents needs --scope NAME: another customer may have an agent of the "
                         "same name");
    return outer->patterns.count || !o->scope ||
           error_set(e, FAILURE_USAGE, "--scope goes with --agents only");
}

static bool set_names(struct issue_order *o, struct error *e)
{
    char name[NAME_TEXT_BYTES];
    struct permit_outer *outer = &o->permit.outer;
    if (!value_name(name, o->user, e) || (o->scope && !value_name(name, o->scope, e)) ||
        !read_key(outer->user_key, o->key, e))
        return false;
    outer->user = view_of_string(o->user);
    if (o->scope)
        outer->scope = view_of_string(o->scope);
    return true;
}

static bool set_reason(struct issue_order *o, struct error *e)
{
    struct view reason = view_of_string(o->reason ? o->reason : "");
    if (reason.len > REASON_MAX_BYTES)
        return error_set(e, FAILURE_USAGE, "the reason is longer than %d bytes", REASON_MAX_BYTES);
    if (!text_is_clean(reason))
        return error_set(e, FAILURE_USAGE, "the reason holds control characters");
    o->permit.inner.reason = reason;
    return true;
}

static bool set_times(struct issue_order *o, struct error *e)
{
    static const struct number_range durations = {1, PERMIT_SESSION_MAX_S, SECONDS};
    static const struct zone utc;
    struct permit_outer *outer = &o->permit.outer;
    struct date from;
    uint32_t lasts_s;
    outer->issued_s = outer->from_s = (uint64_t)clock_wall_s();
    if (o->from && !date_parse(&from, o->from, e))
        return false;
    if (o->from && date_begin(&from, &utc) > clock_wall_s())
        outer->from_s = (uint64_t)date_begin(&from, &utc);
    if (!value_number(&lasts_s, o->lasts ? o->lasts : LASTS_DEFAULT, &durations, e))
        return false;
    outer->until_s = outer->from_s + lasts_s;
    return !o->session || value_number(&o->permit.inner.longest_s, o->session, &durations, e);
}

bool issue_settle(struct issue_order *o, struct error *e)
{
    return is_complete(o, e) && set_names(o, e) && set_reason(o, e) && set_times(o, e);
}

bool issue_print(struct issue_order *o, struct error *e)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct sign_key key;
    char *text;
    size_t len;
    if (!authority_key_load(&key, o->authority, e))
        return false;
    random_bytes(o->permit.inner.salt, sizeof o->permit.inner.salt);
    len = permit_issue(bytes, &o->permit, &key, e);
    wipe(&key, sizeof key);
    if (!len)
        return false;
    text = armour_text(ARMOUR_PERMIT, view_of(bytes, len));
    if (!text)
        return error_no_memory(e);
    fputs(text, stdout);
    free(text);
    return true;
}

void issue_free(struct issue_order *o)
{
    while (o->kept_count)
        free(o->kept[--o->kept_count]);
}
