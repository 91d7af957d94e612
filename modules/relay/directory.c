#include "relay/directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static ptrdiff_t key_offset(size_t key, size_t entry)
{
    return (ptrdiff_t)key - (ptrdiff_t)entry;
}

void directory_init(struct directory *d, const uint8_t hash_key[16])
{
    memset(d, 0, sizeof *d);
    list_init(&d->users);
    list_init(&d->agents);
    table_init(&d->users_by_key, KEY_BYTES,
               key_offset(offsetof(struct user, public_key), offsetof(struct user, by_key)),
               hash_key);
    table_init(&d->agents_by_key, KEY_BYTES,
               key_offset(offsetof(struct agent, public_key), offsetof(struct agent, by_key)),
               hash_key);
    table_init(&d->agents_by_name, NAME_MAX_BYTES,
               key_offset(offsetof(struct agent, name), offsetof(struct agent, by_name)), hash_key);
    table_init(&d->pairs, (size_t)2 * KEY_BYTES,
               key_offset(offsetof(struct pair, keys), offsetof(struct pair, entry)), hash_key);
}

struct user *directory_user_by_key(const struct directory *d, const uint8_t key[KEY_BYTES])
{
    struct table_entry *entry = table_find(&d->users_by_key, key);
    return entry ? container_of(entry, struct user, by_key) : NULL;
}

struct agent *directory_agent_by_key(const struct directory *d, const uint8_t key[KEY_BYTES])
{
    struct table_entry *entry = table_find(&d->agents_by_key, key);
    return entry ? container_of(entry, struct agent, by_key) : NULL;
}

static struct user *add_user(struct directory *d, const struct relay_user *config)
{
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    memcpy(u->public_key, config->public_key, KEY_BYTES);
    if (!table_insert(&d->users_by_key, &u->by_key)) {
        free(u);
        return NULL;
    }
    list_init(&u->peers);
    list_append(&d->users, &u->all);
    return u;
}

static struct agent *add_agent(struct directory *d, const struct relay_agent *config,
                               uint64_t now_us)
{
    struct agent *a = calloc(1, sizeof *a);
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
    list_init(&a->parked);
    list_init(&a->pendings);
    list_init(&a->changed);
    a->since_us = now_us;
    list_append(&d->agents, &a->all);
    return a;
}

/* Marks the entries that stay with the new generation. */
static void keep_known(struct directory *d, const struct relay_config *config)
{
    d->generation++;
    for (size_t i = 0; i < config->user_count; i++) {
        struct user *u = directory_user_by_key(d, config->users[i].public_key);
        if (u && strcmp(u->config->name, config->users[i].name) == 0) {
            u->config = &config->users[i];
            u->generation = d->generation;
        }
    }
    for (size_t i = 0; i < config->agent_count; i++) {
        struct agent *a = directory_agent_by_key(d, config->agents[i].public_key);
        if (a && strcmp(a->name, config->agents[i].name) == 0) {
            a->config = &config->agents[i];
            a->generation = d->generation;
        }
    }
}

