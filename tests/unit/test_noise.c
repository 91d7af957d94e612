/* Noise_IK: published conversations, and every way a message can be wrong. */
#include "vectors.h"

#include "crypto/noise.h"

#define MESSAGE_MAX 512

static const enum suite suites[] = {SUITE_AESGCM, SUITE_CHACHAPOLY};

/* ---- published vectors ---- */

struct conversation {
    struct vector v;
    struct keypair initiator_static, responder_static, initiator_ephemeral, responder_ephemeral;
    struct noise initiator, responder;
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX];
    size_t payload_len, expected_len;
};

static void read_keypair(const struct vector *v, const char *name, struct keypair *pair)
{
    assert_int_equal(vector_bytes(v, name, pair->private_key), KEY_BYTES);
    keypair_derive(pair);
}

static void begin(struct conversation *c)
{
    const char *name = vector_text(&c->v, "handshake");
    enum suite suite = strstr(name, "AESGCM") ? SUITE_AESGCM : SUITE_CHACHAPOLY;
    uint8_t prologue[MESSAGE_MAX];
    struct view p = view_of(prologue, vector_bytes(&c->v, "prologue", prologue));
    read_keypair(&c->v, "init_static", &c->initiator_static);
    read_keypair(&c->v, "resp_static", &c->responder_static);
    read_keypair(&c->v, "gen_init_ephemeral", &c->initiator_ephemeral);
    read_keypair(&c->v, "gen_resp_ephemeral", &c->responder_ephemeral);
    assert_true(noise_init(&c->initiator, suite, true, p, &c->initiator_static,
                           c->responder_static.public_key));
    assert_true(noise_init(&c->responder, suite, false, p, &c->responder_static, NULL));
    noise_set_ephemeral(&c->initiator, &c->initiator_ephemeral);
    noise_set_ephemeral(&c->responder, &c->responder_ephemeral);
}

static void read_turn(struct conversation *c, int number)
{
    char name[32];
    snprintf(name, sizeof name, "msg_%d_payload", number);
    c->payload_len = vector_bytes(&c->v, name, c->payload);
    snprintf(name, sizeof name, "msg_%d_ciphertext", number);
    c->expected_len = vector_bytes(&c->v, name, c->expected);
    assert_true(c->expected_len >= c->payload_len + TAG_BYTES);
}

static void handshake_turn(struct conversation *c, int number, struct noise *from, struct noise *to)
{
    uint8_t message[MESSAGE_MAX], payload[MESSAGE_MAX];
    size_t message_len, payload_len;
    read_turn(c, number);
    assert_true(noise_write(from, view_of(c->payload, c->payload_len), message, &message_len));
    assert_int_equal(message_len, c->expected_len);
    assert_memory_equal(message, c->expected, message_len);
    assert_true(noise_read(to, view_of(message, message_len), payload, &payload_len));
    assert_int_equal(payload_len, c->payload_len);
    assert_memory_equal(payload, c->payload, payload_len);
}

static void record_turn(struct conversation *c, int number, struct cipher *from, struct cipher *to)
{
    uint8_t data[MESSAGE_MAX];
    read_turn(c, number);
    memcpy(data, c->payload, c->payload_len);
    cipher_seal(from, view_of(NULL, 0), data, c->payload_len, data + c->payload_len);
    assert_int_equal(c->expected_len, c->payload_len + TAG_BYTES);
    assert_memory_equal(data, c->expected, c->expected_len);
    assert_true(cipher_open(to, view_of(NULL, 0), data, c->payload_len, data + c->payload_len));
    assert_memory_equal(data, c->payload, c->payload_len);
}

