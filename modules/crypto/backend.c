/* Picks the fastest of BearSSL's constant-time implementations that this processor has, and
 * checks them against published vectors before anything relies on them. */
#include "crypto/backend.h"

#include "crypto/cipher.h"

static const struct crypto_backend portable_backend = {
    .aes = &br_aes_ct64_ctr_vtable,
    .ghash = br_ghash_ctmul64,
    .chacha20 = br_chacha20_ct_run,
    .poly1305 = br_poly1305_ctmul_run,
};

static struct crypto_backend chosen;

const struct crypto_backend *crypto_backend(void)
{
    return chosen.aes ? &chosen : &portable_backend;
}

bool crypto_has_aes(void)
{
    return crypto_backend()->has_aes;
}

/* Each getter gives NULL (0) where this processor or this build lacks the implementation. */
static struct crypto_backend fastest_backend(void)
{
    struct crypto_backend b = portable_backend;
    const br_block_ctr_class *aes = br_aes_x86ni_ctr_get_vtable();
    br_ghash ghash = br_ghash_pclmul_get();
    br_chacha20_run chacha20 = br_chacha20_sse2_get();
    br_poly1305_run poly1305 = br_poly1305_ctmulq_get();

    if (aes)
        b.aes = aes;
    if (ghash)
        b.ghash = ghash;
    if (chacha20)
        b.chacha20 = chacha20;
    if (poly1305)
        b.poly1305 = poly1305;
    b.has_aes = aes && ghash;
    return b;
}

/* RFC 7748 section 5.2, first vector. Its scalar read as big-endian gives something else. */
static bool x25519_is_right(void)
{
    static const uint8_t scalar[KEY_BYTES] = {0xa5, 0x46, 0xe3, 0x6b, 0xf0, 0x52, 0x7c, 0x9d,
                                              0x3b, 0x16, 0x15, 0x4b, 0x82, 0x46, 0x5e, 0xdd,
                                              0x62, 0x14, 0x4c, 0x0a, 0xc1, 0xfc, 0x5a, 0x18,
                                              0x50, 0x6a, 0x22, 0x44, 0xba, 0x44, 0x9a, 0xc4};
    static const uint8_t point[KEY_BYTES] = {0xe6, 0xdb, 0x68, 0x67, 0x58, 0x30, 0x30, 0xdb,
                                             0x35, 0x94, 0xc1, 0xa4, 0x24, 0xb1, 0x5f, 0x7c,
                                             0x72, 0x66, 0x24, 0xec, 0x26, 0xb3, 0x35, 0x3b,
                                             0x10, 0xa9, 0x03, 0xa6, 0xd0, 0xab, 0x1c, 0x4c};
    static const uint8_t expected[KEY_BYTES] = {0xc3, 0xda, 0x55, 0x37, 0x9d, 0xe9, 0xc6, 0x90,
                                                0x8e, 0x94, 0xea, 0x4d, 0xf2, 0x8d, 0x08, 0x4f,
                                                0x32, 0xec, 0xcf, 0x03, 0x49, 0x1c, 0x71, 0xf7,
                                                0x54, 0xb4, 0x07, 0x55, 0x77, 0xa2, 0x85, 0x52};
    uint8_t result[KEY_BYTES];

    return x25519(result, scalar, point) && memcmp(result, expected, sizeof result) == 0;
}

/* The second message, so that the nonce's byte order shows; longer than a block. */
static bool cipher_is_right(enum suite suite, const uint8_t expected[20 + TAG_BYTES])
{
    static const uint8_t key[KEY_BYTES];
    static const char text[] = "0123456789abcdef0123";
    struct view ad = view_of("ad", 2);
    uint8_t message[20 + TAG_BYTES];
    struct cipher c;
    bool sealed, opened;

    cipher_init(&c, suite, key);
    c.nonce = 1;
    memcpy(message, text, 20);
    cipher_seal(&c, ad, message, 20, message + 20);
    sealed = memcmp(message, expected, sizeof message) == 0;

    c.nonce = 1;
    opened = cipher_open(&c, ad, message, 20, expected + 20) && memcmp(message, text, 20) == 0;
    cipher_wipe(&c);
    return sealed && opened;
}

/* Both suites, checked against pyca/cryptography: key zero, nonce 1. */
static bool ciphers_are_right(void)
{
    static const uint8_t aesgcm[20 + TAG_BYTES] = {
        0x19, 0xf0, 0x16, 0x11, 0xc0, 0x43, 0x51, 0xeb, 0x91, 0x39, 0x3c, 0xc3,
        0xf2, 0x9b, 0x91, 0xf3, 0xa1, 0x72, 0xda, 0x86, 0x7d, 0xf2, 0xa0, 0xcc,
        0xe1, 0x5f, 0xf6, 0x26, 0x8b, 0x0d, 0x59, 0x01, 0xe3, 0x86, 0xa6, 0x8a};
    static const uint8_t chachapoly[20 + TAG_BYTES] = {
        0x63, 0x34, 0xd7, 0xd7, 0x7e, 0xca, 0x2f, 0x85, 0x0d, 0xaa, 0x00, 0x26,
        0x04, 0x3a, 0x9e, 0x82, 0x70, 0xaf, 0x85, 0xdb, 0xcc, 0x21, 0x21, 0x88,
        0x2d, 0x64, 0x06, 0xee, 0x60, 0x37, 0x2f, 0x45, 0xa6, 0x9f, 0x50, 0x4e};

    return cipher_is_right(SUITE_AESGCM, aesgcm) && cipher_is_right(SUITE_CHACHAPOLY, chachapoly);
}

bool crypto_start(bool portable)
{
    chosen = portable ? portable_backend : fastest_backend();
    return x25519_is_right() && ciphers_are_right();
}
