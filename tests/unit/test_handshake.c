/* The handshake core: both parties in one process, and everything a stranger may send first. */
#include "vectors.h"

#include "crypto/circuit_label.h"
#include "crypto/handshake.h"
#include "crypto/known_keys.h"

#define PAYLOAD "hello"
#define PAYLOAD_BYTES 5
#define MESSAGE1_BYTES (HANDSHAKE_MESSAGE1_OVERHEAD + PAYLOAD_BYTES)

static const enum suite suites[] = {SUITE_AESGCM, SUITE_CHACHAPOLY};

struct parties {
    struct keypair client, relay;
    uint8_t mac1_key[HASH_BYTES]; /* the relay's */
    struct noise initiator;
    uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    size_t len;
};

/* Makes fresh keys and writes a first message for a hop. */
static void start(struct parties *p, enum suite suite)
{
    keypair_generate(&p->client);
    keypair_generate(&p->relay);
    handshake_mac1_key(p->mac1_key, p->relay.public_key);
    assert_true(handshake_start(&p->initiator, suite, PURPOSE_HOP, &p->client, p->relay.public_key,
                                NULL, view_of_string(PAYLOAD), p->message, &p->len));
    assert_int_equal(p->len, MESSAGE1_BYTES);
}

static enum handshake_look look(const struct parties *p, const uint8_t *message, size_t len)
{
    size_t message_len = 0;
    enum handshake_look result =
        handshake_look(p->mac1_key, PURPOSE_HOP, view_of(message, len), &message_len);
    assert_true(message_len <= len);
    return result;
}

static bool accept(const struct parties *p, struct noise *n, const uint8_t *message, size_t len)
{
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t payload_len;
    if (!handshake_accept(n, &p->relay, NULL, view_of(message, len), payload, &payload_len)) {
        assert_int_equal(payload_len, 0);
        return false;
    }
    assert_int_equal(payload_len, PAYLOAD_BYTES);
    assert_memory_equal(payload, PAYLOAD, PAYLOAD_BYTES);
    return true;
}

/* Computes mac1 anew, as anybody can who knows the responder's public key. */
static void sign(const struct parties *p, uint8_t *message, size_t len)
{
    uint8_t mac[HASH_BYTES];
    hmac_sha256(mac, view_of(p->mac1_key, HASH_BYTES), view_of(message, len - MAC1_BYTES),
                view_of(NULL, 0));
    memcpy(message + len - MAC1_BYTES, mac, MAC1_BYTES);
}

static void exchange(struct cipher *from, struct cipher *to)
{
    uint8_t data[4 + TAG_BYTES] = "ping";
    cipher_seal(from, view_of(NULL, 0), data, 4, data + 4);
    assert_true(cipher_open(to, view_of(NULL, 0), data, 4, data + 4));
    assert_memory_equal(data, "ping", 4);
}

static void test_both_parties(void **state)
{
    struct parties p;
    struct noise responder;
    struct cipher i_send, i_receive, r_send, r_receive;
    uint8_t answer[256], payload[256];
    size_t len, payload_len;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start(&p, suites[i]);
        assert_int_equal(look(&p, p.message, p.len), LOOK_COMPLETE);
        assert_true(accept(&p, &responder, p.message, p.len));
        assert_memory_equal(responder.remote_static, p.client.public_key, KEY_BYTES);
        assert_true(noise_write(&responder, view_of_string("welcome"), answer, &len));
        assert_true(noise_read(&p.initiator, view_of(answer, len), payload, &payload_len));
        assert_int_equal(payload_len, 7);
        assert_memory_equal(payload, "welcome", 7);
        assert_true(noise_split(&p.initiator, &i_send, &i_receive));
        assert_true(noise_split(&responder, &r_send, &r_receive));
        exchange(&i_send, &r_receive);
        exchange(&r_send, &i_receive);
    }
}