static void check_conversation(struct conversation *c)
{
    struct cipher i_send, i_receive, r_send, r_receive;
    uint8_t hash[HASH_BYTES];
    begin(c);
    handshake_turn(c, 0, &c->initiator, &c->responder);
    assert_memory_equal(c->responder.remote_static, c->initiator_static.public_key, KEY_BYTES);
    handshake_turn(c, 1, &c->responder, &c->initiator);
    memcpy(hash, c->initiator.hash, HASH_BYTES);
    assert_true(noise_split(&c->initiator, &i_send, &i_receive));
    assert_true(noise_split(&c->responder, &r_send, &r_receive));
    assert_memory_equal(c->initiator.hash, hash, HASH_BYTES);
    assert_memory_equal(c->responder.hash, hash, HASH_BYTES);
    assert_memory_equal(c->responder.remote_static, c->initiator_static.public_key, KEY_BYTES);
    record_turn(c, 2, &i_send, &r_receive);
    record_turn(c, 3, &r_send, &i_receive);
}

static void test_vectors(void **state)
{
    FILE *file = fopen("tests/vectors/noise_ik.txt", "r");
    struct conversation c;
    int conversations = 0;
    (void)state;
    assert_non_null(file);
    for (; vector_next(file, &c.v); conversations++)
        check_conversation(&c);
    fclose(file);
    assert_int_equal(conversations, 8);
}

/* ---- two parties with fresh keys ---- */

struct parties {
    struct keypair alice, bob; /* initiator and responder */
    struct noise initiator, responder;
    uint8_t message[MESSAGE_MAX];
    size_t len;
};

static const char prologue_text[] = "prologue";

static void meet(struct parties *p, enum suite suite)
{
    struct view prologue = view_of_string(prologue_text);
    keypair_generate(&p->alice);
    keypair_generate(&p->bob);
    assert_true(noise_init(&p->initiator, suite, true, prologue, &p->alice, p->bob.public_key));
    assert_true(noise_init(&p->responder, suite, false, prologue, &p->bob, NULL));
}

static void write_turn(struct parties *p, struct noise *from)
{
    assert_true(noise_write(from, view_of_string("payload"), p->message, &p->len));
}

/* Reads with a copy, so that the reader can try again. */
static bool try_read(const struct noise *reader, const uint8_t *message, size_t len)
{
    struct noise copy = *reader;
    uint8_t payload[MESSAGE_MAX] = {0};
    size_t payload_len = 99;
    bool good = noise_read(&copy, view_of(message, len), payload, &payload_len);
    if (!good) {
        assert_true(bytes_are_zero(payload, sizeof payload));
        assert_int_equal(payload_len, 0);
        assert_true(bytes_are_zero(&copy, sizeof copy)); /* no half a handshake is left */
        assert_false(noise_write(&copy, view_of(NULL, 0), payload, &payload_len));
    }
    return good;
}

/* Every bit flipped, every truncation, a byte more. */
static void check_damage(struct parties *p, const struct noise *reader)
{
    assert_true(try_read(reader, p->message, p->len));
    for (size_t bit = 0; bit < 8 * p->len; bit++) {
        p->message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(try_read(reader, p->message, p->len));
        p->message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < p->len; len++)
        assert_false(try_read(reader, p->message, len));
    p->message[p->len] = 0;
    assert_false(try_read(reader, p->message, p->len + 1));
}

static void test_damaged_messages(void **state)
{
    struct parties p;
    uint8_t payload[MESSAGE_MAX];
    size_t len;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        meet(&p, suites[i]);
        write_turn(&p, &p.initiator);
        check_damage(&p, &p.responder);
        assert_true(noise_read(&p.responder, view_of(p.message, p.len), payload, &len));
        write_turn(&p, &p.responder);
        check_damage(&p, &p.initiator);
    }
}

/* A call out of turn is refused and harms nothing. */
static void test_turns(void **state)
{
    struct parties p;
    struct cipher send, receive;
    uint8_t payload[MESSAGE_MAX] = {0};
    size_t len;
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    assert_false(noise_write(&p.responder, view_of_string("x"), p.message, &len));
    assert_false(noise_read(&p.initiator, view_of(payload, 200), payload, &len));
    assert_false(noise_split(&p.initiator, &send, &receive));
    write_turn(&p, &p.initiator);
    assert_false(noise_write(&p.initiator, view_of_string("x"), payload, &len));
    assert_false(noise_split(&p.initiator, &send, &receive));
    assert_true(noise_read(&p.responder, view_of(p.message, p.len), payload, &len));
    assert_false(noise_read(&p.responder, view_of(p.message, p.len), payload, &len));
    write_turn(&p, &p.responder);
    assert_true(noise_read(&p.initiator, view_of(p.message, p.len), payload, &len));
    assert_false(noise_write(&p.initiator, view_of_string("x"), p.message, &len));
    assert_true(noise_split(&p.initiator, &send, &receive));
    assert_false(noise_split(&p.initiator, &send, &receive));
}

