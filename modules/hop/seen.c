/* Keys that were seen recently, as keyed hashes in a table without chains. */
#include "hop/seen.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"
#include "wire/limits.h"

void seen_init(struct seen *s)
{
    random_bytes(s->hash_key, sizeof s->hash_key);
}

bool seen_before(struct seen *s, const uint8_t key[KEY_BYTES], uint64_t now_us)
{
    uint64_t mark = siphash24(s->hash_key, key, KEY_BYTES) | 1;
    size_t slot = (size_t)(mark >> 1) % SEEN_SLOTS;
    bool seen = s->slots[slot].mark == mark && now_us < s->slots[slot].until_us;
    s->slots[slot].mark = mark;
    s->slots[slot].until_us = now_us + HANDSHAKE_S * CLOCK_US_PER_S;
    return seen;
}