/* The layout of PROTOCOL.md section 2, written out. */
/* True if the initiator takes the responder's answer. */
static bool answered(struct parties *p, struct noise *responder)
{
    uint8_t answer[256], payload[256];
    size_t len, payload_len;
    return noise_write(responder, view_of_string("welcome"), answer, &len) &&
           noise_read(&p->initiator, view_of(answer, len), payload, &payload_len) &&
           payload_len == 7;
}

/* The curve arithmetic of the answer, done before: the answer is as good; out of turn it is not
 * done. */
static void test_prepared_answer(void **state)
{
    struct parties p;
    struct noise responder;
    (void)state;
    start(&p, SUITE_AESGCM);
    assert_false(noise_prepare(&p.initiator));
    assert_true(accept(&p, &responder, p.message, p.len));
    assert_true(noise_prepare(&responder));
    assert_true(noise_prepare(&responder)); /* again, for nothing */
    assert_true(answered(&p, &responder));
    assert_false(noise_prepare(&responder));
}

/* The result of both static keys is computed once and used from then on: a wrong one shows. */
static void test_known_initiator(void **state)
{
    static const uint8_t wrong[KEY_BYTES] = {1};
    struct parties p;
    struct noise responder;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX], shared[KEY_BYTES], computed[KEY_BYTES];
    size_t len;
    struct known_keys *known = known_keys_new();
    (void)state;
    assert_non_null(known);
    start(&p, SUITE_AESGCM);
    struct view message = view_of(p.message, p.len);
    assert_true(handshake_accept(&responder, &p.relay, known, message, payload, &len));
    assert_int_equal(known_keys_find(known, p.client.public_key, shared), KEY_UNKNOWN);
    known_keys_add(known, p.client.public_key);
    assert_true(handshake_accept(&responder, &p.relay, known, message, payload, &len));
    assert_int_equal(known_keys_find(known, p.client.public_key, shared), KEY_COMPUTED);
    assert_true(x25519(computed, p.client.private_key, p.relay.public_key));
    assert_memory_equal(shared, computed, KEY_BYTES);
    assert_true(handshake_accept(&responder, &p.relay, known, message, payload, &len));
    assert_true(answered(&p, &responder));
    known_keys_keep(known, p.client.public_key, wrong);
    assert_false(handshake_accept(&responder, &p.relay, known, message, payload, &len));
    known_keys_free(known);
}

/* Where only known keys are wanted, another one is as good as not authentic. */
static void test_only_known_initiators(void **state)
{
    struct parties p;
    struct noise responder;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t len;
    struct known_keys *known = known_keys_new();
    (void)state;
    assert_non_null(known);
    start(&p, SUITE_CHACHAPOLY);
    struct view message = view_of(p.message, p.len);
    assert_false(handshake_accept_known(&responder, &p.relay, known, message, payload, &len));
    assert_false(noise_prepare(&responder));
    known_keys_add(known, p.client.public_key);
    assert_true(handshake_accept_known(&responder, &p.relay, known, message, payload, &len));
    assert_true(answered(&p, &responder));
    known_keys_free(known);
}

static void test_layout(void **state)
{
    struct parties p;
    struct keypair ephemeral;
    uint8_t key[HASH_BYTES], mac[HASH_BYTES];
    (void)state;
    start(&p, SUITE_CHACHAPOLY);
    keypair_generate(&ephemeral);
    assert_true(handshake_start(&p.initiator, SUITE_CHACHAPOLY, PURPOSE_SESSION, &p.client,
                                p.relay.public_key, &ephemeral, view_of_string(PAYLOAD), p.message,
                                &p.len));
    assert_memory_equal(p.message, "SPX1\x02\x02\x00\x65", 8); /* 0x65 = 96 + 5 */
    assert_memory_equal(p.message + 8, ephemeral.public_key, KEY_BYTES);
    sha256(key, view_of_string("spx1 mac1"), view_of(p.relay.public_key, KEY_BYTES));
    assert_memory_equal(key, p.mac1_key, HASH_BYTES);
    hmac_sha256(mac, view_of(key, HASH_BYTES), view_of(p.message, 8 + 101), view_of(NULL, 0));
    assert_memory_equal(p.message + 8 + 101, mac, MAC1_BYTES);
}