/* After Split and after wipe no secret is left. */
static void test_wiped(void **state)
{
    struct parties p;
    struct cipher send, receive;
    uint8_t payload[MESSAGE_MAX];
    size_t len;
    (void)state;
    meet(&p, SUITE_AESGCM);
    write_turn(&p, &p.initiator);
    assert_true(noise_read(&p.responder, view_of(p.message, p.len), payload, &len));
    write_turn(&p, &p.responder);
    assert_true(noise_split(&p.responder, &send, &receive));
    assert_true(bytes_are_zero(&p.responder.ephemeral, sizeof p.responder.ephemeral));
    assert_true(bytes_are_zero(p.responder.chaining_key, HASH_BYTES));
    assert_true(bytes_are_zero(&p.responder.cipher, sizeof p.responder.cipher));
    assert_false(bytes_are_zero(p.initiator.chaining_key, HASH_BYTES));
    noise_wipe(&p.initiator);
    assert_true(bytes_are_zero(&p.initiator, sizeof p.initiator));
}

static void test_ephemerals_are_fresh(void **state)
{
    struct parties p;
    uint8_t first[KEY_BYTES];
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    struct noise copy = p.initiator;
    write_turn(&p, &p.initiator);
    memcpy(first, p.message, KEY_BYTES);
    write_turn(&p, &copy);
    assert_memory_not_equal(first, p.message, KEY_BYTES);
}

/* Different prologues, a responder other than the one meant. */
static void test_not_for_this_responder(void **state)
{
    struct parties p;
    struct keypair other;
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    write_turn(&p, &p.initiator);
    assert_true(try_read(&p.responder, p.message, p.len));
    noise_init(&p.responder, SUITE_CHACHAPOLY, false, view_of_string("other"), &p.bob, NULL);
    assert_false(try_read(&p.responder, p.message, p.len));
    keypair_generate(&other);
    noise_init(&p.responder, SUITE_CHACHAPOLY, false, view_of_string(prologue_text), &other, NULL);
    assert_false(try_read(&p.responder, p.message, p.len));
    noise_init(&p.responder, SUITE_AESGCM, false, view_of_string(prologue_text), &p.bob, NULL);
    assert_false(try_read(&p.responder, p.message, p.len));
}

/* ---- keys that must be refused ---- */

/* Another spelling of the same key, which BearSSL would take. */
static void misspell(struct keypair *pair)
{
    pair->public_key[31] |= 0x80;
}

static void test_remote_static_refused(void **state)
{
    struct parties p;
    struct noise n;
    static const uint8_t zero[KEY_BYTES];
    size_t len;
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    assert_false(
        noise_init(&n, SUITE_CHACHAPOLY, true, view_of(NULL, 0), &p.alice, p.alice.public_key));
    assert_false(noise_write(&n, view_of(NULL, 0), p.message, &len));
    misspell(&p.bob);
    assert_false(
        noise_init(&n, SUITE_CHACHAPOLY, true, view_of(NULL, 0), &p.alice, p.bob.public_key));
    assert_true(noise_init(&n, SUITE_CHACHAPOLY, true, view_of(NULL, 0), &p.alice, zero));
    assert_false(noise_write(&n, view_of(NULL, 0), p.message, &len));
    assert_true(bytes_are_zero(&n, sizeof n));
}

