/* Authorities under a lock, which is not held while a signature is computed. */
#include "relay/authorities.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "permit/permit.h"
#include "wire/messages.h"

#define GOOD_MAX 1024 /* signatures that are remembered */

struct authorities {
    pthread_mutex_t lock;
    size_t count;
    uint8_t keys[RELAY_AUTHORITIES_MAX][SIGN_PUBLIC_BYTES];
    uint8_t good[GOOD_MAX][HASH_BYTES]; /* of permit and authority; zeros: none */
    size_t next;                        /* the oldest of them */
};

struct authorities *authorities_new(void)
{
    struct authorities *a = calloc(1, sizeof *a);
    if (a)
        pthread_mutex_init(&a->lock, NULL);
    return a;
}

void authorities_free(struct authorities *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void authorities_set(struct authorities *a, const struct relay_config *config)
{
    pthread_mutex_lock(&a->lock);
    a->count = config->authority_count;
    for (size_t i = 0; i < a->count; i++)
        memcpy(a->keys[i], config->authorities[i].public_key, SIGN_PUBLIC_BYTES);
    pthread_mutex_unlock(&a->lock);
}

/* The key of the authority that a permit names. */
static bool find_key(struct authorities *a, const struct permit *p, uint8_t out[SIGN_PUBLIC_BYTES])
{
    uint8_t hash[HASH_BYTES];
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count && !found; i++) {
        permit_authority_hash(hash, a->keys[i]);
        found = memcmp(hash, p->outer.authority, sizeof hash) == 0;
        if (found)
            memcpy(out, a->keys[i], SIGN_PUBLIC_BYTES);
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

static bool was_good(struct authorities *a, const uint8_t hash[HASH_BYTES])
{
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < GOOD_MAX && !found; i++)
        found = memcmp(a->good[i], hash, HASH_BYTES) == 0;
    pthread_mutex_unlock(&a->lock);
    return found;
}

static void remember(struct authorities *a, const uint8_t hash[HASH_BYTES])
{
    pthread_mutex_lock(&a->lock);
    memcpy(a->good[a->next], hash, HASH_BYTES);
    a->next = (a->next + 1) % GOOD_MAX;
    pthread_mutex_unlock(&a->lock);
}

/* The signature is part of what is remembered. */
static bool is_signed(struct authorities *a, const struct permit *p,
                      const uint8_t key[SIGN_PUBLIC_BYTES])
{
    uint8_t hash[HASH_BYTES];
    sha256(hash, p->outer_bytes, p->signature);
    if (was_good(a, hash))
        return true;
    if (!permit_is_signed_by(p, key))
        return false;
    remember(a, hash);
    return true;
}

enum vouching authorities_vouch(struct authorities *a, const uint8_t key[KEY_BYTES],
                                struct view payload)
{
    uint8_t authority[SIGN_PUBLIC_BYTES];
    struct hello hello;
    struct permit p;
    struct error ignored = {0};
    uint16_t unsupported;
    if (!hello_decode(&hello, payload, &unsupported) || hello.permit.len == 0 ||
        !permit_decode(&p, hello.permit, false, &ignored) ||
        memcmp(p.outer.user_key, key, KEY_BYTES) != 0 || !find_key(a, &p, authority))
        return VOUCHING_NONE;
    return is_signed(a, &p, authority) ? VOUCHING_GOOD : VOUCHING_BAD;
}
