/* Users, agents and pairs in tables, and what a new configuration does to them. */
#include "relay/directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "relay/labels.h"

static ptrdiff_t key_offset(size_t key, size_t entry)
{
    return (ptrdiff_t)key - (ptrdiff_t)entry;
}

void directory_init(struct directory *d, const uint8_t hash_key[16])
{
    memset(d, 0, sizeof *d);
    list_init(&d->users);
    list_init(&d->agents);
    table_init(
        &d->users_by_key, KEY_BYTES,
        key_offset(offsetof(struct known_user, public_key), offsetof(struct known_user, by_key)),
        hash_key);
    table_init(
        &d->agents_by_key, KEY_BYTES,
        key_offset(offsetof(struct known_agent, public_key), offsetof(struct known_agent, by_key)),
        hash_key);
    table_init(
        &d->agents_by_name, NAME_MAX_BYTES,
        key_offset(offsetof(struct known_agent, name), offsetof(struct known_agent, by_name)),
        hash_key);
    table_init(&d->pairs, (size_t)2 * KEY_BYTES,
               key_offset(offsetof(struct pair, keys), offsetof(struct pair, entry)), hash_key);
}

struct known_user *directory_user_by_key(const struct directory *d, const uint8_t key[KEY_BYTES])
{
    struct table_entry *entry = table_find(&d->users_by_key, key);
    return entry ? container_of(entry, struct known_user, by_key) : NULL;
}

struct known_agent *directory_agent_by_key(const struct directory *d, const uint8_t key[KEY_BYTES])
{
    struct table_entry *entry = table_find(&d->agents_by_key, key);
    return entry ? container_of(entry, struct known_agent, by_key) : NULL;
}

static struct known_user *add_user(struct directory *d, const struct relay_user *config)
{
    struct known_user *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    memcpy(u->public_key, config->public_key, KEY_BYTES);
    if (!table_insert(&d->users_by_key, &u->by_key)) {
        free(u);
        return NULL;
    }
    list_init(&u->hops);
    list_append(&d->users, &u->all);
    return u;
}

static struct known_agent *add_agent(struct directory *d, const struct relay_agent *config,
                                     uint64_t now_us)
{
    struct known_agent *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    memcpy(a->public_key, config->public_key, KEY_BYTES);
    memcpy(a->name, config->name, strnlen(config->name, NAME_MAX_BYTES));
    if (!table_insert(&d->agents_by_key, &a->by_key)) {
        free(a);
        return NULL;
    }
    if (!table_insert(&d->agents_by_name, &a->by_name)) {
        table_remove(&d->agents_by_key, &a->by_key);
        free(a);
        return NULL;
    }
    list_init(&a->hops.all);
    list_init(&a->hops.parked);
    list_init(&a->pendings);
    notice_init(&a->notice);
    presence_init(&a->presence, d->watch, now_us);
    list_append(&d->agents, &a->all);
    return a;
}

/* Its part of the configuration, in the place of the one before; NULL: it is new. */
static void configure_agent(struct directory *d, struct known_agent *a,
                            const struct relay_agent *config)
{
    const struct relay_agent *old = a->config;
    bool relabelled = old && !labels_same(old->labels, config->labels);
    a->config = config;
    a->generation = d->generation;
    a->presence.relabelled |= relabelled;
    if (!old || old->has_dial != config->has_dial || relabelled)
        presence_changed(&a->presence);
}

static void keep_visitors(struct directory *d)
{
    list_each (link, &d->users) {
        struct known_user *u = container_of(link, struct known_user, all);
        if (u->visit && u->stays) {
            u->before = u->config;
            u->generation = d->generation;
        }
    }
}

/* Marks the entries that stay with the new generation. */
static void keep_known(struct directory *d, const struct relay_config *config)
{
    d->generation++;
    for (size_t i = 0; i < config->user_count; i++) {
        struct known_user *u = directory_user_by_key(d, config->users[i].public_key);
        if (u && !u->visit && strcmp(u->config->name, config->users[i].name) == 0) {
            u->before = u->config;
            u->config = &config->users[i];
            u->generation = d->generation;
        }
    }
    for (size_t i = 0; i < config->agent_count; i++) {
        struct known_agent *a = directory_agent_by_key(d, config->agents[i].public_key);
        if (a && strcmp(a->name, config->agents[i].name) == 0)
            configure_agent(d, a, &config->agents[i]);
    }
}

static void take_out_gone(struct directory *d, struct list *gone_users, struct list *gone_agents)
{
    list_each (link, &d->users) {
        struct known_user *u = container_of(link, struct known_user, all);
        if (u->generation != d->generation) {
            table_remove(&d->users_by_key, &u->by_key);
            list_move(gone_users, &u->all);
        }
    }
    list_each (link, &d->agents) {
        struct known_agent *a = container_of(link, struct known_agent, all);
        if (a->generation != d->generation) {
            table_remove(&d->agents_by_key, &a->by_key);
            table_remove(&d->agents_by_name, &a->by_name);
            list_move(gone_agents, &a->all);
        }
    }
}

