/* Statements about agents, issued. */
#include "authority/vouch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "config/values.h"
#include "crypto/authority_key.h"
#include "permit/armour.h"
#include "permit/vouch.h"

#define LASTS_DEFAULT "366d"

static bool read_lasts(const struct vouch_order *o, uint32_t *out, struct error *e)
{
    static const struct number_range durations = {1, 10 * PERMIT_SESSION_MAX_S, SECONDS};
    return value_number(out, o->lasts ? o->lasts : LASTS_DEFAULT, &durations, e);
}

bool vouch_settle(const struct vouch_order *o, struct error *e)
{
    uint8_t key[KEY_BYTES];
    char name[NAME_TEXT_BYTES];
    uint32_t lasts_s;
    if (!o->authority)
        return error_set(e, FAILURE_USAGE, "missing option: --authority FILE");
    if (!o->agent)
        return error_set(e, FAILURE_USAGE, "missing option: --name NAME");
    if (!o->key)
        return error_set(e, FAILURE_USAGE, "missing option: --key KEY");
    if (!public_key_from_text(key, view_of_string(o->key)))
        return error_set(e, FAILURE_USAGE, "'%s' is not a public key", o->key);
    return value_name(name, o->agent, e) && read_lasts(o, &lasts_s, e);
}

static char *sign_text(const struct vouch_order *o, uint32_t lasts_s, const struct sign_key *key)
{
    struct vouch v = {.agent = view_of_string(o->agent), .issued_s = (uint64_t)clock_wall_s()};
    uint8_t bytes[VOUCH_MAX_BYTES];
    size_t len;
    v.until_s = v.issued_s + lasts_s;
    (void)public_key_from_text(v.key, view_of_string(o->key));
    len = vouch_issue(bytes, &v, key);
    return len ? armour_text(ARMOUR_AGENT, view_of(bytes, len)) : NULL;
}

bool vouch_print(const struct vouch_order *o, struct error *e)
{
    struct sign_key key;
    uint32_t lasts_s;
    char *text;
    if (!read_lasts(o, &lasts_s, e) || !authority_key_load(&key, o->authority, e))
        return false;
    text = sign_text(o, lasts_s, &key);
    wipe(&key, sizeof key);
    if (!text)
        return error_no_memory(e);
    fputs(text, stdout);
    free(text);
    return true;
}
