/* Noise's CipherState: nonces, REKEY at its interval, what a wrong tag leaves behind. */
#include "vectors.h"

#include "crypto/cipher.h"

#define MESSAGE_MAX 256

struct message {
    uint8_t ad[MESSAGE_MAX], plain[MESSAGE_MAX], sealed[MESSAGE_MAX];
    size_t ad_len, len;
};

static void read_message(const struct vector *v, struct message *m)
{
    m->ad_len = vector_bytes(v, "ad", m->ad);
    m->len = vector_bytes(v, "plaintext", m->plain);
    assert_int_equal(vector_bytes(v, "ciphertext", m->sealed), m->len + TAG_BYTES);
}

static void check_seal(struct cipher *c, const struct message *m)
{
    uint8_t data[MESSAGE_MAX];
    memcpy(data, m->plain, m->len);
    cipher_seal(c, view_of(m->ad, m->ad_len), data, m->len, data + m->len);
    assert_memory_equal(data, m->sealed, m->len + TAG_BYTES);
}

/* Opens it; before that fails with a wrong tag, which must not change the outcome. */
static void check_open(struct cipher *c, const struct message *m)
{
    uint8_t data[MESSAGE_MAX], tag[TAG_BYTES];
    struct cipher before = *c;
    memcpy(data, m->sealed, m->len);
    memcpy(tag, m->sealed + m->len, TAG_BYTES);
    tag[0] ^= 1;
    assert_false(cipher_open(c, view_of(m->ad, m->ad_len), data, m->len, tag));
    assert_true(bytes_are_zero(data, m->len));
    assert_int_equal(c->nonce, before.nonce);
    assert_memory_equal(c->key, before.key, KEY_BYTES);

    memcpy(data, m->sealed, m->len);
    tag[0] ^= 1;
    assert_true(cipher_open(c, view_of(m->ad, m->ad_len), data, m->len, tag));
    assert_memory_equal(data, m->plain, m->len);
    assert_int_equal(c->nonce, before.nonce + 1);
}

/* The file's nonces lie so that none between two messages would call REKEY: one is set where it
 * does not follow. */
static void test_rekey_vectors(void **state)
{
    FILE *file = fopen("tests/vectors/rekey.txt", "r");
    struct cipher sender = {0}, receiver = {0};
    struct vector v;
    struct message m;
    int messages = 0;
    (void)state;
    assert_non_null(file);
    while (vector_next(file, &v)) {
        if (vector_text(&v, "suite")) {
            enum suite suite = vector_text(&v, "suite")[0] == '1' ? SUITE_AESGCM : SUITE_CHACHAPOLY;
            uint8_t key[KEY_BYTES];
            assert_int_equal(vector_bytes(&v, "key", key), KEY_BYTES);
            cipher_init(&sender, suite, key);
            cipher_init(&receiver, suite, key);
            continue;
        }
        uint64_t nonce = strtoull(vector_text(&v, "nonce"), NULL, 16);
        if (nonce % REKEY_INTERVAL != 0) {
            sender.nonce = nonce;
            receiver.nonce = nonce;
        }
        assert_int_equal(sender.nonce, nonce);
        read_message(&v, &m);
        check_seal(&sender, &m);
        check_open(&receiver, &m);
        messages++;
    }
    fclose(file);
    assert_int_equal(messages, 16);
}

static const enum suite suites[] = {SUITE_AESGCM, SUITE_CHACHAPOLY};