/* Byte by byte: more, more, …, complete; bytes that follow do not matter. */
static void test_look_at_prefixes(void **state)
{
    struct parties p;
    size_t message_len;
    (void)state;
    start(&p, SUITE_AESGCM);
    for (size_t len = 0; len < p.len; len++)
        assert_int_equal(look(&p, p.message, len), LOOK_MORE);
    for (size_t len = p.len; len < p.len + 40; len++) {
        assert_int_equal(
            handshake_look(p.mac1_key, PURPOSE_HOP, view_of(p.message, len), &message_len),
            LOOK_COMPLETE);
        assert_int_equal(message_len, p.len);
    }
    assert_int_equal(look(&p, NULL, 0), LOOK_MORE);
}

/* A prefix that cannot become a first message is seen as soon as its byte is there. */
static void test_wrong_prefixes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum handshake_look expected;
    } cases[] = {
        {"X", 1, LOOK_WRONG},
        {"SSH-2.0-", 2, LOOK_WRONG},
        {"SPX2", 3, LOOK_MORE},
        {"SPX2", 4, LOOK_WRONG},
        {"SPX1\x63", 5, LOOK_MORE}, /* an unknown suite may still have a right mac1 */
        {"SPX1\x01\x02", 6, LOOK_WRONG},
        {"SPX1\x01\x00", 6, LOOK_WRONG},
        {"SPX1\x01\x01", 6, LOOK_MORE},
        {"SPX1\x01\x01\x00\x5f", 8, LOOK_WRONG}, /* n = 95 */
        {"SPX1\x01\x01\x00\x60", 8, LOOK_MORE},
        {"SPX1\x01\x01\x10\x00", 8, LOOK_MORE}, /* n = 4096 */
        {"SPX1\x01\x01\x10\x01", 8, LOOK_WRONG},
        {"SPX1\x01\x01\xff\xff", 8, LOOK_WRONG},
    };
    struct parties p;

    (void)state;
    start(&p, SUITE_AESGCM);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(look(&p, (const uint8_t *)cases[i].bytes, cases[i].len),
                         cases[i].expected);
}

/* No changed bit gets past mac1; with mac1 made anew none of the Noise message's gets past Noise.
 */
static void check_flip(const struct parties *p, size_t bit)
{
    uint8_t changed[MESSAGE1_BYTES];
    struct noise n;
    memcpy(changed, p->message, p->len);
    changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    enum handshake_look plain = look(p, changed, p->len);
    assert_true(plain == LOOK_WRONG || plain == LOOK_MORE);

    sign(p, changed, p->len);
    enum handshake_look resigned = look(p, changed, p->len);
    if (bit / 8 == 4)
        assert_int_equal(resigned, LOOK_SUITE);
    if (bit / 8 < 6)
        assert_int_not_equal(resigned, LOOK_COMPLETE);
    if (bit / 8 >= 8 && bit / 8 < p->len - MAC1_BYTES)
        assert_int_equal(resigned, LOOK_COMPLETE);
    if (bit / 8 < p->len - MAC1_BYTES && bit / 8 != 6 && bit / 8 != 7)
        assert_false(accept(p, &n, changed, p->len));
}

static void test_message1_flipped(void **state)
{
    struct parties p;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start(&p, suites[i]);
        for (size_t bit = 0; bit < 8 * p.len; bit++)
            check_flip(&p, bit);
    }
}

/* Truncated with length and mac1 put right. */
static void test_message1_truncated(void **state)
{
    struct parties p;
    uint8_t shorter[MESSAGE1_BYTES];
    struct noise n;
    (void)state;
    start(&p, SUITE_CHACHAPOLY);
    for (size_t len = 0; len < p.len; len++)
        assert_false(accept(&p, &n, p.message, len));
    for (size_t noise_len = HANDSHAKE_NOISE_MIN; noise_len < 96 + PAYLOAD_BYTES; noise_len++) {
        size_t len = HANDSHAKE_HEADER_BYTES + noise_len + MAC1_BYTES;
        memcpy(shorter, p.message, len);
        store_be16(shorter + 6, (uint16_t)noise_len);
        sign(&p, shorter, len);
        assert_int_equal(look(&p, shorter, len), LOOK_COMPLETE);
        assert_false(accept(&p, &n, shorter, len));
    }
}

