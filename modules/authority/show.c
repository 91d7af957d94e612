/* Permits for people. */
#include "authority/show.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "config/values.h"
#include "crypto/authority_key.h"
#include "permit/file.h"
#include "permit/judge.h"
#include "policy/date.h"

#define LINE "%-16s "

static const struct zone utc;

static void print_text(const char *what, struct view v)
{
    char text[TEXT_MAX_BYTES + 1];
    text_clean(text, sizeof text, v);
    printf(LINE "%s\n", what, text);
}

static void print_list(const char *what, const struct permit_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        print_text(i == 0 ? what : "", list->items[i]);
}

static void print_key(const char *what, const uint8_t key[KEY_BYTES])
{
    char text[KEY_TEXT_BYTES];
    key_to_text(text, key);
    printf(LINE "%s\n", what, text);
}

/* "(in 2 h)", "(3 min ago)", "(now)" */
static void distance(char out[40], int64_t s)
{
    char text[24];
    text_duration(text, (uint64_t)(s < 0 ? -s : s) * CLOCK_US_PER_S);
    snprintf(out, 40, s < 0 ? "(%s ago)" : s > 0 ? "(in %s)" : "(now)", text);
}

static void print_time(const char *what, uint64_t at)
{
    char text[DATE_TEXT_BYTES], away[40];
    date_text(text, &utc, (int64_t)at);
    distance(away, (int64_t)at - clock_wall_s());
    printf(LINE "%s %s\n", what, text, away);
}

static void print_outer(const struct permit *p)
{
    const struct permit_outer *o = &p->outer;
    char id[PERMIT_ID_TEXT_BYTES], authority[KEY_TEXT_BYTES];
    permit_id_text(id, p);
    base64_encode(authority, o->authority, sizeof o->authority);
    printf(LINE "%s\n", "permit", id);
    printf(LINE "SHA256:%.43s\n", "authority", authority);
    print_text("user", o->user);
    print_key("key", o->user_key);
    print_time("issued", o->issued_s);
    print_time("good from", o->from_s);
    print_time("good until", o->until_s);
    if (o->scope.len)
        print_text("scope", o->scope);
    print_list("agents", &o->patterns);
    for (size_t i = 0; i < o->keys.count; i++)
        print_key(i == 0 ? "agents' keys" : "", o->keys.items[i].data);
}

static void print_inner(const struct permit *p)
{
    char longest[24];
    print_list("targets", &p->inner.allow);
    print_list("listen", &p->inner.listen);
    text_duration(longest, p->inner.longest_s * CLOCK_US_PER_S);
    if (p->inner.longest_s)
        printf(LINE "%s\n", "longest session", longest);
    if (p->inner.reason.len)
        print_text("reason", p->inner.reason);
}

bool show_permit(const char *path, struct error *e)
{
    uint8_t bytes[PERMIT_MAX_BYTES];
    struct permit p;
    size_t len;
    if (!permit_file_read(&p, bytes, &len, path, e))
        return false;
    print_outer(&p);
    print_inner(&p);
    return true;
}

/* ---- Checking. ---- */

static bool read_authority(uint8_t out[SIGN_PUBLIC_BYTES], const char *value, struct error *e)
{
    return authority_from_text(out, view_of_string(value)) ||
           error_set(e, FAILURE_USAGE,
                     "'%s' is not an authority's public key: 88 characters of base64, as 'spx key "
                     "public FILE' shows it",
                     value);
}

bool check_settle(const struct check_order *o, struct error *e)
{
    uint8_t authority[SIGN_PUBLIC_BYTES], key[KEY_BYTES];
    char name[NAME_TEXT_BYTES];
    if (!o->authority)
        return error_set(e, FAILURE_USAGE, "missing option: --authority KEY");
    if (!o->agent)
        return error_set(e, FAILURE_USAGE, "missing option: --agent NAME");
    if (o->key && !public_key_from_text(key, view_of_string(o->key)))
        return error_set(e, FAILURE_USAGE, "'%s' is not a public key", o->key);
    return read_authority(authority, o->authority, e) && value_name(name, o->agent, e) &&
           (!o->scope || value_name(name, o->scope, e));
}

static bool is_signed(const struct permit *p, const char *authority, struct error *e)
{
    uint8_t key[SIGN_PUBLIC_BYTES];
    return read_authority(key, authority, e) &&
           (permit_is_signed_by(p, key) ||
            error_set(e, FAILURE_NOT_AUTHENTICATED, "this authority has not signed the permit"));
}

static bool is_for(const struct permit *p, const struct check_order *o, struct error *e)
{
    uint8_t key[KEY_BYTES] = {0};
    struct permit_place place = {o->agent, o->scope ? o->scope : "", key};
    if (o->key)
        (void)public_key_from_text(key, view_of_string(o->key));
    return permit_is_for(p, &place) ||
           error_set(e, FAILURE_DENIED, "the permit is not for agent %s%s%s", o->agent,
                     o->scope ? " of scope " : "", o->scope ? o->scope : "");
}

bool check_permit(const struct check_order *o, const char *path, struct error *e)
{
    struct permit_clock clock = {.wall_s = clock_wall_s()};
    uint8_t bytes[PERMIT_MAX_BYTES];
    char until[DATE_TEXT_BYTES];
    struct permit p;
    size_t len;
    if (!permit_file_read(&p, bytes, &len, path, e) || !is_signed(&p, o->authority, e) ||
        !is_for(&p, o, e) || !permit_may_begin(&p, &clock, e))
        return false;
    date_text(until, &utc, (int64_t)p.outer.until_s);
    printf("good for agent %s until %s\n", o->agent, until);
    return true;
}
