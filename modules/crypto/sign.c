/* Signatures by BearSSL, which verifies s and n - s alike, and signs with either. */
#include "crypto/sign.h"

#include <bearssl.h>
#include <string.h>

#include "base/random.h"

#define POINT_BYTES (1 + SIGN_PUBLIC_BYTES)
#define UNCOMPRESSED 4

static const uint8_t order[SIGN_PRIVATE_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

/* Half of it, rounded down: the largest s. */
static const uint8_t half[SIGN_PRIVATE_BYTES] = {
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

static const br_ec_impl *curve(void)
{
    return &br_ec_p256_m31;
}

bool sign_key_derive(struct sign_key *key)
{
    unsigned char buffer[BR_EC_KBUF_PUB_MAX_SIZE];
    br_ec_private_key private_key = {BR_EC_secp256r1, key->private_key, SIGN_PRIVATE_BYTES};
    br_ec_public_key public_key;
    if (bytes_are_zero(key->private_key, SIGN_PRIVATE_BYTES) ||
        memcmp(key->private_key, order, sizeof order) >= 0 ||
        br_ec_compute_pub(curve(), &public_key, buffer, &private_key) != POINT_BYTES)
        return false;
    memcpy(key->public_key, public_key.q + 1, SIGN_PUBLIC_BYTES);
    return true;
}

void sign_key_generate(struct sign_key *key)
{
    do
        random_bytes(key->private_key, sizeof key->private_key);
    while (!sign_key_derive(key));
}

/* n - s, of which one is in the lower half. */
static void negate(uint8_t s[SIGN_PRIVATE_BYTES])
{
    int borrow = 0;
    for (int i = SIGN_PRIVATE_BYTES - 1; i >= 0; i--) {
        int digit = order[i] - s[i] - borrow;
        borrow = digit < 0;
        s[i] = (uint8_t)(digit + (borrow ? 256 : 0));
    }
}

void sign_hash(uint8_t out[SIGNATURE_BYTES], const struct sign_key *key,
               const uint8_t hash[HASH_BYTES])
{
    uint8_t private_bytes[SIGN_PRIVATE_BYTES];
    br_ec_private_key private_key = {BR_EC_secp256r1, private_bytes, sizeof private_bytes};
    memcpy(private_bytes, key->private_key, sizeof private_bytes);
    memset(out, 0, SIGNATURE_BYTES);
    /* Cannot fail with a key of the right range. */
    (void)br_ecdsa_i31_sign_raw(curve(), &br_sha256_vtable, hash, &private_key, out);
    if (memcmp(out + SIGN_PRIVATE_BYTES, half, sizeof half) > 0)
        negate(out + SIGN_PRIVATE_BYTES);
    wipe(private_bytes, sizeof private_bytes);
}

bool sign_check(const uint8_t signature[SIGNATURE_BYTES],
                const uint8_t public_key[SIGN_PUBLIC_BYTES], const uint8_t hash[HASH_BYTES])
{
    uint8_t point[POINT_BYTES];
    br_ec_public_key key = {BR_EC_secp256r1, point, sizeof point};
    point[0] = UNCOMPRESSED;
    memcpy(point + 1, public_key, SIGN_PUBLIC_BYTES);
    return memcmp(signature + SIGN_PRIVATE_BYTES, half, sizeof half) <= 0 &&
           br_ecdsa_i31_vrfy_raw(curve(), hash, HASH_BYTES, &key, signature, SIGNATURE_BYTES) == 1;
}

void sign_fingerprint(char out[FINGERPRINT_TEXT_BYTES], const uint8_t public_key[SIGN_PUBLIC_BYTES])
{
    fingerprint_text(out, view_of(public_key, SIGN_PUBLIC_BYTES));
}
