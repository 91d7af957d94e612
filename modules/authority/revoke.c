/* A list of revocations grows: each has all of the one before it. */
#include "authority/revoke.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/authority_key.h"
#include "policy/date.h"

static bool too_many(struct error *e)
{
    return error_set(e, FAILURE_USAGE, "a list has at most %d permits and as many keys",
                     REVOCATIONS_MAX);
}

bool revoke_add_permit(struct revoke_order *o, const char *value, struct error *e)
{
    if (o->permit_count == REVOCATIONS_MAX)
        return too_many(e);
    return text_unhex(o->permits[o->permit_count++], PERMIT_ID_BYTES, value) ||
           error_set(e, FAILURE_USAGE,
                     "'%s' is not a permit's id: 32 hexadecimal digits, as 'spx permit show FILE' "
                     "shows it",
                     value);
}

bool revoke_add_key(struct revoke_order *o, const char *value, struct error *e)
{
    if (o->key_count == REVOCATIONS_MAX)
        return too_many(e);
    return public_key_from_text(o->keys[o->key_count++], view_of_string(value)) ||
           error_set(e, FAILURE_USAGE, "'%s' is not a public key", value);
}

bool revoke_settle(const struct revoke_order *o, struct error *e)
{
    struct date before;
    if (!o->authority)
        return error_set(e, FAILURE_USAGE, "missing option: --authority FILE");
    return !o->before || date_parse(&before, o->before, e);
}

static bool add_old(struct revoke_order *o, const struct revocations *old, struct error *e)
{
    if (o->permit_count + old->permit_count > REVOCATIONS_MAX ||
        o->key_count + old->key_count > REVOCATIONS_MAX)
        return too_many(e);
    if (old->permit_count)
        memcpy(o->permits[o->permit_count], old->permits, old->permit_count * PERMIT_ID_BYTES);
    if (old->key_count)
        memcpy(o->keys[o->key_count], old->keys, old->key_count * KEY_BYTES);
    o->permit_count += old->permit_count;
    o->key_count += old->key_count;
    return true;
}

static bool print_list(struct revoke_order *o, const struct revocations *old,
                       const struct sign_key *key, struct error *e)
{
    static const struct zone utc;
    struct date before = {0};
    struct revocations list = {.number = old->number + 1,
                               .issued_s = (uint64_t)clock_wall_s(),
                               .before_s = old->before_s,
                               .permits = o->permits[0],
                               .keys = o->keys[0]};
    char *text;
    if (!add_old(o, old, e) || (o->before && !date_parse(&before, o->before, e)))
        return false;
    list.permit_count = o->permit_count;
    list.key_count = o->key_count;
    if (before.is_set && date_begin(&before, &utc) > (int64_t)list.before_s)
        list.before_s = (uint64_t)date_begin(&before, &utc);
    text = revocations_issue(&list, key, e);
    if (text)
        fputs(text, stdout);
    free(text);
    return text != NULL;
}

bool revoke_print(struct revoke_order *o, struct error *e)
{
    struct revocations old = {0};
    struct sign_key key;
    bool good;
    if (!authority_key_load(&key, o->authority, e))
        return false;
    good = (!o->list || revocations_read(&old, o->list, key.public_key, e)) &&
           print_list(o, &old, &key, e);
    wipe(&key, sizeof key);
    revocations_free(&old);
    return good;
}