/* Message 1 from an initiator that holds what it says, yet says it in a way that is refused. */
static bool accepted(const struct parties *p, const struct keypair *claimed_static,
                     const struct keypair *ephemeral)
{
    struct keypair own = p->alice;
    struct noise n, responder = p->responder;
    uint8_t message[MESSAGE_MAX];
    size_t len;
    assert_true(noise_init(&n, responder.cipher.suite, true, view_of_string(prologue_text), &own,
                           p->bob.public_key));
    own = *claimed_static; /* only now, for an initiator of this program would refuse it */
    noise_set_ephemeral(&n, ephemeral);
    assert_true(noise_write(&n, view_of_string("payload"), message, &len));
    return try_read(&responder, message, len);
}

static void test_message1_keys_refused(void **state)
{
    struct parties p;
    struct keypair ephemeral, bad;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        meet(&p, suites[i]);
        keypair_generate(&ephemeral);
        assert_true(accepted(&p, &p.alice, &ephemeral));
        assert_false(accepted(&p, &p.bob, &ephemeral)); /* s is the responder's own */
        assert_false(accepted(&p, &p.alice, &p.bob));   /* e is the responder's own */
        bad = p.alice;
        misspell(&bad);
        assert_false(accepted(&p, &bad, &ephemeral));
        bad = ephemeral;
        misspell(&bad);
        assert_false(accepted(&p, &p.alice, &bad));
    }
}

/* Message 2 whose ephemeral is the initiator's own, or misspelt. */
static void test_message2_keys_refused(void **state)
{
    struct parties p;
    struct keypair ephemerals[4];
    uint8_t payload[MESSAGE_MAX];
    size_t len;
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    write_turn(&p, &p.initiator);
    assert_true(noise_read(&p.responder, view_of(p.message, p.len), payload, &len));
    keypair_generate(&ephemerals[0]);
    ephemerals[1] = ephemerals[0];
    misspell(&ephemerals[1]);
    ephemerals[2] = p.alice;
    ephemerals[3] = p.initiator.ephemeral;
    for (size_t i = 0; i < 4; i++) {
        struct noise copy = p.responder;
        noise_set_ephemeral(&copy, &ephemerals[i]);
        write_turn(&p, &copy);
        assert_int_equal(try_read(&p.initiator, p.message, p.len), i == 0);
    }
}

/* An attacker who knows only public keys: with an ephemeral of low order es would be zero at the
 * responder, so that everything up to the attacker's own ss could be computed. */
static void test_low_order_ephemeral_refused(void **state)
{
    static const uint8_t low_order[KEY_BYTES] = {1}, zero[KEY_BYTES];
    struct parties p;
    struct cipher c;
    uint8_t *h, key[KEY_BYTES], shared[KEY_BYTES], message[NOISE_MESSAGE1_OVERHEAD];
    (void)state;
    meet(&p, SUITE_CHACHAPOLY);
    h = p.initiator.hash;
    memcpy(message, low_order, KEY_BYTES);
    sha256(h, view_of(h, HASH_BYTES), view_of(message, KEY_BYTES));
    noise_hkdf(p.initiator.chaining_key, key, p.initiator.chaining_key, view_of(zero, KEY_BYTES));
    cipher_init(&c, SUITE_CHACHAPOLY, key);
    memcpy(message + 32, p.alice.public_key, KEY_BYTES);
    cipher_seal(&c, view_of(h, HASH_BYTES), message + 32, KEY_BYTES, message + 64);
    sha256(h, view_of(h, HASH_BYTES), view_of(message + 32, KEY_BYTES + TAG_BYTES));
    assert_true(x25519(shared, p.alice.private_key, p.bob.public_key));
    noise_hkdf(p.initiator.chaining_key, key, p.initiator.chaining_key, view_of(shared, KEY_BYTES));
    cipher_init(&c, SUITE_CHACHAPOLY, key);
    cipher_seal(&c, view_of(h, HASH_BYTES), NULL, 0, message + 80);
    assert_false(try_read(&p.responder, message, sizeof message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_vectors),
        BOTH(test_damaged_messages),
        BOTH(test_turns),
        BOTH(test_wiped),
        BOTH(test_ephemerals_are_fresh),
        BOTH(test_not_for_this_responder),
        BOTH(test_remote_static_refused),
        BOTH(test_message1_keys_refused),
        BOTH(test_message2_keys_refused),
        BOTH(test_low_order_ephemeral_refused),
    };
    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
