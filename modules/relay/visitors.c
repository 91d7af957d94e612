/* Admission, life and end of users by permit. */
#include "relay/visitors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/note.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "guard/guard.h"
#include "permit/judge.h"
#include "relay/desk.h"
#include "relay/junction.h"
#include "relay/peer.h"

#define VISITORS_MAX 1024
#define UNSEEN_US (2ULL * HANDSHAKE_S * CLOCK_US_PER_S) /* a hop opens sooner, or never */

/* ---- A visit. ---- */

static bool add_pattern(struct relay_user *u, const char *pattern)
{
    char(*agents)[NAME_TEXT_BYTES] = array_append(u->agents, &u->agent_count, sizeof *agents);

    if (!agents)
        return false;
    u->agents = agents;
    snprintf(agents[u->agent_count - 1], NAME_TEXT_BYTES, "%s", pattern);
    return true;
}

/* An agent by its key is the one that has it here. */
static bool add_agents(struct relay_user *u, const struct directory *d, const struct permit *p)
{
    char pattern[NAME_TEXT_BYTES];
    bool all = true;
    for (size_t i = 0; i < p->outer.patterns.count; i++) {
        text_clean(pattern, sizeof pattern, p->outer.patterns.items[i]);
        all = all && add_pattern(u, pattern);
    }
    for (size_t i = 0; i < p->outer.keys.count; i++) {
        const struct known_agent *a = directory_agent_by_key(d, p->outer.keys.items[i].data);
        all = all && (!a || add_pattern(u, a->name));
    }
    return all;
}

static bool decode(struct permit *p, const struct visit_grant *g)
{
    struct error ignored = {0};
    return permit_decode(p, view_of(g->bytes, g->len), false, &ignored);
}

/* All that its grants name. False without memory: it is as it was. */
static bool rebuild(struct visit *v, const struct directory *d)
{
    struct relay_user fresh = v->config;
    bool all = true;
    fresh.agents = NULL;
    fresh.agent_count = 0;
    for (size_t i = 0; i < v->grant_count && all; i++) {
        struct permit p;
        all = decode(&p, v->grants[i]) && add_agents(&fresh, d, &p);
        text_clean(fresh.name, sizeof fresh.name, p.outer.user);
    }
    free(all ? v->config.agents : fresh.agents);
    if (all)
        v->config = fresh;
    return all;
}

static void drop_grant(struct visit *v, size_t at)
{
    free(v->grants[at]);
    v->grant_count--;
    for (size_t i = at; i < v->grant_count; i++)
        v->grants[i] = v->grants[i + 1];
}

static void free_visit(struct visit *v)
{
    while (v->grant_count)
        drop_grant(v, 0);
    free(v->config.agents);
    free(v);
}

static struct visit_grant *new_grant(const struct permit *p, struct view bytes, uint32_t session_s)
{
    struct visit_grant *g = calloc(1, sizeof *g + bytes.len);
    if (!g)
        return NULL;
    permit_id(g->id, p);
    g->over_s = (int64_t)p->outer.until_s + session_s + PERMIT_SKEW_S;
    g->len = bytes.len;
    memcpy(g->bytes, bytes.data, bytes.len);
    return g;
}

static struct visit_grant *find_grant(const struct visit *v, const uint8_t id[PERMIT_ID_BYTES])
{
    for (size_t i = 0; i < v->grant_count; i++)
        if (memcmp(v->grants[i]->id, id, PERMIT_ID_BYTES) == 0)
            return v->grants[i];
    return NULL;
}

static void add_grant(struct visit *v, struct visit_grant *g)
{
    if (v->grant_count == VISIT_GRANTS_MAX)
        drop_grant(v, 0);
    v->grants[v->grant_count++] = g;
}

/* ---- Admission. ---- */

static const struct relay_authority *authority_of(const struct relay_config *c,
                                                  const struct permit *p)
{
    uint8_t hash[HASH_BYTES];
    for (size_t i = 0; i < c->authority_count; i++) {
        permit_authority_hash(hash, c->authorities[i].public_key);
        if (memcmp(hash, p->outer.authority, sizeof hash) == 0)
            return &c->authorities[i];
    }
    return NULL;
}