static void take_out_gone(struct directory *d, struct list *gone_users, struct list *gone_agents)
{
    list_each (link, &d->users) {
        struct user *u = container_of(link, struct user, all);
        if (u->generation != d->generation) {
            table_remove(&d->users_by_key, &u->by_key);
            list_move(gone_users, &u->all);
        }
    }
    list_each (link, &d->agents) {
        struct agent *a = container_of(link, struct agent, all);
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
        struct user *u = directory_user_by_key(d, config->users[i].public_key);
        if (!u && (u = add_user(d, &config->users[i]))) {
            u->config = &config->users[i];
            u->generation = d->generation;
        }
        if (u)
            list_move(&d->users, &u->all);
        all = all && u;
    }
    for (size_t i = 0; i < config->agent_count; i++) {
        struct agent *a = directory_agent_by_key(d, config->agents[i].public_key);
        if (!a && (a = add_agent(d, &config->agents[i], now_us))) {
            a->config = &config->agents[i];
            a->generation = d->generation;
        }
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
    take_out_gone(d, gone_users, gone_agents);
    return add_new(d, config, now_us);
}

void directory_free_user(struct user *u)
{
    list_remove(&u->all);
    free(u);
}

void directory_free_agent(struct agent *a)
{
    list_remove(&a->all);
    list_remove(&a->changed);
    free(a->labels);
    free(a->call_text);
    free(a);
}

void directory_free(struct directory *d)
{
    list_each (link, &d->users)
        directory_free_user(container_of(link, struct user, all));
    list_each (link, &d->agents)
        directory_free_agent(container_of(link, struct agent, all));
    directory_sweep(d, CLOCK_NEVER);
    table_free(&d->users_by_key);
    table_free(&d->agents_by_key);
    table_free(&d->agents_by_name);
    table_free(&d->pairs);
}

bool directory_may_reach(const struct user *u, const char *name)
{
    bool may = false;
    for (size_t i = 0; i < u->config->agent_count; i++)
        may |= text_matches(u->config->agents[i], name);
    return may;
}

struct agent *directory_agent_for(const struct directory *d, const struct user *u, struct view name)
{
    char key[NAME_MAX_BYTES + 1] = "";
    if (!name_valid(name))
        return NULL;
    memcpy(key, name.data, name.len);
    struct table_entry *entry = table_find(&d->agents_by_name, key);
    bool may = directory_may_reach(u, key);
    return entry && may ? container_of(entry, struct agent, by_name) : NULL;
}

struct pair *directory_pair(struct directory *d, const struct user *u, const struct agent *a)
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
    list_init(&pair->circuits);
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

/* NULL for an empty text, and without memory. */
static char *copy_clean(struct view text)
{
    char clean[LABELS_MAX_BYTES + 1];
    return text_clean(clean, sizeof clean, text) > 0 ? strdup(clean) : NULL;
}

void directory_set_info(struct agent *a, const struct info *info)
{
    free(a->labels);
    a->labels = copy_clean(info->labels);
    a->flags = info->flags;
}

bool directory_call(struct agent *a, const struct call *call, uint64_t now_us)
{
    if (a->called_us != 0 && now_us - a->called_us < CALL_INTERVAL_S * CLOCK_US_PER_S)
        return false;
    char *text = copy_clean(call->text);
    if (!text && call->text.len > 0)
        return false;
    free(a->call_text);
    a->call_text = text;
    a->severity = call->severity;
    a->called_us = now_us;
    return true;
}

bool directory_replaced(struct agent *a, uint64_t now_us)
{
    bool taking_turns =
        a->replaced_us != 0 && now_us - a->replaced_us < DUPLICATE_WAIT_S * CLOCK_US_PER_S;
    bool was_duplicate = now_us < a->duplicate_until_us;
    a->replaced_us = now_us;
    if (taking_turns)
        a->duplicate_until_us = now_us + DUPLICATE_SHOWN_US;
    return taking_turns && !was_duplicate;
}

enum agent_state directory_state(const struct agent *a, uint64_t now_us)
{
    if (a->control)
        return now_us < a->duplicate_until_us ? AGENT_DUPLICATE : AGENT_ONLINE;
    return a->config->has_dial ? AGENT_DIALLED : AGENT_OFFLINE;
}

/* The next word of a text of words between spaces, from *at on; false: none is left. */
static bool next_word(const char **at, struct view *word)
{
    *at += strspn(*at, " \t");
    size_t len = strcspn(*at, " \t");
    *word = view_of(*at, len);
    *at += len;
    return len > 0;
}

static struct view label_of(struct view word)
{
    const uint8_t *equals = memchr(word.data, '=', word.len);
    return view_of(word.data, equals ? (size_t)(equals - word.data) : word.len);
}

static bool has_label(const char *labels, struct view label)
{
    struct view word;
    while (next_word(&labels, &word))
        if (view_equal(label_of(word), label))
            return true;
    return false;
}

static void add_word(char out[LABELS_MAX_BYTES + 1], struct view word)
{
    size_t len = strlen(out);
    size_t space = len > 0;
    if (len + space + word.len > LABELS_MAX_BYTES)
        return;
    memcpy(out + len, " ", space);
    memcpy(out + len + space, word.data, word.len);
    out[len + space + word.len] = '\0';
}

static const char *text_or_none(const char *text)
{
    return text ? text : "";
}

void directory_labels(char out[LABELS_MAX_BYTES + 1], const struct agent *a)
{
    struct view word;
    out[0] = '\0';
    for (const char *at = text_or_none(a->config->labels); next_word(&at, &word);)
        add_word(out, word);
    for (const char *at = text_or_none(a->labels); next_word(&at, &word);)
        if (!has_label(text_or_none(a->config->labels), label_of(word)))
            add_word(out, word);
}

static bool any_label_matches(const char *pattern, const char *labels)
{
    char text[LABELS_MAX_BYTES + 1];
    struct view word;
    while (next_word(&labels, &word)) {
        memcpy(text, word.data, word.len);
        text[word.len] = '\0';
        if (text_matches(pattern, text))
            return true;
    }
    return false;
}

bool directory_query_matches(const char *query, const char *name, const char *labels)
{
    char pattern[QUERY_MAX_BYTES + 1];
    struct view word;
    while (next_word(&query, &word)) {
        if (word.len > QUERY_MAX_BYTES)
            return false;
        memcpy(pattern, word.data, word.len);
        pattern[word.len] = '\0';
        bool matches =
            strchr(pattern, '=') ? any_label_matches(pattern, labels) : text_matches(pattern, name);
        if (!matches)
            return false;
    }
    return true;
}
