/* SipHash-2-4 as its paper gives it. */
#include "base/siphash.h"

struct siphash {
    uint64_t v0, v1, v2, v3;
};

static uint64_t load_le64(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t rotate_left(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

/* SipRound, section 2.4 of the paper. */
static void sip_round(struct siphash *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static void compress(struct siphash *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t siphash24(const uint8_t key[16], const void *data, size_t len)
{
    uint64_t k0 = load_le64(key, 8), k1 = load_le64(key + 8, 8);
    struct siphash s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                        k1 ^ 0x7465646279746573};
    const uint8_t *p = data;
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8)
        compress(&s, load_le64(p, 8));
    /* The last word ends with the length modulo 256. */
    compress(&s, load_le64(p, left) | (uint64_t)len << 56);

    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
