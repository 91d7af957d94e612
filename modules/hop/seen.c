/* Keys that were seen recently, as keyed hashes in a table without chains. */
#include "hop/seen.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"
#include "wire/limits.h"

#define SLOTS 8192

struct seen {
    uint8_t hash_key[16];
    struct {
        uint64_t mark; /* keyed hash of the key; 0: empty */
        uint64_t until_us;
    } slots[SLOTS];
};

/* So much memory comes as zeros from the system, and what stays unused costs none. */
struct seen *seen_new(void)
{
    struct seen *s = calloc(1, sizeof *s);
    if (s)
        random_bytes(s->hash_key, sizeof s->hash_key);
    return s;
}

void seen_free(struct seen *s)
{
    free(s);
}

bool seen_before(struct seen *s, const uint8_t key[KEY_BYTES], uint64_t now_us)
{
    uint64_t mark = siphash24(s->hash_key, key, KEY_BYTES) | 1;
    size_t slot = (size_t)(mark >> 1) % SLOTS;
    bool seen = s->slots[slot].mark == mark && now_us < s->slots[slot].until_us;
    s->slots[slot].mark = mark;
    s->slots[slot].until_us = now_us + HANDSHAKE_S * CLOCK_US_PER_S;
    return seen;
}