static void test_message2_damaged(void **state)
{
    struct parties p;
    struct noise responder, copy;
    uint8_t answer[256], payload[256];
    size_t len, payload_len;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start(&p, suites[i]);
        assert_true(accept(&p, &responder, p.message, p.len));
        assert_true(noise_write(&responder, view_of_string("welcome"), answer, &len));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            answer[bit / 8] ^= (uint8_t)(1 << bit % 8);
            copy = p.initiator;
            assert_false(noise_read(&copy, view_of(answer, len), payload, &payload_len));
            answer[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t shorter = 0; shorter < len; shorter++) {
            copy = p.initiator;
            assert_false(noise_read(&copy, view_of(answer, shorter), payload, &payload_len));
        }
        assert_true(noise_read(&p.initiator, view_of(answer, len), payload, &payload_len));
    }
}

static void test_wrong_mac1(void **state)
{
    struct parties p;
    struct keypair other;
    (void)state;
    start(&p, SUITE_AESGCM);
    keypair_generate(&other);
    handshake_mac1_key(p.mac1_key, other.public_key); /* made for another responder */
    assert_int_equal(look(&p, p.message, p.len), LOOK_WRONG);
    memset(p.message + p.len - MAC1_BYTES, 0, MAC1_BYTES);
    handshake_mac1_key(p.mac1_key, p.relay.public_key);
    assert_int_equal(look(&p, p.message, p.len), LOOK_WRONG);
}

static void test_unknown_suites(void **state)
{
    struct parties p;
    struct noise n;
    size_t message_len;
    (void)state;
    start(&p, SUITE_AESGCM);
    for (int suite = 0; suite < 256; suite++) {
        bool known = suite == 1 || suite == 2;
        p.message[4] = (uint8_t)suite;
        assert_int_equal(look(&p, p.message, p.len), suite == 1 ? LOOK_COMPLETE : LOOK_WRONG);
        sign(&p, p.message, p.len);
        message_len = 0;
        assert_int_equal(
            handshake_look(p.mac1_key, PURPOSE_HOP, view_of(p.message, p.len), &message_len),
            known ? LOOK_COMPLETE : LOOK_SUITE);
        assert_int_equal(message_len, p.len);
        assert_int_equal(accept(&p, &n, p.message, p.len), suite == 1);
        p.message[4] = 1;
        sign(&p, p.message, p.len);
    }
    /* even when the initiator means it */
    assert_true(handshake_start(&p.initiator, (enum suite)3, PURPOSE_HOP, &p.client,
                                p.relay.public_key, NULL, view_of_string(PAYLOAD), p.message,
                                &p.len));
    assert_int_equal(look(&p, p.message, p.len), LOOK_SUITE);
    assert_false(accept(&p, &n, p.message, p.len));
}

/* A hop's message is none for a session, not even with the purpose rewritten. */
static void test_hop_against_session(void **state)
{
    struct parties p;
    struct noise n;
    size_t len;
    (void)state;
    start(&p, SUITE_AESGCM);
    assert_int_equal(handshake_look(p.mac1_key, PURPOSE_SESSION, view_of(p.message, p.len), &len),
                     LOOK_WRONG);
    p.message[5] = PURPOSE_SESSION;
    sign(&p, p.message, p.len);
    assert_int_equal(look(&p, p.message, p.len), LOOK_WRONG);
    assert_int_equal(handshake_look(p.mac1_key, PURPOSE_SESSION, view_of(p.message, p.len), &len),
                     LOOK_COMPLETE);
    assert_false(accept(&p, &n, p.message, p.len));
}