/* Exactly once, and only there. */
static void test_rekey_changes_key_once(void **state)
{
    static const uint8_t key[KEY_BYTES] = {1};
    struct cipher c;
    uint8_t first[KEY_BYTES], tag[TAG_BYTES];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        cipher_init(&c, suites[i], key);
        cipher_seal(&c, view_of(NULL, 0), NULL, 0, tag);
        assert_memory_equal(c.key, key, KEY_BYTES); /* nothing at nonce 0 */
        c.nonce = REKEY_INTERVAL - 1;
        cipher_seal(&c, view_of(NULL, 0), NULL, 0, tag);
        assert_memory_equal(c.key, key, KEY_BYTES);
        cipher_seal(&c, view_of(NULL, 0), NULL, 0, tag);
        memcpy(first, c.key, KEY_BYTES);
        assert_memory_not_equal(first, key, KEY_BYTES);
        assert_int_equal(c.nonce, REKEY_INTERVAL + 1);
        cipher_seal(&c, view_of(NULL, 0), NULL, 0, tag);
        assert_memory_equal(c.key, first, KEY_BYTES);
    }
}

static void seal_bytes(struct cipher *c, uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
    cipher_seal(c, view_of("ad", 2), data, len, data + len);
}

static bool open_copy(const struct cipher *c, const char *ad, const uint8_t *sealed, size_t len)
{
    struct cipher copy = *c;
    uint8_t data[MESSAGE_MAX];
    memcpy(data, sealed, len);
    return cipher_open(&copy, view_of_string(ad), data, len - TAG_BYTES, data + len - TAG_BYTES);
}

/* Every bit of ciphertext and tag, the associated data, the nonce, the length. */
static void test_tampering(void **state)
{
    static const uint8_t key[KEY_BYTES] = {7};
    uint8_t data[MESSAGE_MAX];
    const size_t len = 40 + TAG_BYTES;
    struct cipher c;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        cipher_init(&c, suites[i], key);
        seal_bytes(&c, data, 40);
        c.nonce = 0;
        assert_true(open_copy(&c, "ad", data, len));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(open_copy(&c, "ad", data, len));
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t shorter = TAG_BYTES; shorter < len; shorter++)
            assert_false(open_copy(&c, "ad", data, shorter));
        assert_false(open_copy(&c, "aD", data, len));
        assert_false(open_copy(&c, "", data, len));
        c.nonce = 1;
        assert_false(open_copy(&c, "ad", data, len));
    }
}

/* The portable code opens what the fast code seals, at every length around the block sizes. A
 * cipher keeps the code it was made with in its key schedule, so it is made anew. */
static void test_fast_and_portable_agree(void **state)
{
    static const uint8_t key[KEY_BYTES] = {3};
    uint8_t data[MESSAGE_MAX + TAG_BYTES];
    struct cipher sender, receiver;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t len = 0; len < MESSAGE_MAX; len++) {
            assert_true(len % 2 == 0 ? start_fast(state) == 0 : start_portable(state) == 0);
            cipher_init(&sender, suites[i], key);
            sender.nonce = len;
            seal_bytes(&sender, data, len);
            assert_true(len % 2 == 1 ? start_fast(state) == 0 : start_portable(state) == 0);
            cipher_init(&receiver, suites[i], key);
            receiver.nonce = len;
            assert_true(cipher_open(&receiver, view_of("ad", 2), data, len, data + len));
            for (size_t at = 0; at < len; at++)
                assert_int_equal(data[at], at);
        }
    }
}

/* A copy works on its own, also when the original is gone. */
static void test_copies(void **state)
{
    static const uint8_t key[KEY_BYTES] = {5};
    struct cipher original, copy;
    uint8_t data[MESSAGE_MAX];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        cipher_init(&original, suites[i], key);
        copy = original;
        seal_bytes(&original, data, 50);
        cipher_wipe(&original);
        assert_true(bytes_are_zero(original.key, KEY_BYTES));
        assert_true(cipher_open(&copy, view_of("ad", 2), data, 50, data + 50));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_rekey_vectors),
        BOTH(test_rekey_changes_key_once),
        BOTH(test_tampering),
        BOTH(test_copies),
        cmocka_unit_test(test_fast_and_portable_agree),
    };
    return cmocka_run_group_tests_name("cipher", tests, NULL, NULL);
}
