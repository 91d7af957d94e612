/* Noise_IK, step by step in the framework's own tokens (e, es, s, ss, ee, se). */
#include "crypto/noise.h"

#include "crypto/known_keys.h"

#define SEALED_KEY_BYTES (KEY_BYTES + TAG_BYTES)

static const char *protocol_name(enum suite suite)
{
    return suite == SUITE_AESGCM ? "Noise_IK_25519_AESGCM_SHA256"
                                 : "Noise_IK_25519_ChaChaPoly_SHA256";
}

static void mix_hash(struct noise *n, const void *data, size_t len)
{
    sha256(n->hash, view_of(n->hash, HASH_BYTES), view_of(data, len));
}

static void mix_key(struct noise *n, const uint8_t shared[KEY_BYTES])
{
    uint8_t key[KEY_BYTES];
    noise_hkdf(n->chaining_key, key, n->chaining_key, view_of(shared, KEY_BYTES));
    cipher_init(&n->cipher, n->cipher.suite, key);
    wipe(key, sizeof key);
}

/* MixKey(DH(own private key, remote public key)) */
static bool mix_dh(struct noise *n, const struct keypair *own, const uint8_t remote[KEY_BYTES])
{
    uint8_t shared[KEY_BYTES];
    bool good = x25519(shared, own->private_key, remote);
    if (good)
        mix_key(n, shared);
    wipe(shared, sizeof shared);
    return good;
}

/* The same of both static keys, computed once for a peer that is known. */
static bool mix_ss(struct noise *n)
{
    uint8_t shared[KEY_BYTES];
    bool good = n->known && known_keys_find(n->known, n->remote_static, shared) == KEY_COMPUTED;
    if (!good) {
        good = x25519(shared, n->own->private_key, n->remote_static);
        if (good && n->known)
            known_keys_keep(n->known, n->remote_static, shared);
    }
    if (good)
        mix_key(n, shared);
    wipe(shared, sizeof shared);
    return good;
}

/* EncryptAndHash; out takes data.len + TAG_BYTES bytes. IK encrypts nothing before its first DH. */
static void encrypt_and_hash(struct noise *n, struct view data, uint8_t *out)
{
    if (data.len > 0)
        memmove(out, data.data, data.len);
    cipher_seal(&n->cipher, view_of(n->hash, HASH_BYTES), out, data.len, out + data.len);
    mix_hash(n, out, data.len + TAG_BYTES);
}

/* DecryptAndHash; sealed.len is at least TAG_BYTES, out takes the rest. */
static bool decrypt_and_hash(struct noise *n, struct view sealed, uint8_t *out)
{
    size_t len = sealed.len - TAG_BYTES;
    uint8_t ad[HASH_BYTES], tag[TAG_BYTES];
    memcpy(ad, n->hash, HASH_BYTES);
    memcpy(tag, sealed.data + len, TAG_BYTES);
    mix_hash(n, sealed.data, sealed.len);
    if (len > 0)
        memmove(out, sealed.data, len);
    return cipher_open(&n->cipher, view_of(ad, sizeof ad), out, len, tag);
}

static bool is_own(const struct noise *n, const uint8_t key[KEY_BYTES])
{
    return memcmp(key, n->own->public_key, KEY_BYTES) == 0 ||
           (n->has_ephemeral && memcmp(key, n->ephemeral.public_key, KEY_BYTES) == 0);
}

static bool key_usable(const struct noise *n, const uint8_t key[KEY_BYTES])
{
    return public_key_canonical(key) && !is_own(n, key);
}

/* A handshake that failed is over; it must not be possible to go on with half of it. */
static bool fail(struct noise *n)
{
    noise_wipe(n);
    return false;
}

bool noise_init(struct noise *n, enum suite suite, bool initiator, struct view prologue,
                const struct keypair *own, const uint8_t *remote_static)
{
    const char *name = protocol_name(suite);
    memset(n, 0, sizeof *n);
    n->initiator = initiator;
    n->own = own;
    n->cipher.suite = suite;
    if (initiator) {
        if (!key_usable(n, remote_static))
            return fail(n);
        memcpy(n->remote_static, remote_static, KEY_BYTES);
    }
    memcpy(n->hash, name, strlen(name)); /* at most HASH_BYTES, padded with zeros */
    memcpy(n->chaining_key, n->hash, HASH_BYTES);
    mix_hash(n, prologue.data, prologue.len);
    mix_hash(n, initiator ? n->remote_static : own->public_key, KEY_BYTES); /* <- s */
    return true;
}

void noise_set_ephemeral(struct noise *n, const struct keypair *ephemeral)
{
    n->ephemeral = *ephemeral;
    n->has_ephemeral = true;
}

void noise_set_known(struct noise *n, struct known_keys *known)
{
    n->known = known;
}

void noise_refuse_unknown(struct noise *n)
{
    n->known_only = true;
}

static void make_ephemeral(struct noise *n)
{
    if (!n->has_ephemeral)
        keypair_generate(&n->ephemeral);
    n->has_ephemeral = true;
}