static bool check(const struct relay *r, const uint8_t key[KEY_BYTES], const struct permit *p,
                  bool vouched, struct error *e)
{
    const struct relay_authority *by = authority_of(&r->config, p);
    const struct permit_clock clock = {.wall_s = clock_wall_s()};
    if (!by)
        return error_set(e, FAILURE_DENIED,
                         "this key is not in the relay's configuration, nor the authority of the "
                         "permit");
    if (memcmp(p->outer.user_key, key, KEY_BYTES) != 0)
        return error_set(e, FAILURE_DENIED, "the permit is for another key");
    if (!vouched)
        return error_set(e, FAILURE_DENIED,
                         "the permit is not signed by the authority that it names");
    if (revoked_say(&r->revoked, by->public_key, p))
        return error_set(e, FAILURE_DENIED, "%s", revoked_say(&r->revoked, by->public_key, p));
    return permit_has_begun(p, &clock, e) && permit_may_go_on(p, &clock, by->max_session_s, e);
}

static bool is_unused(const struct known_user *u)
{
    return list_empty(&u->hops) && u->circuit_count == 0;
}

static void remove_visitor(struct relay *r, struct known_user *u)
{
    directory_remove_visitor(&r->directory, u);
    r->visitor_count--;
}

static void forget_unused(struct relay *r, uint64_t before_us)
{
    list_each (link, &r->directory.users) {
        struct known_user *u = container_of(link, struct known_user, all);
        if (u->visit && is_unused(u) && u->visit->seen_us < before_us)
            remove_visitor(r, u);
    }
}

static struct known_user *add_visitor(struct relay *r, const uint8_t key[KEY_BYTES])
{
    struct visit *v = calloc(1, sizeof *v);
    struct known_user *u;
    if (!v)
        return NULL;
    memcpy(v->config.public_key, key, KEY_BYTES);
    u = directory_add_visitor(&r->directory, v, &v->config, free_visit);
    if (!u) {
        free_visit(v);
        return NULL;
    }
    r->visitor_count++;
    return u;
}

static struct known_user *find_or_add(struct relay *r, const uint8_t key[KEY_BYTES],
                                      struct error *e)
{
    struct known_user *u = directory_user_by_key(&r->directory, key);
    if (u)
        return u;
    if (r->visitor_count >= VISITORS_MAX) {
        error_set(e, FAILURE_OTHER, "too many users by permit are at this relay");
        return NULL;
    }
    u = add_visitor(r, key);
    if (!u)
        error_no_memory(e);
    return u;
}

static bool grant(struct relay *r, struct known_user *u, const struct permit *p, struct view bytes)
{
    struct visit *v = u->visit;
    uint8_t id[PERMIT_ID_BYTES];
    struct visit_grant *g;
    permit_id(id, p);
    v->seen_us = loop_now(r->loop);
    if (!find_grant(v, id)) {
        g = new_grant(p, bytes, authority_of(&r->config, p)->max_session_s);
        if (!g)
            return false;
        add_grant(v, g);
    }
    return rebuild(v, &r->directory); /* the agents may have other names since */
}

struct known_user *visitors_admit(struct relay *r, const uint8_t key[KEY_BYTES], struct view permit,
                                  bool vouched, const char **why)
{
    static struct error e;
    struct known_user *u = NULL;
    struct permit p;
    e = (struct error){0};
    *why = e.text;
    if (permit_decode(&p, permit, false, &e) && check(r, key, &p, vouched, &e))
        u = find_or_add(r, key, &e);
    if (u && !grant(r, u, &p, permit)) {
        error_no_memory(&e);
        u = NULL;
    }
    return u;
}

/* ---- Its life. ---- */

static void note(struct peer *peer, struct known_user *u, struct visit_grant *g)
{
    char id[PERMIT_ID_TEXT_BYTES], key[FINGERPRINT_TEXT_BYTES];
    char text[sizeof id + NAME_TEXT_BYTES + 32];
    struct relay *r = peer->relay;
    struct log_fields f = {.event = "permit_used",
                           .user = u->config->name,
                           .key = key,
                           .address = peer->address,
                           .reason = text};
    const struct relay_authority *by;
    struct permit p;
    g->noted = true;
    by = decode(&p, g) ? authority_of(&r->config, &p) : NULL;
    text_hex(id, g->id, sizeof g->id);
    key_fingerprint(key, u->public_key);
    snprintf(text, sizeof text, "permit %s of %s", id, by ? by->name : "nobody");
    log_caused_event(&r->log, u->public_key, loop_now(r->loop), LOG_INFO, &f,
                     "user %s, key %s, from %s: by %s", f.user, key, peer->address, text);
    audit_note(r->audit, &f, &(struct audit_entry){0});
}

