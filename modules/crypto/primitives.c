/* X25519, SHA-256, HMAC and HKDF by BearSSL. What its multiplication leaves to the caller is done
 * here: clamping, keys that are not canonical, low-order points. */
#include "crypto/primitives.h"

#include <bearssl.h>

#include "base/random.h"

void sha256(uint8_t out[HASH_BYTES], struct view a, struct view b)
{
    br_sha256_context context;
    br_sha256_init(&context);
    br_sha256_update(&context, a.data, a.len);
    br_sha256_update(&context, b.data, b.len);
    br_sha256_out(&context, out);
    wipe(&context, sizeof context);
}

void hmac_sha256(uint8_t out[HASH_BYTES], struct view key, struct view a, struct view b)
{
    br_hmac_key_context key_context;
    br_hmac_context context;
    br_hmac_key_init(&key_context, &br_sha256_vtable, key.data, key.len);
    br_hmac_init(&context, &key_context, HASH_BYTES);
    br_hmac_update(&context, a.data, a.len);
    br_hmac_update(&context, b.data, b.len);
    br_hmac_out(&context, out);
    wipe(&key_context, sizeof key_context);
    wipe(&context, sizeof context);
}

void noise_hkdf(uint8_t out1[HASH_BYTES], uint8_t out2[HASH_BYTES],
                const uint8_t chaining_key[HASH_BYTES], struct view input)
{
    static const uint8_t one = 1, two = 2;
    struct view none = view_of(NULL, 0);
    uint8_t temp_key[HASH_BYTES];
    struct view key = view_of(temp_key, sizeof temp_key);
    hmac_sha256(temp_key, view_of(chaining_key, HASH_BYTES), input, none);
    hmac_sha256(out1, key, view_of(&one, 1), none);
    hmac_sha256(out2, key, view_of(out1, HASH_BYTES), view_of(&two, 1));
    wipe(temp_key, sizeof temp_key);
}

void keypair_generate(struct keypair *pair)
{
    random_bytes(pair->private_key, KEY_BYTES);
    /* RFC 7748's clamping, so that the key written to a file is the one in use. */
    pair->private_key[0] &= 248;
    pair->private_key[31] &= 127;
    pair->private_key[31] |= 64;
    keypair_derive(pair);
}

void keypair_derive(struct keypair *pair)
{
    static const uint8_t base_point[KEY_BYTES] = {9};
    /* Cannot fail: the base point is canonical and of large order. */
    (void)x25519(pair->public_key, pair->private_key, base_point);
}

bool public_key_canonical(const uint8_t key[KEY_BYTES])
{
    /* 2^255 - 19, little-endian: ed, 30 times ff, 7f */
    if (key[31] != 0x7f)
        return key[31] < 0x7f;
    for (int i = 30; i > 0; i--)
        if (key[i] != 0xff)
            return true;
    return key[0] < 0xed;
}

bool x25519(uint8_t out[KEY_BYTES], const uint8_t private_key[KEY_BYTES],
            const uint8_t public_key[KEY_BYTES])
{
    uint8_t point[KEY_BYTES];
    if (!public_key_canonical(public_key)) {
        memset(out, 0, KEY_BYTES);
        return false;
    }
    memcpy(point, public_key, KEY_BYTES);
    br_ec_c25519_m31.mul(point, KEY_BYTES, private_key, KEY_BYTES, BR_EC_curve25519);
    memcpy(out, point, KEY_BYTES);
    wipe(point, sizeof point);
    return !bytes_are_zero(out, KEY_BYTES);
}