static void write_ephemeral(struct noise *n, uint8_t *out)
{
    make_ephemeral(n);
    memcpy(out, n->ephemeral.public_key, KEY_BYTES);
    mix_hash(n, out, KEY_BYTES);
}

static bool read_ephemeral(struct noise *n, const uint8_t *in)
{
    memcpy(n->remote_ephemeral, in, KEY_BYTES);
    mix_hash(n, in, KEY_BYTES);
    return key_usable(n, n->remote_ephemeral);
}

static bool is_known(const struct noise *n)
{
    uint8_t shared[KEY_BYTES];
    bool known = known_keys_find(n->known, n->remote_static, shared) != KEY_UNKNOWN;
    wipe(shared, sizeof shared);
    return known;
}

static bool read_static(struct noise *n, const uint8_t *in)
{
    return decrypt_and_hash(n, view_of(in, SEALED_KEY_BYTES), n->remote_static) &&
           key_usable(n, n->remote_static) && (!n->known_only || is_known(n));
}

/* -> e, es, s, ss; the payload follows at out + KEY_BYTES + SEALED_KEY_BYTES */
static bool write_message1(struct noise *n, uint8_t *out)
{
    write_ephemeral(n, out);
    if (!mix_dh(n, &n->ephemeral, n->remote_static)) /* es */
        return false;
    encrypt_and_hash(n, view_of(n->own->public_key, KEY_BYTES), out + KEY_BYTES);
    return mix_ss(n); /* ss */
}

static bool read_message1(struct noise *n, const uint8_t *in)
{
    return read_ephemeral(n, in) && mix_dh(n, n->own, n->remote_ephemeral) && /* e, es */
           read_static(n, in + KEY_BYTES) && mix_ss(n);                       /* s, ss */
}

/* Does the curve arithmetic of message 2. */
static bool compute_answer(struct noise *n)
{
    if (!n->prepared) {
        make_ephemeral(n);
        n->prepared = x25519(n->ee, n->ephemeral.private_key, n->remote_ephemeral) &&
                      x25519(n->se, n->ephemeral.private_key, n->remote_static);
    }
    return n->prepared;
}

/* <- e, ee, se; the payload follows at out + KEY_BYTES */
static bool write_message2(struct noise *n, uint8_t *out)
{
    if (!compute_answer(n))
        return false;
    write_ephemeral(n, out);
    mix_key(n, n->ee);
    mix_key(n, n->se);
    return true;
}

static bool read_message2(struct noise *n, const uint8_t *in)
{
    return read_ephemeral(n, in) && mix_dh(n, &n->ephemeral, n->remote_ephemeral) && /* e, ee */
           mix_dh(n, n->own, n->remote_ephemeral);                                   /* se */
}

/* True if the next message is this side's to write (or to read). */
static bool on_turn(const struct noise *n, bool writing)
{
    bool first = n->step == 0;
    return n->own && n->step < 2 && (n->initiator == first) == writing;
}

static size_t overhead(const struct noise *n)
{
    return n->step == 0 ? NOISE_MESSAGE1_OVERHEAD : NOISE_MESSAGE2_OVERHEAD;
}

bool noise_prepare(struct noise *n)
{
    if (!on_turn(n, true) || n->initiator)
        return false;
    return compute_answer(n) || fail(n);
}

bool noise_write(struct noise *n, struct view payload, uint8_t *out, size_t *out_len)
{
    size_t total = payload.len + overhead(n);
    *out_len = 0;
    if (!on_turn(n, true))
        return false;
    if (!(n->step == 0 ? write_message1(n, out) : write_message2(n, out)))
        return fail(n);
    encrypt_and_hash(n, payload, out + overhead(n) - TAG_BYTES);
    n->step++;
    *out_len = total;
    return true;
}

bool noise_read(struct noise *n, struct view message, uint8_t *payload, size_t *payload_len)
{
    size_t keys = overhead(n) - TAG_BYTES;
    *payload_len = 0;
    if (!on_turn(n, false))
        return false;
    if (message.len < overhead(n))
        return fail(n);
    if (!(n->step == 0 ? read_message1(n, message.data) : read_message2(n, message.data)) ||
        !decrypt_and_hash(n, view_of(message.data + keys, message.len - keys), payload))
        return fail(n);
    *payload_len = message.len - overhead(n);
    n->step++;
    return true;
}

bool noise_split(struct noise *n, struct cipher *send, struct cipher *receive)
{
    uint8_t key1[KEY_BYTES], key2[KEY_BYTES]; /* initiator to responder, and back */
    struct noise rest = {.step = 2};
    if (!n->own || n->step != 2)
        return false;
    noise_hkdf(key1, key2, n->chaining_key, view_of(NULL, 0));
    cipher_init(send, n->cipher.suite, n->initiator ? key1 : key2);
    cipher_init(receive, n->cipher.suite, n->initiator ? key2 : key1);
    wipe(key1, sizeof key1);
    wipe(key2, sizeof key2);

    memcpy(rest.remote_static, n->remote_static, KEY_BYTES);
    memcpy(rest.hash, n->hash, HASH_BYTES);
    noise_wipe(n);
    *n = rest;
    return true;
}

void noise_wipe(struct noise *n)
{
    wipe(n, sizeof *n);
}
