/* Noise's CipherState over BearSSL's two AEADs: the nonce of each in its own byte order, REKEY, and
 * a tag compared in constant time. */
#include "crypto/cipher.h"

#include "crypto/backend.h"

#define NONCE_BYTES 12
#define REKEY_NONCE UINT64_MAX

/* The key schedule is made anew for each message: that takes a hundredth of what a kilobyte takes,
 * and an idle hop keeps its keys only. */
static void aesgcm_run(struct cipher *c, uint64_t nonce, struct view ad, uint8_t *data, size_t len,
                       uint8_t tag[TAG_BYTES], bool encrypt)
{
    uint8_t iv[NONCE_BYTES] = {0};
    br_aes_gen_ctr_keys aes;
    br_gcm_context gcm; /* points to aes */
    store_be64(iv + 4, nonce);
    crypto_backend()->aes->init(&aes.vtable, c->key, KEY_BYTES);
    br_gcm_init(&gcm, &aes.vtable, crypto_backend()->ghash);
    br_gcm_reset(&gcm, iv, sizeof iv);
    br_gcm_aad_inject(&gcm, ad.data, ad.len);
    br_gcm_flip(&gcm);
    br_gcm_run(&gcm, encrypt, data, len);
    br_gcm_get_tag(&gcm, tag);
    wipe(&gcm, sizeof gcm);
    wipe(&aes, sizeof aes);
}

static void chachapoly_run(struct cipher *c, uint64_t nonce, struct view ad, uint8_t *data,
                           size_t len, uint8_t tag[TAG_BYTES], bool encrypt)
{
    uint8_t iv[NONCE_BYTES] = {0};
    for (size_t i = 0; i < 8; i++) /* little-endian */
        iv[4 + i] = (uint8_t)(nonce >> (8 * i));
    crypto_backend()->poly1305(c->key, iv, data, len, ad.data, ad.len, tag,
                               crypto_backend()->chacha20, encrypt);
}

/* En- or decrypts in place and computes the tag of the ciphertext. */
static void aead_run(struct cipher *c, uint64_t nonce, struct view ad, uint8_t *data, size_t len,
                     uint8_t tag[TAG_BYTES], bool encrypt)
{
    if (c->suite == SUITE_AESGCM)
        aesgcm_run(c, nonce, ad, data, len, tag, encrypt);
    else
        chachapoly_run(c, nonce, ad, data, len, tag, encrypt);
}

void cipher_init(struct cipher *c, enum suite suite, const uint8_t key[KEY_BYTES])
{
    c->suite = suite;
    c->nonce = 0;
    memcpy(c->key, key, KEY_BYTES);
}

static bool rekey_is_due(const struct cipher *c)
{
    return c->nonce > 0 && c->nonce % REKEY_INTERVAL == 0;
}

/* REKEY: k = ENCRYPT(k, 2^64 - 1, zerolen, zeros) without its tag (Noise revision 34 section 4.2)
 */
static void rekey(struct cipher *c)
{
    uint8_t key[KEY_BYTES] = {0}, tag[TAG_BYTES];
    aead_run(c, REKEY_NONCE, view_of(NULL, 0), key, sizeof key, tag, true);
    memcpy(c->key, key, KEY_BYTES);
    wipe(key, sizeof key);
}

void cipher_seal(struct cipher *c, struct view ad, uint8_t *data, size_t len,
                 uint8_t tag[TAG_BYTES])
{
    if (rekey_is_due(c))
        rekey(c);
    aead_run(c, c->nonce, ad, data, len, tag, true);
    c->nonce++;
}

static bool open_with(struct cipher *c, struct view ad, uint8_t *data, size_t len,
                      const uint8_t tag[TAG_BYTES])
{
    uint8_t computed[TAG_BYTES];
    aead_run(c, c->nonce, ad, data, len, computed, false);
    if (!bytes_equal_secret(computed, tag, TAG_BYTES)) {
        wipe(data, len);
        return false;
    }
    c->nonce++;
    return true;
}

bool cipher_open(struct cipher *c, struct view ad, uint8_t *data, size_t len,
                 const uint8_t tag[TAG_BYTES])
{
    struct cipher next;
    bool good;
    if (!rekey_is_due(c))
        return open_with(c, ad, data, len, tag);
    next = *c;
    rekey(&next);
    good = open_with(&next, ad, data, len, tag);
    if (good)
        *c = next;
    wipe(&next, sizeof next);
    return good;
}

void cipher_wipe(struct cipher *c)
{
    wipe(c->key, sizeof c->key);
}