void visitors_opened(struct peer *peer, struct known_user *u)
{
    for (size_t i = 0; u->visit && i < u->visit->grant_count; i++)
        if (!u->visit->grants[i]->noted)
            note(peer, u, u->visit->grants[i]);
}

/* Grants of authorities that are gone go with them; keys may be those of other agents now. */
static bool stays(struct known_user *u, const struct relay_config *config,
                  const struct directory *d)
{
    struct visit *v = u->visit;
    for (size_t i = v->grant_count; i > 0; i--) {
        struct permit p;
        if (!decode(&p, v->grants[i - 1]) || !authority_of(config, &p))
            drop_grant(v, i - 1);
    }
    for (size_t i = 0; i < config->user_count; i++)
        if (memcmp(config->users[i].public_key, u->public_key, KEY_BYTES) == 0)
            return false;
    return v->grant_count > 0 && rebuild(v, d);
}

void visitors_reload(struct relay *r, const struct relay_config *config)
{
    list_each (link, &r->directory.users) {
        struct known_user *u = container_of(link, struct known_user, all);
        if (!u->visit)
            continue;
        u->stays = stays(u, config, &r->directory);
        r->visitor_count -= !u->stays;
    }
}

/* ---- Its end. ---- */

static bool read_list(struct relay *r, const struct relay_authority *a, struct error *e)
{
    if (!a->revocations || revoked_read(&r->revoked, a->public_key, a->revocations, e))
        return true;
    if (!revoked_has(&r->revoked, a->public_key))
        return false;
    log_error("%s" REVOKED_STAYS "%s", e->text, guard_hint(e));
    return true;
}

bool visitors_read_revocations(struct relay *r, const struct relay_config *config, struct error *e)
{
    for (size_t i = 0; i < config->authority_count; i++)
        if (!read_list(r, &config->authorities[i], e))
            return false;
    return true;
}

static void read_changed(struct relay *r)
{
    struct error e = {0};
    for (size_t i = 0; i < r->config.authority_count; i++) {
        const struct relay_authority *a = &r->config.authorities[i];
        if (a->revocations && revoked_may_have_changed(&r->revoked, a->public_key, a->revocations))
            read_list(r, a, &e);
    }
}

static bool is_over(const struct relay *r, const struct visit_grant *g)
{
    const struct relay_authority *by;
    struct permit p;
    return g->over_s <= clock_wall_s() || !decode(&p, g) || !(by = authority_of(&r->config, &p)) ||
           revoked_say(&r->revoked, by->public_key, &p);
}

static void end_all(struct relay *r, const struct known_user *u)
{
    static const char why[] = "the user's permit is over, or taken back";
    while (!list_empty(&u->hops))
        peer_bye(container_of(u->hops.next, struct peer, of_party), CODE_REVOKED, why, 0);
    list_each (link, &r->junctions) {
        struct junction *j = container_of(link, struct junction, all);
        if (j->user == u)
            junction_end(j, why);
    }
}

static void drop_over(struct relay *r, struct known_user *u)
{
    struct visit *v = u->visit;
    size_t before = v->grant_count;
    for (size_t i = before; i > 0; i--)
        if (is_over(r, v->grants[i - 1]))
            drop_grant(v, i - 1);
    if (v->grant_count == 0)
        end_all(r, u);
    else if (v->grant_count != before)
        rebuild(v, &r->directory);
}

void visitors_sweep(struct relay *r)
{
    uint64_t now = loop_now(r->loop);
    read_changed(r);
    list_each (link, &r->directory.users) {
        struct known_user *u = container_of(link, struct known_user, all);
        if (u->visit)
            drop_over(r, u);
    }
    forget_unused(r, now > UNSEEN_US ? now - UNSEEN_US : 0);
}