static bool add_new(struct directory *d, const struct relay_config *config, uint64_t now_us)
{
    bool all = true;
    for (size_t i = 0; i < config->user_count; i++) {
        struct known_user *u = directory_user_by_key(d, config->users[i].public_key);
        if (!u && (u = add_user(d, &config->users[i]))) {
            u->config = &config->users[i];
            u->generation = d->generation;
        }
        if (u)
            list_move(&d->users, &u->all);
        all = all && u;
    }
    for (size_t i = 0; i < config->agent_count; i++) {
        struct known_agent *a = directory_agent_by_key(d, config->agents[i].public_key);
        if (!a && (a = add_agent(d, &config->agents[i], now_us)))
            configure_agent(d, a, &config->agents[i]);
        if (a)
            list_move(&d->agents, &a->all);
        all = all && a;
    }
    return all;
}

bool directory_update(struct directory *d, const struct relay_config *config, uint64_t now_us,
                      struct list *gone_users, struct list *gone_agents)
{
    keep_known(d, config);
    keep_visitors(d);
    take_out_gone(d, gone_users, gone_agents);
    return add_new(d, config, now_us);
}

void directory_free_user(struct known_user *u)
{
    list_remove(&u->all);
    if (u->visit)
        u->free_visit(u->visit);
    free(u);
}

struct known_user *directory_add_visitor(struct directory *d, struct visit *v,
                                         const struct relay_user *config,
                                         void (*free_visit)(struct visit *v))
{
    struct known_user *u = add_user(d, config);
    if (!u)
        return NULL;
    u->config = config;
    u->generation = d->generation;
    u->visit = v;
    u->free_visit = free_visit;
    return u;
}

void directory_remove_visitor(struct directory *d, struct known_user *u)
{
    table_remove(&d->users_by_key, &u->by_key);
    directory_free_user(u);
}

void directory_free_agent(struct known_agent *a)
{
    list_remove(&a->all);
    notice_end(&a->notice);
    presence_free(&a->presence);
    free(a);
}

void directory_free(struct directory *d)
{
    list_each (link, &d->users)
        directory_free_user(container_of(link, struct known_user, all));
    list_each (link, &d->agents)
        directory_free_agent(container_of(link, struct known_agent, all));
    directory_sweep(d, CLOCK_NEVER);
    table_free(&d->users_by_key);
    table_free(&d->agents_by_key);
    table_free(&d->agents_by_name);
    table_free(&d->pairs);
}

bool directory_allows(const struct relay_user *u, const char *name)
{
    bool may = false;
    for (size_t i = 0; u && i < u->agent_count; i++)
        may |= text_matches(u->agents[i], name);
    return may;
}

bool directory_may_reach(const struct known_user *u, const char *name)
{
    return directory_allows(u->config, name);
}

struct known_agent *directory_agent_for(const struct directory *d, const struct known_user *u,
                                        struct view name)
{
    char key[NAME_TEXT_BYTES] = "";
    if (!name_valid(name))
        return NULL;
    memcpy(key, name.data, name.len);
    struct table_entry *entry = table_find(&d->agents_by_name, key);
    bool may = directory_may_reach(u, key);
    return entry && may ? container_of(entry, struct known_agent, by_name) : NULL;
}

struct pair *directory_pair(struct directory *d, const struct known_user *u,
                            const struct known_agent *a)
{
    uint8_t keys[2 * KEY_BYTES];
    memcpy(keys, u->public_key, KEY_BYTES);
    memcpy(keys + KEY_BYTES, a->public_key, KEY_BYTES);
    struct table_entry *entry = table_find(&d->pairs, keys);
    if (entry)
        return container_of(entry, struct pair, entry);
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return NULL;
    memcpy(pair->keys, keys, sizeof keys);
    list_init(&pair->junctions);
    if (!table_insert(&d->pairs, &pair->entry)) {
        free(pair);
        return NULL;
    }
    return pair;
}

void directory_sweep(struct directory *d, uint64_t now_us)
{
    struct list unused;
    list_init(&unused);
    for (struct table_entry *entry = table_next(&d->pairs, NULL); entry;
         entry = table_next(&d->pairs, entry)) {
        struct pair *pair = container_of(entry, struct pair, entry);
        if (pair->pending == 0 && pair->circuit_count == 0 && pair->connects.full_us <= now_us)
            list_append(&unused, &pair->unused);
    }
    list_each (link, &unused) {
        struct pair *pair = container_of(link, struct pair, unused);
        table_remove(&d->pairs, &pair->entry);
        free(pair);
    }
}

enum agent_state known_agent_state(const struct known_agent *a, uint64_t now_us)
{
    if (a->presence.where == PRESENCE_NOWHERE)
        return a->config->has_dial ? AGENT_DIALLED : AGENT_OFFLINE;
    return presence_is_duplicate(&a->presence, now_us) ? AGENT_DUPLICATE : AGENT_ONLINE;
}

void known_agent_labels(char out[LABELS_MAX_BYTES + 1], const struct known_agent *a)
{
    labels_merge(out, a->config->labels, a->presence.labels);
}