static bool can_start(const struct parties *p, const uint8_t *peer_public, size_t payload_len)
{
    static uint8_t payload[HANDSHAKE_PAYLOAD1_MAX + 1], out[HANDSHAKE_MESSAGE1_MAX + 1];
    struct noise n;
    size_t len;
    bool good = handshake_start(&n, SUITE_CHACHAPOLY, PURPOSE_HOP, &p->client, peer_public, NULL,
                                view_of(payload, payload_len), out, &len);
    assert_int_equal(len, good ? payload_len + HANDSHAKE_MESSAGE1_OVERHEAD : 0);
    if (!good)
        assert_true(bytes_are_zero(&n, sizeof n));
    return good;
}

static void test_unusable_peer_keys(void **state)
{
    static const uint8_t zero[KEY_BYTES], one[KEY_BYTES] = {1};
    struct parties p;
    (void)state;
    start(&p, SUITE_CHACHAPOLY);
    assert_true(can_start(&p, p.relay.public_key, 0));
    assert_false(can_start(&p, p.client.public_key, 0)); /* own */
    assert_false(can_start(&p, zero, 0));                /* low order */
    assert_false(can_start(&p, one, 0));
    p.relay.public_key[31] |= 0x80; /* not canonical */
    assert_false(can_start(&p, p.relay.public_key, 0));
}

/* The largest payload goes through whole; one byte more is refused. */
static void test_payload_sizes(void **state)
{
    static uint8_t payload[HANDSHAKE_PAYLOAD1_MAX], received[HANDSHAKE_PAYLOAD1_MAX];
    struct parties p;
    struct noise n;
    size_t len;
    (void)state;
    start(&p, SUITE_AESGCM);
    assert_true(can_start(&p, p.relay.public_key, HANDSHAKE_PAYLOAD1_MAX));
    assert_false(can_start(&p, p.relay.public_key, HANDSHAKE_PAYLOAD1_MAX + 1));
    memset(payload, 'x', sizeof payload);
    assert_true(handshake_start(&p.initiator, SUITE_AESGCM, PURPOSE_HOP, &p.client,
                                p.relay.public_key, NULL, view_of(payload, sizeof payload),
                                p.message, &p.len));
    assert_int_equal(p.len, HANDSHAKE_MESSAGE1_MAX);
    assert_int_equal(look(&p, p.message, p.len), LOOK_COMPLETE);
    assert_true(handshake_accept(&n, &p.relay, NULL, view_of(p.message, p.len), received, &len));
    assert_int_equal(len, sizeof payload);
    assert_memory_equal(received, payload, len);
}

static void test_preferred_suite(void **state)
{
    (void)state;
    assert_int_equal(start_fast(state), 0);
    assert_int_equal(handshake_preferred_suite(true), SUITE_CHACHAPOLY);
    assert_int_equal(handshake_preferred_suite(false),
                     crypto_has_aes() ? SUITE_AESGCM : SUITE_CHACHAPOLY);
    assert_int_equal(start_portable(state), 0);
    assert_int_equal(handshake_preferred_suite(false), SUITE_CHACHAPOLY);
}

/* SHA-256("abc") begins so (FIPS 180-2, appendix B.1). */
static void test_circuit_label(void **state)
{
    char label[CIRCUIT_LABEL_BYTES];
    (void)state;
    circuit_label(label, view_of_string("abc"));
    assert_string_equal(label, "ba7816bf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_both_parties),
        BOTH(test_prepared_answer),
        BOTH(test_known_initiator),
        BOTH(test_only_known_initiators),
        BOTH(test_layout),
        BOTH(test_look_at_prefixes),
        BOTH(test_wrong_prefixes),
        BOTH(test_message1_flipped),
        BOTH(test_message1_truncated),
        BOTH(test_message2_damaged),
        BOTH(test_wrong_mac1),
        BOTH(test_unknown_suites),
        BOTH(test_hop_against_session),
        BOTH(test_unusable_peer_keys),
        BOTH(test_payload_sizes),
        cmocka_unit_test(test_preferred_suite),
        cmocka_unit_test(test_circuit_label),
    };
    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
