/* A table of public keys under a lock. A DH result is computed at a key's first handshake and
 * kept as long as the key is. */
#include "crypto/known_keys.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct known_key {
    struct table_entry entry;
    struct list all;
    uint8_t key[KEY_BYTES];
    uint8_t shared[KEY_BYTES];
    bool computed;
    bool current; /* added since the last begin */
};

struct known_keys {
    pthread_mutex_t lock;
    struct table table;
    struct list all;
};

struct known_keys *known_keys_new(void)
{
    uint8_t hash_key[16];
    struct known_keys *known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    random_bytes(hash_key, sizeof hash_key);
    pthread_mutex_init(&known->lock, NULL);
    list_init(&known->all);
    table_init(&known->table, KEY_BYTES,
               (ptrdiff_t)offsetof(struct known_key, key) -
                   (ptrdiff_t)offsetof(struct known_key, entry),
               hash_key);
    return known;
}

static void forget(struct known_keys *known, struct known_key *k)
{
    table_remove(&known->table, &k->entry);
    list_remove(&k->all);
    wipe(k, sizeof *k);
    free(k);
}

void known_keys_free(struct known_keys *known)
{
    if (!known)
        return;
    known_keys_begin(known);
    known_keys_end(known);
    table_free(&known->table);
    pthread_mutex_destroy(&known->lock);
    free(known);
}

static struct known_key *find(const struct known_keys *known, const uint8_t key[KEY_BYTES])
{
    struct table_entry *entry = table_find(&known->table, key);
    return entry ? container_of(entry, struct known_key, entry) : NULL;
}

void known_keys_begin(struct known_keys *known)
{
    pthread_mutex_lock(&known->lock);
    list_each (link, &known->all)
        container_of(link, struct known_key, all)->current = false;
    pthread_mutex_unlock(&known->lock);
}

static bool add(struct known_keys *known, const uint8_t key[KEY_BYTES])
{
    struct known_key *k = find(known, key);
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k)
            return false;
        memcpy(k->key, key, KEY_BYTES);
        if (!table_insert(&known->table, &k->entry)) {
            free(k);
            return false;
        }
        list_append(&known->all, &k->all);
    }
    k->current = true;
    return true;
}

bool known_keys_add(struct known_keys *known, const uint8_t key[KEY_BYTES])
{
    pthread_mutex_lock(&known->lock);
    bool added = add(known, key);
    pthread_mutex_unlock(&known->lock);
    return added;
}

void known_keys_end(struct known_keys *known)
{
    pthread_mutex_lock(&known->lock);
    list_each (link, &known->all) {
        struct known_key *k = container_of(link, struct known_key, all);
        if (!k->current)
            forget(known, k);
    }
    pthread_mutex_unlock(&known->lock);
}

enum key_knowledge known_keys_find(struct known_keys *known, const uint8_t key[KEY_BYTES],
                                   uint8_t shared[KEY_BYTES])
{
    enum key_knowledge knowledge = KEY_UNKNOWN;
    pthread_mutex_lock(&known->lock);
    const struct known_key *k = find(known, key);
    if (k && k->computed) {
        memcpy(shared, k->shared, KEY_BYTES);
        knowledge = KEY_COMPUTED;
    } else if (k) {
        knowledge = KEY_KNOWN;
    }
    pthread_mutex_unlock(&known->lock);
    return knowledge;
}

void known_keys_keep(struct known_keys *known, const uint8_t key[KEY_BYTES],
                     const uint8_t shared[KEY_BYTES])
{
    pthread_mutex_lock(&known->lock);
    struct known_key *k = find(known, key);
    if (k) {
        memcpy(k->shared, shared, KEY_BYTES);
        k->computed = true;
    }
    pthread_mutex_unlock(&known->lock);
}
