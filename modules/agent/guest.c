/* Permit and section together: each list has what both allow, each limit is the smaller one. */
#include "agent/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/rule_words.h"
#include "base/array.h"
#include "base/text.h"
#include "permit/judge.h"

#define ID_DIGITS 8 /* of a permit, that are shown */

/* ---- Patterns. ---- */

typedef bool add_items(struct agent_user *user, const char *list, struct error *e);

/* A permit's list has the form that the file has, an item at a time. */
static bool read_list(struct agent_user *out, const struct permit_list *list, add_items *add,
                      struct error *e)
{
    char text[TARGET_MAX_BYTES + 1];
    struct error why = {0};
    for (size_t i = 0; i < list->count; i++) {
        text_clean(text, sizeof text, list->items[i]);
        if (strchr(text, ',')) /* an item is one, and no list */
            error_set(&why, FAILURE_DENIED, "'%s' is more than one", text);
        if (why.failure || !add(out, text, &why))
            return error_set(e, FAILURE_DENIED, "the permit cannot be used here: %s", why.text);
    }
    return true;
}

static bool add_both(struct target_pattern **all, size_t *count, const struct target_pattern *a,
                     const struct target_pattern *b, struct error *e)
{
    struct target_pattern both, *grown;
    if (!target_pattern_both(&both, a, b))
        return true;
    if (*count == GUEST_PATTERNS_MAX)
        return error_set(e, FAILURE_DENIED,
                         "the permit and this agent's file together have more than %d patterns",
                         GUEST_PATTERNS_MAX);
    grown = array_append(*all, count, sizeof *grown);
    if (!grown)
        return error_no_memory(e);
    *all = grown;
    grown[*count - 1] = both;
    return true;
}

static bool join(struct target_pattern **out, size_t *out_count, const struct target_pattern *a,
                 size_t a_count, const struct target_pattern *b, size_t b_count, struct error *e)
{
    for (size_t i = 0; i < a_count; i++)
        for (size_t j = 0; j < b_count; j++)
            if (!add_both(out, out_count, &a[i], &b[j], e))
                return false;
    return true;
}

static bool join_lists(struct agent_user *out, const struct agent_user *asked,
                       const struct agent_user *most, struct error *e)
{
    return join(&out->allow, &out->allow_count, asked->allow, asked->allow_count, most->allow,
                most->allow_count, e) &&
           join(&out->listen, &out->listen_count, asked->listen, asked->listen_count, most->listen,
                most->listen_count, e);
}

static bool allow_both(struct agent_user *out, const struct permit *p,
                       const struct agent_user *most, struct error *e)
{
    struct agent_user asked = {0};
    bool good = read_list(&asked, &p->inner.allow, agent_user_add_allow, e) &&
                read_list(&asked, &p->inner.listen, agent_user_add_listen, e) &&
                join_lists(out, &asked, most, e);
    agent_user_free(&asked);
    return good;
}

/* ---- The whole user. ---- */

struct agent_user guest_section(const struct agent_authority *a)
{
    struct agent_user user = a->most;
    snprintf(user.name, sizeof user.name, "permits of %.64s", a->most.name);
    return user;
}

static void name_user(struct agent_user *user, const struct permit *p,
                      const struct agent_authority *by)
{
    char name[NAME_TEXT_BYTES], id[PERMIT_ID_TEXT_BYTES];
    text_clean(name, sizeof name, p->outer.user);
    permit_id_text(id, p);
    snprintf(user->name, sizeof user->name, "%s (%.64s, permit %.*s)", name, by->most.name,
             ID_DIGITS, id);
}

static bool make_user(struct agent_user *out, const struct permit *p,
                      const struct agent_authority *by, struct error *e)
{
    *out = (struct agent_user){
        .listeners = by->most.listeners, .streams = by->most.streams, .given = by->most.given};
    memcpy(out->public_key, p->outer.user_key, sizeof out->public_key);
    out->given.rules.max_session_s = permit_session_s(p, by->most.given.rules.max_session_s);
    name_user(out, p, by);
    if (allow_both(out, p, &by->most, e))
        return true;
    agent_user_free(out);
    return false;
}

struct guest *guest_new(const struct permit *p, struct view bytes, const struct agent_authority *by,
                        struct error *e)
{
    struct guest *g = calloc(1, sizeof *g);
    if (!g) {
        error_no_memory(e);
        return NULL;
    }
    if (bytes.len > sizeof g->bytes || !make_user(&g->user, p, by, e)) {
        free(g);
        return NULL;
    }
    list_init(&g->place);
    memcpy(g->authority, by->public_key, sizeof g->authority);
    permit_id(g->id, p);
    text_clean(g->reason, sizeof g->reason, p->inner.reason);
    g->until_s = (int64_t)p->outer.until_s;
    g->len = bytes.len;
    memcpy(g->bytes, bytes.data, bytes.len);
    return g;
}

void guest_free(struct guest *g)
{
    list_remove(&g->place);
    agent_user_free(&g->user);
    free(g);
}

static bool same_patterns(const struct target_pattern *a, size_t a_count,
                          const struct target_pattern *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = target_pattern_same(&a[i], &b[i]);
    return same;
}

static bool same_rules(const struct rules *a, const struct rules *b)
{
    static const struct zone utc;
    char one[RULE_VALUE_BYTES], other[RULE_VALUE_BYTES];
    bool same = true;
    for (unsigned i = 0; same && i < RULE_WORDS; i++) {
        rule_value(one, i, a, &utc);
        rule_value(other, i, b, &utc);
        same = strcmp(one, other) == 0;
    }
    return same;
}

static bool same_user(const struct agent_user *a, const struct agent_user *b)
{
    return same_patterns(a->allow, a->allow_count, b->allow, b->allow_count) &&
           same_patterns(a->listen, a->listen_count, b->listen, b->listen_count) &&
           a->listeners == b->listeners && a->streams == b->streams &&
           same_rules(&a->given.rules, &b->given.rules);
}

bool guest_renew(struct guest *g, const struct agent_authority *by, struct error *e)
{
    struct agent_user fresh;
    struct permit p;
    if (!permit_decode(&p, view_of(g->bytes, g->len), true, e) || !make_user(&fresh, &p, by, e))
        return false;
    g->changed = !same_user(&g->user, &fresh);
    agent_user_free(&g->user);
    g->user = fresh;
    return true;
}

struct guest *guest_find(const struct list *guests, const uint8_t key[KEY_BYTES], const uint8_t *id)
{
    struct guest *found = NULL;
    list_each (link, guests) {
        struct guest *g = container_of(link, struct guest, place);
        if (memcmp(g->user.public_key, key, KEY_BYTES) == 0 &&
            (!id || memcmp(g->id, id, PERMIT_ID_BYTES) == 0))
            found = g;
    }
    return found;
}
