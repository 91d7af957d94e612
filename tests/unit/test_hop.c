/* The hop engine: two and three parties in one process, told the time, no sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/known_keys.h"
#include "hop_pair.h"

#define WHOLE ((size_t)1 << 20)
#define START_US (1000 * CLOCK_US_PER_S)

static struct party client, relay, agent;

static int setup(void **state)
{
    (void)state;
    if (!crypto_start(false))
        return -1;
    party_make(&client, 1, "client 1.0", NULL);
    party_make(&relay, 2, "relay 1.0", "");
    party_make(&agent, 3, "agent 1.0", "site=boston model=vmax");
    return 0;
}

/* A pair of ends: i starts, r listens. Nothing has been carried yet. */
struct pair {
    struct end *i, *r;
};

static struct pair pair_new(struct party *from, enum role role, struct party *to)
{
    struct pair p = {end_new(), end_new()};
    p.r->name = "alice";
    hop_listen(&p.r->hop, &to->party, &end_handler,
               role == ROLE_RELAY ? ROLE_AGENT_CIRCUIT : ROLE_RELAY, START_US);
    assert_true(hop_start(&p.i->hop, &from->party, &end_handler, role, to->keys.public_key, NULL,
                          START_US));
    return p;
}

static void pair_pump(struct pair p, size_t piece)
{
    hop_pump(&p.i->hop, &p.r->hop, piece, START_US);
}

static struct pair pair_open(struct party *from, enum role role, struct party *to)
{
    struct pair p = pair_new(from, role, to);
    pair_pump(p, WHOLE);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    return p;
}

static struct pair pair_client(void)
{
    return pair_open(&client, ROLE_CLIENT, &relay);
}

static void pair_free(struct pair p)
{
    end_free(p.i);
    end_free(p.r);
}

static void assert_idle(const struct hop *h)
{
    assert_null(h->partial);
    assert_null(h->noise);
    assert_int_equal(h->out.bytes, 0);
    assert_null(h->out.first);
}

static void assert_failed(const struct hop *h, enum code code, const char *text)
{
    assert_int_equal(h->state, HOP_ENDED);
    assert_string_equal(hop_error(h)->text, text);
    assert_int_equal(hop_error(h)->code, code);
    assert_null(h->partial);
    assert_null(h->noise);
}

/* Encrypts a message of any type and body with an end's key, whatever its state is. */
static void send_raw(struct hop *h, unsigned type, struct view body)
{
    uint8_t *record = malloc(2 + 1 + body.len + TAG_BYTES);
    assert_non_null(record);
    store_be16(record, (uint16_t)(1 + body.len + TAG_BYTES));
    record[2] = (uint8_t)type;
    if (body.len > 0)
        memcpy(record + 3, body.data, body.len);
    cipher_seal(&h->send, view_of(NULL, 0), record + 2, 1 + body.len, record + 3 + body.len);
    assert_true(fifo_append(&h->out, record, 3 + body.len + TAG_BYTES));
    free(record);
}

/* ---- handshake ---- */

/* A responder whose owner reads first messages elsewhere. */
static struct {
    uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    size_t len;
} taken;

static bool take_first_message(struct hop *h, struct view message)
{
    (void)h;
    memcpy(taken.message, message.data, message.len);
    taken.len = message.len;
    return true;
}

static const struct hop_handler taking_handler = {.on_first_message = take_first_message,
                                                  .on_hello = end_on_hello,
                                                  .on_open = end_on_open,
                                                  .on_message = end_on_message};

/* An agent that has sent its first message to a relay, which has taken it. */
static struct pair pair_taken(void)
{
    struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
    uint8_t *bytes;
    hop_listen(&p.r->hop, &relay.party, &taking_handler, ROLE_RELAY, START_US);
    size_t len = hop_take_out(&p.i->hop, &bytes);
    assert_int_equal(hop_feed(&p.r->hop, bytes, len, WHOLE, START_US), len);
    assert_int_equal(p.r->hop.state, HOP_READING);
    assert_true(p.r->hop.mac1_valid);
    assert_int_equal(taken.len, len);
    assert_memory_equal(taken.message, bytes, len);
    assert_int_equal(p.r->hellos, 0);
    free(bytes);
    return p;
}

static struct noise *read_taken(uint8_t payload[HANDSHAKE_PAYLOAD1_MAX], size_t *len)
{
    struct noise *noise = calloc(1, sizeof *noise);
    assert_non_null(noise);
    assert_true(handshake_accept(noise, &relay.keys, NULL, view_of(taken.message, taken.len),
                                 payload, len));
    return noise;
}

static void test_read_elsewhere(void **state)
{
    (void)state;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t len;
    struct pair p = pair_taken();
    struct noise *noise = read_taken(payload, &len);
    assert_true(noise_prepare(noise));
    hop_hello_read(&p.r->hop, noise, view_of(payload, len));
    assert_int_equal(p.r->hellos, 1);
    assert_int_equal(p.r->hop.state, HOP_WAIT_FIRST);
    pair_pump(p, WHOLE);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    assert_idle(&p.r->hop);
    pair_free(p);
}

/* Not authentic: silent. Ended meanwhile: what was read is of no use. */
static void test_read_elsewhere_in_vain(void **state)
{
    (void)state;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t len;
    struct pair p = pair_taken();
    hop_hello_read(&p.r->hop, NULL, view_of(NULL, 0));
    assert_int_equal(p.r->hop.state, HOP_SILENT);
    assert_idle(&p.r->hop);
    pair_free(p);

    p = pair_taken();
    struct noise *noise = read_taken(payload, &len);
    hop_fail(&p.r->hop, CODE_TIMEOUT, "too late");
    hop_hello_read(&p.r->hop, noise, view_of(payload, len));
    assert_failed(&p.r->hop, CODE_TIMEOUT, "too late");
    assert_int_equal(p.r->hellos, 0);
    pair_free(p);
}

/* The answer's ephemeral is one that was made before. */
static void test_answer_from_stock(void **state)
{
    (void)state;
    struct key_stock stock;
    struct hop_party party = relay.party;
    uint8_t expected[KEY_BYTES], *bytes;
    struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
    key_stock_init(&stock);
    key_stock_fill(&stock);
    memcpy(expected, stock.pairs[KEY_STOCK_MAX - 1].public_key, KEY_BYTES);
    party.stock = &stock;
    hop_listen(&p.r->hop, &party, &end_handler, ROLE_RELAY, START_US);
    size_t len = hop_take_out(&p.i->hop, &bytes);
    hop_feed(&p.r->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    len = hop_take_out(&p.r->hop, &bytes);
    assert_memory_equal(bytes + 2, expected, KEY_BYTES);
    assert_int_equal(stock.count, KEY_STOCK_MAX - 1);
    hop_feed(&p.i->hop, bytes, len, WHOLE, START_US);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    free(bytes);
    key_stock_end(&stock);
    pair_free(p);
}

/* Nothing can follow the first message before it is answered. */
static unsigned not_authentic;

static void on_not_authentic(struct hop *h)
{
    assert_int_equal(h->state, HOP_SILENT);
    not_authentic++;
}

/* Nobody can know before the answer what to send: silence, whatever the reading gives later. */
static void test_bytes_behind_what_is_read_elsewhere(void **state)
{
    (void)state;
    struct hop_handler handler = taking_handler;
    handler.on_not_authentic = on_not_authentic;
    for (size_t more = 1; more <= 4096; more *= 4) {
        uint8_t *bytes, rest[4096] = {0}, payload[HANDSHAKE_PAYLOAD1_MAX];
        struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
        hop_listen(&p.r->hop, &relay.party, &handler, ROLE_RELAY, START_US);
        assert_true(fifo_append(&p.i->hop.out, rest, more));
        size_t payload_len, len = hop_take_out(&p.i->hop, &bytes);
        not_authentic = 0;
        assert_int_equal(hop_feed(&p.r->hop, bytes, len, WHOLE, START_US), len);
        assert_int_equal(p.r->hop.state, HOP_SILENT);
        assert_int_equal(not_authentic, 1);
        hop_hello_read(&p.r->hop, read_taken(payload, &payload_len), view_of(payload, payload_len));
        assert_int_equal(p.r->hop.state, HOP_SILENT);
        assert_int_equal(p.r->hellos, 0);
        assert_int_equal(not_authentic, 1);
        assert_idle(&p.r->hop);
        free(bytes);
        pair_free(p);
    }
}

/* The owner may read it, and find it wanting, inside its callback. */
static bool reject_first_message(struct hop *h, struct view message)
{
    (void)message;
    hop_hello_read(h, NULL, view_of(NULL, 0));
    return true;
}

static void test_rejected_at_once(void **state)
{
    (void)state;
    struct hop_handler handler = taking_handler;
    handler.on_first_message = reject_first_message;
    struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
    uint8_t *bytes;
    hop_listen(&p.r->hop, &relay.party, &handler, ROLE_RELAY, START_US);
    size_t len = hop_take_out(&p.i->hop, &bytes);
    assert_int_equal(hop_feed(&p.r->hop, bytes, len, WHOLE, START_US), len);
    assert_int_equal(p.r->hop.state, HOP_SILENT);
    assert_idle(&p.r->hop);
    free(bytes);
    pair_free(p);
}

static bool only_known(struct hop *h, struct view message)
{
    (void)message;
    h->known_only = true;
    return false;
}

/* Silence for a key that is not known, if the owner wants it so. */
static void test_only_known(void **state)
{
    (void)state;
    struct party own = relay;
    struct hop_handler handler = taking_handler;
    own.party.own = &own.keys;
    own.party.known = known_keys_new();
    assert_non_null(own.party.known);
    handler.on_first_message = only_known;
    for (int known = 0; known <= 1; known++) {
        struct pair p = pair_new(&agent, ROLE_AGENT, &own);
        hop_listen(&p.r->hop, &own.party, &handler, ROLE_RELAY, START_US);
        pair_pump(p, WHOLE);
        assert_int_equal(p.r->hop.state, known ? HOP_OPEN : HOP_SILENT);
        assert_int_equal(p.r->hellos, known);
        pair_free(p);
        assert_true(known_keys_add(own.party.known, agent.keys.public_key));
    }
    known_keys_free(own.party.known);
}

static void test_opens(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 7, 64, 200, WHOLE};
    for (size_t n = 0; n < sizeof pieces / sizeof *pieces; n++) {
        struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
        pair_pump(p, pieces[n]);
        assert_int_equal(p.i->hop.state, HOP_OPEN);
        assert_int_equal(p.r->hop.state, HOP_OPEN);
        assert_int_equal(p.r->hellos, 1);
        assert_int_equal(p.r->hello.role, ROLE_AGENT);
        assert_int_equal(p.r->hello.version, PROTOCOL_VERSION);
        assert_true(bytes_are_zero(p.r->hello.ticket, TICKET_BYTES));
        assert_memory_equal(p.r->hop.peer_key, agent.keys.public_key, KEY_BYTES);
        assert_memory_equal(p.i->hop.peer_key, relay.keys.public_key, KEY_BYTES);
        assert_int_equal(p.r->hop.peer_role, ROLE_AGENT);
        assert_int_equal(p.i->hop.peer_role, ROLE_RELAY);
        assert_string_equal(p.i->hop.peer_name, "alice");
        assert_int_equal(p.i->opens, 1);
        assert_int_equal(p.r->opens, 1);
        assert_false(p.i->opened_with_info);
        assert_true(p.r->opened_with_info);
        assert_string_equal(p.r->version, "agent 1.0");
        assert_string_equal(p.r->labels, "site=boston model=vmax");
        assert_int_equal(p.i->messages, 1);
        assert_int_equal(p.i->last_type, MESSAGE_INFO);
        assert_int_equal(p.r->messages, 0);
        assert_int_equal(p.i->hop.peer_has_aes, crypto_has_aes());
        assert_int_equal(p.r->hop.peer_has_aes, crypto_has_aes());
        assert_int_equal(p.i->hop.keepalive_us, 20 * CLOCK_US_PER_S);
        assert_int_equal(p.r->hop.opened_us, START_US);
        assert_idle(&p.i->hop);
        assert_idle(&p.r->hop);
        pair_free(p);
    }
}

static void test_ticket(void **state)
{
    (void)state;
    uint8_t ticket[TICKET_BYTES];
    struct pair p = {end_new(), end_new()};
    memset(ticket, 0x5a, sizeof ticket);
    p.r->name = "boston";
    hop_listen(&p.r->hop, &relay.party, &end_handler, ROLE_RELAY, START_US);
    assert_true(hop_start(&p.i->hop, &agent.party, &end_handler, ROLE_AGENT_CIRCUIT,
                          relay.keys.public_key, ticket, START_US));
    pair_pump(p, WHOLE);
    assert_memory_equal(p.r->hello.ticket, ticket, sizeof ticket);
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    pair_free(p);
}

static void test_relay_dials(void **state)
{
    (void)state;
    struct pair p = pair_open(&relay, ROLE_RELAY, &agent);
    assert_int_equal(p.r->hop.peer_role, ROLE_RELAY);
    assert_int_equal(p.i->hop.peer_role, ROLE_AGENT_CIRCUIT);
    assert_true(hop_send(&p.i->hop, MESSAGE_OFFER, view_of("o", 1)));
    pair_pump(p, WHOLE);
    assert_int_equal(p.r->last_type, MESSAGE_OFFER);
    assert_true(hop_send(&p.r->hop, MESSAGE_ACCEPT, view_of("a", 1)));
    pair_pump(p, WHOLE);
    assert_int_equal(p.i->last_type, MESSAGE_ACCEPT);
    pair_free(p);
}

static void test_bad_own_use(void **state)
{
    (void)state;
    struct end *e = end_new();
    uint8_t zero[KEY_BYTES] = {0}, high[KEY_BYTES];
    assert_false(hop_start(&e->hop, &client.party, &end_handler, ROLE_CLIENT,
                           client.keys.public_key, NULL, START_US));
    assert_int_equal(hop_error(&e->hop)->code, CODE_BAD_HANDSHAKE);
    assert_int_equal(e->hop.state, HOP_ENDED);
    assert_idle(&e->hop);
    hop_free(&e->hop);
    assert_false(hop_start(&e->hop, &client.party, &end_handler, ROLE_CLIENT, zero, NULL, 0));
    hop_free(&e->hop);
    memset(high, 0xff, sizeof high);
    assert_false(hop_start(&e->hop, &client.party, &end_handler, ROLE_CLIENT, high, NULL, 0));
    assert_false(hop_send(&e->hop, MESSAGE_END, view_of(NULL, 0)));
    end_free(e);
}

static void test_suite_of_peer(void **state)
{
    (void)state;
    struct party without = client;
    uint8_t *bytes;
    without.party.own = &without.keys;
    without.party.peer_lacks_aes = true;
    struct pair p = pair_new(&without, ROLE_CLIENT, &relay);
    size_t len = hop_take_out(&p.i->hop, &bytes);
    assert_int_equal(bytes[4], SUITE_CHACHAPOLY);
    hop_feed(&p.r->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    pair_pump(p, WHOLE);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    assert_int_equal(p.i->hop.send.suite, SUITE_CHACHAPOLY);
    pair_free(p);
}

static void test_refusals(void **state)
{
    (void)state;
    for (enum code code = CODE_UNKNOWN_KEY; code <= CODE_DONE; code++) {
        struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
        p.r->refuse_code = code;
        p.r->refuse_text = "ask \xe2\x80\xae the\x1b[1m owner\n";
        pair_pump(p, code % 2 ? 1 : WHOLE);
        assert_failed(&p.i->hop, code, "ask ? the?[1m owner?");
        assert_true(p.i->hop.refused_by_peer);
        assert_int_equal(p.i->opens, 0);
        assert_int_equal(p.r->hop.state, HOP_ENDED);
        assert_int_equal(hop_error(&p.r->hop)->code, code);
        assert_false(p.r->hop.refused_by_peer);
        assert_idle(&p.r->hop);
        pair_free(p);
    }
}

static void test_refusal_without_text(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    p.r->name = NULL; /* the handler leaves the answer as it came */
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_FULL, code_text(CODE_FULL));
    assert_int_equal(hop_error(&p.r->hop)->code, CODE_FULL);
    pair_free(p);
}

static void test_handler_ends_in_hello(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= WHOLE; piece += WHOLE - 1) {
        struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
        p.r->fail_on_hello = true;
        pair_pump(p, piece);
        assert_failed(&p.r->hop, CODE_FULL, "no room");
        assert_int_equal(p.i->hop.state, HOP_WAIT_WELCOME);
        pair_free(p);
    }
}

/* A first message of the client's key with a payload of the test's choice. */
static size_t make_message1(uint8_t *out, struct view payload)
{
    struct noise n;
    size_t len = 0;
    assert_true(handshake_start(&n, SUITE_CHACHAPOLY, PURPOSE_HOP, &client.keys,
                                relay.keys.public_key, NULL, payload, out, &len));
    noise_wipe(&n);
    return len;
}

static struct end *listener(void)
{
    struct end *e = end_new();
    e->name = "alice";
    hop_listen(&e->hop, &relay.party, &end_handler, ROLE_RELAY, START_US);
    return e;
}

/* Feeds the relay a HELLO with this payload; 34 bytes are version, role and ticket. */
static struct end *listener_with_hello(const uint8_t *payload, size_t len)
{
    uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    struct end *e = listener();
    hop_feed(&e->hop, message, make_message1(message, view_of(payload, len)), WHOLE, START_US);
    return e;
}

/* A program of a later version is told the version that both know. */
static void test_version(void **state)
{
    (void)state;
    static const uint8_t hello[34] = {200, ROLE_CLIENT};
    uint8_t message[HANDSHAKE_MESSAGE1_MAX], payload[4096], *bytes;
    struct noise n;
    struct welcome w;
    uint16_t unsupported = 0;
    size_t len = 0;
    struct end *e = listener();
    assert_true(handshake_start(&n, SUITE_AESGCM, PURPOSE_HOP, &client.keys, relay.keys.public_key,
                                NULL, view_of(hello, sizeof hello), message, &len));
    hop_feed(&e->hop, message, len, WHOLE, START_US);
    len = hop_take_out(&e->hop, &bytes);
    assert_int_equal(load_be16(bytes), len - 2);
    assert_true(noise_read(&n, view_of(bytes + 2, len - 2), payload, &len));
    assert_true(welcome_decode(&w, view_of(payload, len), &unsupported));
    assert_int_equal(w.code, CODE_OK);
    assert_int_equal(w.version, PROTOCOL_VERSION);
    assert_int_equal(w.keepalive_s, 20);
    free(bytes);
    noise_wipe(&n);
    end_free(e);
}

/* Answers as a responder with a WELCOME of the test's choice. */
static struct end *initiator_with_welcome(const struct welcome *w)
{
    uint8_t *bytes, hello[HANDSHAKE_PAYLOAD1_MAX], payload[256], answer[512];
    struct noise n;
    size_t len;
    struct end *e = end_new();
    assert_true(hop_start(&e->hop, &client.party, &end_handler, ROLE_CLIENT, relay.keys.public_key,
                          NULL, START_US));
    len = hop_take_out(&e->hop, &bytes);
    assert_true(handshake_accept(&n, &relay.keys, NULL, view_of(bytes, len), hello, &len));
    free(bytes);
    len = welcome_encode(w, payload, sizeof payload);
    assert_true(noise_write(&n, view_of(payload, len), answer + 2, &len));
    store_be16(answer, (uint16_t)len);
    hop_feed(&e->hop, answer, 2 + len, WHOLE, START_US);
    noise_wipe(&n);
    return e;
}

static void test_welcome_contents(void **state)
{
    (void)state;
    struct welcome w = {.code = CODE_OK, .version = 1, .name = view_of_string("alice")};
    struct end *e = initiator_with_welcome(&w);
    assert_int_equal(e->hop.state, HOP_OPEN);
    assert_int_equal(e->hop.keepalive_us, KEEPALIVE_MIN_S * CLOCK_US_PER_S);
    end_free(e);

    w.keepalive_s = 65535;
    e = initiator_with_welcome(&w);
    assert_int_equal(e->hop.keepalive_us, KEEPALIVE_MAX_S * CLOCK_US_PER_S);
    end_free(e);

    w.version = 2; /* above what was asked for */
    e = initiator_with_welcome(&w);
    assert_failed(&e->hop, CODE_VERSION,
                  "the relay answered with protocol version 2, which is not known");
    assert_int_equal(e->opens, 0);
    end_free(e);
}

static void test_hello_contents(void **state)
{
    (void)state;
    uint8_t hello[34 + 4] = {PROTOCOL_VERSION, ROLE_CLIENT};
    struct end *e = listener_with_hello(hello, 33);
    assert_int_equal(e->hop.state, HOP_SILENT);
    assert_idle(&e->hop);
    assert_int_equal(e->hellos, 0);
    end_free(e);

    hello[0] = 0;
    e = listener_with_hello(hello, 34);
    assert_failed(&e->hop, CODE_VERSION, "refused: protocol version 0 does not exist");
    assert_true(e->hop.out.bytes > 0);
    assert_int_equal(e->hellos, 0);
    end_free(e);

    hello[0] = 200; /* a later program: it is told this one's version */
    e = listener_with_hello(hello, 34);
    assert_int_equal(e->hop.state, HOP_WAIT_FIRST);
    end_free(e);

    hello[1] = ROLE_RELAY; /* a relay does not connect to a relay */
    e = listener_with_hello(hello, 34);
    assert_int_equal(hop_error(&e->hop)->code, CODE_WRONG_ROLE);
    assert_true(e->hop.out.bytes > 0);
    assert_int_equal(e->hellos, 0);
    end_free(e);

    hello[1] = ROLE_CLIENT; /* an extension, unknown */
    hello[35] = 7;
    e = listener_with_hello(hello, 38);
    assert_int_equal(e->hop.state, HOP_WAIT_FIRST);
    end_free(e);

    hello[34] = 0x80; /* an extension that must be understood */
    e = listener_with_hello(hello, 38);
    assert_int_equal(hop_error(&e->hop)->code, CODE_UNSUPPORTED);
    assert_true(e->hop.out.bytes > 0);
    assert_int_equal(e->hellos, 0);
    end_free(e);
}

/* Puts a right mac1 under a first message that was changed. */
static void remake_mac1(uint8_t *message, size_t len)
{
    uint8_t mac[HASH_BYTES];
    hmac_sha256(mac, view_of(relay.party.mac1_key, HASH_BYTES), view_of(message, len - MAC1_BYTES),
                view_of(NULL, 0));
    memcpy(message + len - MAC1_BYTES, mac, MAC1_BYTES);
}

static void test_unknown_suite(void **state)
{
    (void)state;
    uint8_t *bytes;
    for (size_t piece = 1; piece <= WHOLE; piece += WHOLE - 1) {
        struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
        size_t len = hop_take_out(&p.i->hop, &bytes);
        bytes[4] = 9;
        remake_mac1(bytes, len);
        hop_feed(&p.r->hop, bytes, len, piece, START_US);
        free(bytes);
        assert_failed(&p.r->hop, CODE_VERSION,
                      "the initiator asked for suite 9, which is not known here");
        assert_int_equal(p.r->hop.out.bytes, 4);
        assert_int_equal(p.r->hellos, 0);
        pair_pump(p, piece);
        assert_failed(&p.i->hop, CODE_VERSION,
                      "the relay takes only suites: 1 2; one of the programs is too old");
        pair_free(p);
    }
}

/* With a right mac1 (which needs only the public key) but not authentic: silent like any other. */
static void test_not_authentic(void **state)
{
    (void)state;
    uint8_t *bytes;
    struct end *i = end_new();
    assert_true(hop_start(&i->hop, &client.party, &end_handler, ROLE_CLIENT, relay.keys.public_key,
                          NULL, START_US));
    size_t len = hop_take_out(&i->hop, &bytes);
    for (size_t at = HANDSHAKE_HEADER_BYTES; at < len - MAC1_BYTES; at += 5) {
        struct end *e = listener();
        bytes[at] ^= 0x10;
        remake_mac1(bytes, len);
        assert_int_equal(hop_feed(&e->hop, bytes, len, WHOLE, START_US), len);
        assert_int_equal(e->hop.state, HOP_SILENT);
        assert_int_equal(e->hellos, 0);
        assert_idle(&e->hop);
        bytes[at] ^= 0x10;
        end_free(e);
    }
    free(bytes);
    end_free(i);
}

static void test_silent(void **state)
{
    (void)state;
    static const char *const first[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "SPX2",
                                        "SPX1\1\2xx", "SPX1\1\1\0\5"};
    for (size_t n = 0; n < sizeof first / sizeof *first; n++) {
        size_t len = n == 4 ? 8 : strlen(first[n]);
        for (size_t piece = 1; piece <= WHOLE; piece += WHOLE - 1) {
            struct end *e = listener();
            assert_int_equal(hop_feed(&e->hop, (const uint8_t *)first[n], len, piece, START_US),
                             len);
            assert_int_equal(e->hop.state, HOP_SILENT);
            uint8_t more[100] = {0};
            assert_int_equal(hop_feed(&e->hop, more, sizeof more, WHOLE, START_US), sizeof more);
            assert_int_equal(e->hop.state, HOP_SILENT);
            assert_int_equal(hop_error(&e->hop)->code, 0);
            assert_idle(&e->hop);
            assert_int_equal(hop_deadline(&e->hop), CLOCK_NEVER);
            end_free(e);
        }
    }
}

/* An unauthenticated peer makes the hop hold one first message and no more. */
static void test_memory_before_mac1(void **state)
{
    (void)state;
    uint8_t bytes[HANDSHAKE_MESSAGE1_MAX] = {'S', 'P', 'X', '1', 1, 1, 0x10, 0x00};
    struct end *e = listener();
    assert_int_equal(HANDSHAKE_MESSAGE1_MAX, SESSION_MESSAGE1_MAX);
    assert_null(e->hop.partial);
    for (size_t i = 0; i + 1 < sizeof bytes; i++) {
        assert_int_equal(hop_input(&e->hop, bytes + i, 1, START_US), 1);
        assert_int_equal(e->hop.state, HOP_WAIT_HELLO);
        assert_true(e->hop.partial_size <= SESSION_MESSAGE1_MAX);
        assert_null(e->hop.noise);
    }
    hop_input(&e->hop, bytes + sizeof bytes - 1, 1, START_US);
    assert_int_equal(e->hop.state, HOP_SILENT);
    assert_idle(&e->hop);
    end_free(e);

    e = listener();
    uint8_t too_long[9] = {'S', 'P', 'X', '1', 1, 1, 0x10, 0x01};
    hop_feed(&e->hop, too_long, sizeof too_long, WHOLE, START_US);
    assert_int_equal(e->hop.state, HOP_SILENT);
    end_free(e);
}

static void test_answer_too_long(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    uint8_t length[2] = {0x10, 0x01};
    hop_feed(&p.i->hop, length, 2, 1, START_US);
    assert_failed(&p.i->hop, CODE_BAD_HANDSHAKE, "another program listens there, not an spx relay");
    pair_free(p);

    p = pair_new(&client, ROLE_CLIENT, &relay);
    uint8_t answer[2 + 48] = {0, 48};
    hop_feed(&p.i->hop, answer, sizeof answer, WHOLE, START_US);
    assert_failed(&p.i->hop, CODE_BAD_HANDSHAKE,
                  "the answer of the relay to the handshake is not authentic");
    pair_free(p);
}

/* Where the length should be a server of HTTP/2 or SMB has zeros, a name server the length of an
 * answer that has zeros itself. Neither is a list of suites. */
static void test_answer_that_is_no_list(void **state)
{
    static const uint8_t http2[] = {0, 0, 6, 4, 0, 0, 0, 0, 0};
    static const uint8_t dns[] = {0, 12, 'S', 'P', 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    const struct view answers[] = {view_of(http2, sizeof http2), view_of(dns, sizeof dns)};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
        uint8_t bytes[sizeof dns];
        memcpy(bytes, answers[i / 2].data, answers[i / 2].len);
        hop_feed(&p.i->hop, bytes, answers[i / 2].len, i % 2 ? WHOLE : 1, START_US);
        assert_failed(&p.i->hop, CODE_BAD_HANDSHAKE,
                      "another program listens there, not an spx relay");
        pair_free(p);
    }
}

/* Another program that answers in the responder's place is named by its first two bytes, however
 * many come with them. */
static void test_answer_of_a_stranger(void **state)
{
    static const struct {
        const char *begins, *text;
    } strangers[] = {
        {"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
         "an SSH server listens there, not an spx relay"},
        {"HTTP/1.1 400 Bad Request\r\n", "a web server listens there, not an spx relay"},
        {"<!DOCTYPE HTML>\n", "a web server listens there, not an spx relay"},
        {"<html>\r\n", "a web server listens there, not an spx relay"},
        {"\x15\x03\x01", "a TLS server listens there, not an spx relay"},
        {"\x15\x03\x03", "a TLS server listens there, not an spx relay"},
        {"220 mail.example.com ESMTP\r\n", "a mail or FTP server listens there, not an spx relay"},
        {"RFB 003.008\n", "another program listens there, not an spx relay"},
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof strangers / sizeof *strangers; i++) {
        const char *begins = strangers[i / 2].begins;
        struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
        uint8_t bytes[64];
        memcpy(bytes, begins, strlen(begins));
        hop_feed(&p.i->hop, bytes, strlen(begins), i % 2 ? WHOLE : 1, START_US);
        assert_failed(&p.i->hop, CODE_BAD_HANDSHAKE, strangers[i / 2].text);
        pair_free(p);
    }
}

/* A recorded first message gets an answer, but registers nothing; nor does the record that followed
 * it. */
static void test_replay(void **state)
{
    (void)state;
    uint8_t *message1, *answer, *first;
    struct pair p = pair_new(&agent, ROLE_AGENT, &relay);
    size_t message1_len = hop_take_out(&p.i->hop, &message1);
    hop_feed(&p.r->hop, message1, message1_len, WHOLE, START_US);
    size_t answer_len = hop_take_out(&p.r->hop, &answer);
    hop_feed(&p.i->hop, answer, answer_len, WHOLE, START_US);
    size_t first_len = hop_take_out(&p.i->hop, &first);

    struct end *again = listener();
    hop_feed(&again->hop, message1, message1_len, WHOLE, START_US);
    assert_int_equal(again->hop.state, HOP_WAIT_FIRST);
    assert_int_equal(again->opens, 0);
    assert_false(hop_send(&again->hop, MESSAGE_END, view_of(NULL, 0)));
    hop_feed(&again->hop, first, first_len, WHOLE, START_US);
    assert_failed(&again->hop, CODE_PROTOCOL, "a record failed its check");
    assert_int_equal(again->opens, 0);

    hop_feed(&p.r->hop, first, first_len, WHOLE, START_US);
    assert_int_equal(p.r->opens, 1);
    free(message1);
    free(answer);
    free(first);
    end_free(again);
    pair_free(p);
}

/* ---- tampering ---- */

/* Feeds a copy of e a changed message and then much more: it must end, or be silent, with nothing
 * delivered. */
static void assert_rejected(const struct end *e, const uint8_t *bytes, size_t len)
{
    static const uint8_t more[70000];
    struct end *copy = end_clone(e);
    hop_feed(&copy->hop, bytes, len, WHOLE, START_US);
    hop_feed(&copy->hop, more, sizeof more, WHOLE, START_US);
    assert_true(copy->hop.state == HOP_ENDED || copy->hop.state == HOP_SILENT);
    assert_int_equal(copy->hellos, e->hellos);
    assert_int_equal(copy->opens, e->opens);
    assert_int_equal(copy->messages, e->messages);
    assert_int_equal(copy->hop.out.bytes, 0);
    end_free(copy);
}

/* Every bit flipped, every truncation, then the message as it is. */
static void tamper(struct end *from, struct end *to)
{
    uint8_t *bytes;
    size_t len = hop_take_out(&from->hop, &bytes);
    assert_true(len > 0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_rejected(to, bytes, len);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        struct end *copy = end_clone(to);
        assert_int_equal(hop_feed(&copy->hop, bytes, cut, WHOLE, START_US), cut);
        assert_int_equal(copy->hop.state, to->hop.state);
        assert_int_equal(copy->hellos, to->hellos);
        assert_int_equal(copy->opens, to->opens);
        assert_int_equal(copy->messages, to->messages);
        assert_int_equal(copy->hop.out.bytes, 0);
        end_free(copy);
    }
    assert_int_equal(hop_feed(&to->hop, bytes, len, WHOLE, START_US), len);
    free(bytes);
}

static void test_tampering(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    tamper(p.i, p.r); /* message 1 */
    assert_int_equal(p.r->hop.state, HOP_WAIT_FIRST);
    tamper(p.r, p.i); /* WELCOME */
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    tamper(p.i, p.r); /* INFO */
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    tamper(p.r, p.i); /* INFO */
    assert_int_equal(p.i->messages, 1);
    assert_true(hop_send(&p.i->hop, MESSAGE_LIST, view_of("\0\1*", 3)));
    tamper(p.i, p.r);
    assert_int_equal(p.r->last_type, MESSAGE_LIST);
    assert_true(hop_send(&p.r->hop, MESSAGE_END, view_of(NULL, 0)));
    tamper(p.r, p.i);
    assert_int_equal(p.i->last_type, MESSAGE_END);
    hop_bye(&p.r->hop, CODE_SHUTDOWN, "bye", 1);
    tamper(p.r, p.i);
    assert_int_equal(hop_error(&p.i->hop)->code, CODE_SHUTDOWN);
    pair_free(p);
}

/* A record repeated, left out, or sent back does not pass. */
static void test_record_order(void **state)
{
    (void)state;
    uint8_t *one, *two;
    struct pair p = pair_client();
    hop_send(&p.i->hop, MESSAGE_LIST, view_of("1", 1));
    size_t one_len = hop_take_out(&p.i->hop, &one);
    hop_send(&p.i->hop, MESSAGE_LIST, view_of("2", 1));
    size_t two_len = hop_take_out(&p.i->hop, &two);
    assert_rejected(p.r, two, two_len);
    assert_rejected(p.i, one, one_len);
    hop_feed(&p.r->hop, one, one_len, WHOLE, START_US);
    assert_int_equal(p.r->messages, 1);
    assert_rejected(p.r, one, one_len);
    hop_feed(&p.r->hop, two, two_len, WHOLE, START_US);
    assert_int_equal(p.r->messages, 2);
    free(one);
    free(two);
    pair_free(p);
}

static void test_record_lengths(void **state)
{
    (void)state;
    for (unsigned len = 0; len <= TAG_BYTES; len++) {
        struct pair p = pair_client();
        uint8_t record[2 + TAG_BYTES] = {0, (uint8_t)len};
        hop_feed(&p.r->hop, record, 2, 1, START_US);
        assert_int_equal(p.r->hop.state, HOP_ENDED);
        assert_int_equal(hop_error(&p.r->hop)->code, CODE_PROTOCOL);
        pair_free(p);
    }
    /* Before the initiator has proven its key, it cannot ask for 64 KiB. */
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    uint8_t *bytes, record[2] = {0x10, 0x01};
    size_t len = hop_take_out(&p.i->hop, &bytes);
    hop_feed(&p.r->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    hop_feed(&p.r->hop, record, 2, 1, START_US);
    assert_failed(&p.r->hop, CODE_PROTOCOL, "a first record of 4097 bytes: too long");
    pair_free(p);
}

static void test_largest_message(void **state)
{
    (void)state;
    static uint8_t body[RECORD_PLAINTEXT_MAX];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7);
    for (size_t piece = 1000; piece <= WHOLE; piece += WHOLE - 1000) {
        struct pair p = pair_client();
        assert_true(hop_send(&p.r->hop, MESSAGE_AGENT, view_of(body, RECORD_PLAINTEXT_MAX - 1)));
        pair_pump(p, piece);
        assert_int_equal(p.i->last_len, RECORD_PLAINTEXT_MAX - 1);
        assert_memory_equal(p.i->last_body, body, RECORD_PLAINTEXT_MAX - 1);
        assert_idle(&p.i->hop);
        assert_false(hop_send(&p.r->hop, MESSAGE_AGENT, view_of(body, RECORD_PLAINTEXT_MAX)));
        assert_int_equal(hop_error(&p.r->hop)->code, CODE_INTERNAL);
        pair_free(p);
    }
}

/* ---- rules ---- */

#define C (1U << ROLE_CLIENT)
#define A (1U << ROLE_AGENT)
#define P (1U << ROLE_AGENT_CIRCUIT)
#define R (1U << ROLE_RELAY)

/* The table of docs/PROTOCOL.md section 3 once more: from whom, to whom. */
static const struct {
    unsigned type, from, to;
} allowed[] = {
    {MESSAGE_LIST, C, R},    {MESSAGE_WATCH, C, R},      {MESSAGE_AGENT, R, C},
    {MESSAGE_END, R, C},     {MESSAGE_CONNECT, C, R},    {MESSAGE_OFFER, R, A | P},
    {MESSAGE_ACCEPT, P, R},  {MESSAGE_REFUSE, A | P, R}, {MESSAGE_CONNECTED, R, C},
    {MESSAGE_REFUSED, R, C}, {MESSAGE_CALL, A, R},       {MESSAGE_CALLS, A, R},
    {MESSAGE_HEARD, R, A},   {MESSAGE_HEAD, C | A, R},   {MESSAGE_HEAD, R, C | A},
};

static bool may_send(unsigned type, unsigned from, unsigned to)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i].type == type && (allowed[i].from & 1U << from) && (allowed[i].to & 1U << to))
            return true;
    return false;
}

/* Sends every type the table has, one a copy, and sees which come through. */
static void check_roles(struct end *from, struct end *to)
{
    for (unsigned type = MESSAGE_LIST; type <= MESSAGE_HEAD; type++) {
        if (type > MESSAGE_CALL && type < MESSAGE_CALLS)
            continue;
        struct end *sender = end_clone(from), *receiver = end_clone(to);
        uint8_t *bytes;
        unsigned before = receiver->messages;
        send_raw(&sender->hop, type, view_of("x", type != MESSAGE_END));
        size_t len = hop_take_out(&sender->hop, &bytes);
        hop_feed(&receiver->hop, bytes, len, WHOLE, START_US);
        free(bytes);
        if (may_send(type, sender->hop.own_role, receiver->hop.own_role)) {
            assert_int_equal(receiver->hop.state, HOP_OPEN);
            assert_int_equal(receiver->messages, before + 1);
            assert_int_equal(receiver->last_type, type);
        } else {
            assert_int_equal(receiver->hop.state, HOP_ENDED);
            assert_int_equal(hop_error(&receiver->hop)->code, CODE_PROTOCOL);
            assert_int_equal(receiver->messages, before);
        }
        end_free(sender);
        end_free(receiver);
    }
}

static void test_roles(void **state)
{
    (void)state;
    static const enum role roles[] = {ROLE_CLIENT, ROLE_AGENT, ROLE_AGENT_CIRCUIT};
    struct pair p;
    for (size_t i = 0; i < 3; i++) {
        p = pair_open(&client, roles[i], &relay);
        check_roles(p.i, p.r);
        check_roles(p.r, p.i);
        pair_free(p);
    }
    p = pair_open(&relay, ROLE_RELAY, &agent);
    check_roles(p.i, p.r);
    check_roles(p.r, p.i);
    pair_free(p);
}

static void test_rule_texts(void **state)
{
    (void)state;
    struct pair p = pair_client();
    send_raw(&p.i->hop, MESSAGE_OFFER, view_of("x", 1));
    pair_pump(p, WHOLE);
    assert_failed(&p.r->hop, CODE_PROTOCOL, "OFFER from a client to a relay");
    pair_free(p);

    p = pair_client();
    send_raw(&p.r->hop, MESSAGE_END, view_of("x", 1));
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_PROTOCOL, "malformed END");
    pair_free(p);

    p = pair_client();
    send_raw(&p.i->hop, MESSAGE_INFO, view_of("\0\0\0\0\0\0", 6));
    pair_pump(p, WHOLE);
    assert_failed(&p.r->hop, CODE_PROTOCOL, "INFO came twice");
    pair_free(p);

    p = pair_client();
    send_raw(&p.r->hop, MESSAGE_INFO, view_of("\0\0\0\0\0\0", 6));
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_PROTOCOL, "INFO came twice");
    assert_int_equal(p.i->messages, 1);
    pair_free(p);
}

/* Each side's first record is INFO, nothing else. */
static void first_record(bool from_initiator, unsigned type, struct view body, const char *text)
{
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    uint8_t *bytes;
    size_t len = hop_take_out(&p.i->hop, &bytes);
    hop_feed(&p.r->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    len = hop_take_out(&p.r->hop, &bytes);
    hop_feed(&p.i->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    struct end *sender = from_initiator ? p.i : p.r, *receiver = from_initiator ? p.r : p.i;
    if (from_initiator) {
        fifo_clear(&p.i->hop.out); /* its INFO never was */
        p.i->hop.send.nonce = 0;
    }
    send_raw(&sender->hop, type, body);
    len = hop_take_out(&sender->hop, &bytes);
    hop_feed(&receiver->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    assert_failed(&receiver->hop, CODE_PROTOCOL, text);
    assert_int_equal(p.r->opens, 0);
    assert_int_equal(receiver->messages, 0);
    pair_free(p);
}

static void test_info_first(void **state)
{
    (void)state;
    struct view eight = view_of("12345678", 8);
    first_record(true, MESSAGE_PING, eight, "PING before INFO");
    first_record(false, MESSAGE_PING, eight, "PING before INFO");
    first_record(true, MESSAGE_CONNECT, eight, "CONNECT before INFO");
    first_record(false, MESSAGE_CONNECTED, eight, "CONNECTED before INFO");
    first_record(true, 200, eight, "unknown message type 200 from a client");
    first_record(true, MESSAGE_INFO, view_of("\0", 1), "malformed INFO");
    first_record(false, MESSAGE_INFO, view_of("\0\0\0\0\0\0\0", 7), "malformed INFO");
}

static void test_unknown_types(void **state)
{
    (void)state;
    struct pair p = pair_client();
    for (unsigned type = MESSAGE_HEAD + 1; type < 256; type++) {
        send_raw(&p.i->hop, type, view_of("anything", 8));
        pair_pump(p, WHOLE);
        assert_int_equal(p.r->hop.state, HOP_OPEN);
    }
    assert_int_equal(p.r->messages, 0);
    for (unsigned type = 0; type < MESSAGE_IGNORED_FROM; type++) {
        if (type < MESSAGE_INFO || type > MESSAGE_BYE) {
            struct end *sender = end_clone(p.i), *receiver = end_clone(p.r);
            uint8_t *bytes;
            send_raw(&sender->hop, type, view_of(NULL, 0));
            size_t len = hop_take_out(&sender->hop, &bytes);
            hop_feed(&receiver->hop, bytes, len, WHOLE, START_US);
            free(bytes);
            assert_int_equal(receiver->hop.state, HOP_ENDED);
            assert_int_equal(hop_error(&receiver->hop)->code, CODE_PROTOCOL);
            end_free(sender);
            end_free(receiver);
        }
    }
    pair_free(p);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        const char *text;
    } cases[] = {{MESSAGE_PING, "malformed PING"},
                 {MESSAGE_PONG, "malformed PONG"},
                 {MESSAGE_BYE, "malformed BYE"}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 0; len <= 9; len += i == 2 ? 3 : 1) {
            if (len == 8)
                continue;
            struct pair p = pair_client();
            send_raw(&p.i->hop, cases[i].type, view_of("\0\1\0\3abcde", len));
            pair_pump(p, WHOLE);
            assert_failed(&p.r->hop, CODE_PROTOCOL, cases[i].text);
            pair_free(p);
        }
    }
}

/* ---- what handlers do ---- */

static void test_handler_ends(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= WHOLE; piece += WHOLE - 1) {
        struct pair p = pair_client();
        p.r->fail_on = MESSAGE_LIST;
        hop_send(&p.i->hop, MESSAGE_LIST, view_of("x", 1));
        hop_send(&p.i->hop, MESSAGE_WATCH, view_of("x", 1));
        pair_pump(p, piece);
        assert_failed(&p.r->hop, CODE_DENIED, "the handler ends it");
        assert_int_equal(p.r->messages, 1);
        pair_free(p);

        p = pair_client();
        p.r->reject_on = MESSAGE_LIST;
        hop_send(&p.i->hop, MESSAGE_LIST, view_of("x", 1));
        pair_pump(p, piece);
        assert_failed(&p.r->hop, CODE_PROTOCOL, "LIST was not acceptable");
        pair_free(p);

        p = pair_client();
        p.r->answer_on = MESSAGE_LIST;
        hop_send(&p.i->hop, MESSAGE_LIST, view_of("x", 1));
        pair_pump(p, piece);
        assert_int_equal(p.i->last_type, MESSAGE_END);
        assert_int_equal(p.i->last_len, 0);
        pair_free(p);
    }
}

/* Bytes after the record that detaches are not touched, wherever the pieces are cut. */
static void test_detach_rest(void **state)
{
    (void)state;
    static const char circuit[] = "\0\7circuit bytes that look like nothing";
    uint8_t *bytes;
    struct pair p = pair_client();
    p.i->detach_on = MESSAGE_CONNECTED;
    assert_true(hop_send(&p.r->hop, MESSAGE_CONNECTED, view_of("m2", 2)));
    size_t record_len = hop_take_out(&p.r->hop, &bytes);
    size_t len = record_len + sizeof circuit;
    uint8_t *stream = malloc(len);
    assert_non_null(stream);
    for (size_t first = 0; first <= len; first++) {
        struct end *e = end_clone(p.i);
        memcpy(stream, bytes, record_len);
        memcpy(stream + record_len, circuit, sizeof circuit);
        size_t used = hop_input(&e->hop, stream, first, START_US);
        used += hop_input(&e->hop, stream + used, len - used, START_US);
        assert_int_equal(used, record_len);
        assert_int_equal(e->hop.state, HOP_DETACHED);
        assert_memory_equal(stream + record_len, circuit, sizeof circuit);
        assert_int_equal(e->last_type, MESSAGE_CONNECTED);
        assert_true(bytes_are_zero(e->hop.send.key, KEY_BYTES));
        assert_true(bytes_are_zero(e->hop.receive.key, KEY_BYTES));
        assert_false(hop_send(&e->hop, MESSAGE_LIST, view_of("x", 1)));
        assert_int_equal(hop_input(&e->hop, stream, len, START_US), 0);
        assert_int_equal(hop_deadline(&e->hop), CLOCK_NEVER);
        end_free(e);
    }
    free(stream);
    free(bytes);
    pair_free(p);
}

static void test_detach_outside(void **state)
{
    (void)state;
    struct pair p = pair_client();
    assert_true(hop_send(&p.r->hop, MESSAGE_CONNECTED, view_of("m2", 2)));
    size_t waiting = p.r->hop.out.bytes;
    uint8_t half[5] = {0, 40, 1, 2, 3};
    hop_feed(&p.r->hop, half, sizeof half, WHOLE, START_US);
    assert_non_null(p.r->hop.partial);
    hop_detach(&p.r->hop);
    assert_int_equal(p.r->hop.state, HOP_DETACHED);
    assert_null(p.r->hop.partial);
    assert_int_equal(p.r->hop.out.bytes, waiting); /* CONNECTED still goes */
    pair_free(p);

    struct end *e = listener();
    hop_detach(&e->hop); /* not open: nothing to detach */
    assert_int_equal(e->hop.state, HOP_WAIT_HELLO);
    end_free(e);
}

/* ---- the three parties ---- */

static void test_three_parties(void **state)
{
    (void)state;
    static uint8_t body[5000];
    struct pair user = pair_client(), parked = pair_open(&agent, ROLE_AGENT_CIRCUIT, &relay);
    struct view message1 = view_of_string("session message 1");
    struct view message2 = view_of_string("session message 2");

    struct connect connect = {view_of_string("boston-1"), message1};
    size_t len = connect_encode(&connect, body, sizeof body);
    assert_true(hop_send(&user.i->hop, MESSAGE_CONNECT, view_of(body, len)));
    hop_quiet_begin(&user.i->hop);
    pair_pump(user, WHOLE);
    struct connect got;
    assert_true(connect_decode(&got, view_of(user.r->last_body, user.r->last_len)));
    assert_true(view_equal(got.agent, connect.agent));

    struct offer offer = {.user = view_of_string("alice"),
                          .user_address = view_of_string("192.0.2.1:5"),
                          .message1 = got.message1};
    memcpy(offer.user_key, user.r->hop.peer_key, KEY_BYTES);
    len = offer_encode(&offer, body, sizeof body);
    assert_true(hop_send(&parked.r->hop, MESSAGE_OFFER, view_of(body, len)));
    hop_quiet_begin(&parked.r->hop);
    pair_pump(parked, 3);
    struct offer seen;
    uint16_t unsupported = 0;
    assert_true(
        offer_decode(&seen, view_of(parked.i->last_body, parked.i->last_len), &unsupported));
    assert_memory_equal(seen.user_key, client.keys.public_key, KEY_BYTES);
    assert_true(view_equal(seen.message1, message1));

    /* ACCEPT and CONNECTED each detach their receiver; the senders detach themselves. */
    parked.r->detach_on = MESSAGE_ACCEPT;
    user.i->detach_on = MESSAGE_CONNECTED;
    assert_true(hop_send(&parked.i->hop, MESSAGE_ACCEPT, message2));
    hop_detach(&parked.i->hop);
    pair_pump(parked, WHOLE);
    assert_int_equal(parked.r->hop.state, HOP_DETACHED);
    assert_true(hop_send(&user.r->hop, MESSAGE_CONNECTED,
                         view_of(parked.r->last_body, parked.r->last_len)));
    hop_detach(&user.r->hop);
    pair_pump(user, 1);
    assert_int_equal(user.i->hop.state, HOP_DETACHED);
    assert_true(view_equal(view_of(user.i->last_body, user.i->last_len), message2));
    assert_idle(&user.i->hop);
    assert_idle(&user.r->hop);
    assert_idle(&parked.i->hop);
    assert_idle(&parked.r->hop);
    pair_free(user);
    pair_free(parked);
}

/* ---- time ---- */

static void test_ping_pong(void **state)
{
    (void)state;
    struct pair p = pair_client();
    uint64_t k = 20 * CLOCK_US_PER_S;
    assert_int_equal(hop_deadline(&p.i->hop), START_US + k);
    hop_tick(&p.i->hop, START_US + k - 1);
    assert_int_equal(p.i->hop.out.bytes, 0);
    hop_tick(&p.i->hop, START_US + k);
    assert_true(p.i->hop.out.bytes > 0);
    assert_int_equal(hop_deadline(&p.i->hop), START_US + 2 * k);
    hop_pump(&p.i->hop, &p.r->hop, WHOLE, START_US + k + 1234);
    assert_int_equal(p.i->hop.rtt_us, 1234);
    assert_int_equal(hop_deadline(&p.i->hop), START_US + 2 * k + 1234);
    assert_int_equal(p.i->messages, 1); /* INFO: PONG is not the owner's */
    assert_int_equal(p.r->messages, 0);

    /* A PONG to nothing changes nothing. */
    send_raw(&p.r->hop, MESSAGE_PONG, view_of("\0\0\0\0\0\0\0\1", 8));
    send_raw(&p.r->hop, MESSAGE_PONG, view_of("12345678", 8));
    hop_pump(&p.i->hop, &p.r->hop, WHOLE, START_US + 3 * k);
    assert_int_equal(p.i->hop.rtt_us, 1234);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    pair_free(p);
}

static void test_liveness(void **state)
{
    (void)state;
    struct pair p = pair_client();
    uint64_t k = 20 * CLOCK_US_PER_S;
    uint8_t byte = 0;
    hop_tick(&p.r->hop, START_US + k);
    hop_tick(&p.r->hop, START_US + 2 * k - 1);
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    struct end *other = end_clone(p.r);
    fifo_init(&other->hop.out);
    hop_tick(&p.r->hop, START_US + 2 * k);
    assert_failed(&p.r->hop, CODE_TIMEOUT, "no answer from the client, silent for 40 s");
    /* One byte is a sign of life, though no record. */
    hop_feed(&other->hop, &byte, 1, 1, START_US + 2 * k - 1);
    hop_tick(&other->hop, START_US + 2 * k);
    assert_int_equal(other->hop.state, HOP_OPEN);
    assert_int_equal(hop_deadline(&other->hop), START_US + 3 * k - 1);
    end_free(other);
    pair_free(p);
}

static void test_no_liveness_before_open(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    assert_int_equal(hop_deadline(&p.i->hop), CLOCK_NEVER);
    assert_int_equal(hop_deadline(&p.r->hop), CLOCK_NEVER);
    hop_tick(&p.i->hop, START_US * 1000);
    hop_tick(&p.r->hop, START_US * 1000);
    assert_int_equal(p.i->hop.state, HOP_WAIT_WELCOME);
    assert_int_equal(p.r->hop.state, HOP_WAIT_HELLO);
    pair_free(p);
}

static void test_keepalive_limits(void **state)
{
    (void)state;
    static const struct {
        uint16_t told, taken;
    } cases[] = {{0, 15}, {1, 5}, {5, 5}, {60, 60}, {61, 60}, {65535, 60}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct party other = relay;
        other.party.own = &other.keys;
        other.party.keepalive_s = cases[i].told;
        struct pair p = pair_open(&client, ROLE_CLIENT, &other);
        assert_int_equal(p.i->hop.keepalive_us, cases[i].taken * CLOCK_US_PER_S);
        assert_int_equal(p.r->hop.keepalive_us, cases[i].taken * CLOCK_US_PER_S);
        pair_free(p);
    }
}

static void test_quiet(void **state)
{
    (void)state;
    struct pair p = pair_client();
    hop_quiet_begin(&p.i->hop);
    assert_int_equal(hop_deadline(&p.i->hop), CLOCK_NEVER);
    hop_tick(&p.i->hop, START_US * 10);
    assert_int_equal(p.i->hop.out.bytes, 0);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    send_raw(&p.r->hop, MESSAGE_PING, view_of("12345678", 8));
    uint8_t *bytes;
    size_t len = hop_take_out(&p.r->hop, &bytes);
    hop_feed(&p.i->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    assert_int_equal(p.i->hop.state, HOP_OPEN);
    assert_int_equal(p.i->hop.out.bytes, 0);

    /* After REFUSED it is a control hop as before. */
    hop_quiet_end(&p.i->hop, START_US);
    send_raw(&p.r->hop, MESSAGE_PING, view_of("12345678", 8));
    len = hop_take_out(&p.r->hop, &bytes);
    hop_feed(&p.i->hop, bytes, len, WHOLE, START_US);
    free(bytes);
    assert_true(p.i->hop.out.bytes > 0);
    fifo_clear(&p.i->hop.out);

    hop_quiet_begin(&p.i->hop);
    hop_bye(&p.i->hop, CODE_DONE, "finished", 0);
    assert_failed(&p.i->hop, CODE_DONE, "finished");
    assert_int_equal(p.i->hop.out.bytes, 0);
    pair_free(p);
}

/* However long it was quiet, and with a PING out before: liveness counts from its end on. */
static void test_quiet_ends(void **state)
{
    (void)state;
    struct pair p = pair_client();
    struct hop *h = &p.i->hop;
    uint64_t end_us = START_US * 10;
    hop_tick(h, hop_deadline(h)); /* a PING that nobody answers */
    fifo_clear(&h->out);
    hop_quiet_begin(h);
    hop_quiet_end(h, end_us);
    hop_tick(h, end_us + h->keepalive_us - 1);
    assert_int_equal(h->out.bytes, 0);
    hop_tick(h, end_us + h->keepalive_us);
    assert_int_equal(h->state, HOP_OPEN);
    assert_true(h->out.bytes > 0); /* PING */
    hop_quiet_end(h, end_us * 10); /* it was not quiet */
    hop_tick(h, end_us * 10);
    assert_int_equal(hop_error(h)->code, CODE_TIMEOUT);
    pair_free(p);
}

/* ---- ends ---- */

static void test_bye(void **state)
{
    (void)state;
    struct pair p = pair_client();
    hop_bye(&p.r->hop, CODE_REPLACED, "a newer hop took the place", 30);
    assert_failed(&p.r->hop, CODE_REPLACED, "a newer hop took the place");
    assert_false(p.r->hop.refused_by_peer);
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_REPLACED, "a newer hop took the place");
    assert_true(p.i->hop.refused_by_peer);
    assert_int_equal(p.i->hop.retry_s, 30);
    hop_fail(&p.i->hop, CODE_NETWORK, "the connection was closed");
    assert_int_equal(hop_error(&p.i->hop)->code, CODE_REPLACED); /* the first error stays */
    pair_free(p);

    p = pair_client();
    hop_bye(&p.r->hop, CODE_OK, "", 0xffffffff);
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_SHUTDOWN, code_text(CODE_SHUTDOWN));
    assert_int_equal(p.i->hop.retry_s, BYE_RETRY_MAX_S);
    pair_free(p);

    p = pair_client();
    struct bye bye = {CODE_SHUTDOWN, view_of_string("\x1b]0;title\x07 \xc2\x9b"), 5};
    uint8_t body[100];
    send_raw(&p.r->hop, MESSAGE_BYE, view_of(body, bye_encode(&bye, body, sizeof body)));
    pair_pump(p, WHOLE);
    assert_failed(&p.i->hop, CODE_SHUTDOWN, "?]0;title? ?");
    pair_free(p);
}

static void test_long_texts(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct pair p = pair_client();
    hop_bye(&p.r->hop, CODE_SHUTDOWN, text, 0);
    pair_pump(p, WHOLE);
    assert_int_equal(hop_error(&p.i->hop)->code, CODE_SHUTDOWN);
    assert_int_equal(strlen(hop_error(&p.i->hop)->text), sizeof hop_error(&p.i->hop)->text - 1);
    pair_free(p);
}

static void test_bye_before_open(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    size_t waiting = p.i->hop.out.bytes;
    hop_bye(&p.i->hop, CODE_DONE, "finished", 0);
    assert_failed(&p.i->hop, CODE_DONE, "finished");
    assert_int_equal(p.i->hop.out.bytes, waiting);
    hop_bye(&p.r->hop, CODE_SHUTDOWN, "ending", 0);
    assert_failed(&p.r->hop, CODE_SHUTDOWN, "ending");
    assert_int_equal(p.r->hop.out.bytes, 0);
    pair_free(p);
}

static void test_free_and_again(void **state)
{
    (void)state;
    struct pair p = pair_new(&client, ROLE_CLIENT, &relay);
    uint8_t part[4] = {'S', 'P', 'X', '1'};
    hop_feed(&p.r->hop, part, sizeof part, WHOLE, START_US);
    assert_non_null(p.r->hop.partial);
    hop_free(&p.r->hop);
    hop_free(&p.r->hop);
    hop_free(&p.i->hop);
    assert_idle(&p.r->hop);
    assert_idle(&p.i->hop);
    hop_listen(&p.r->hop, &relay.party, &end_handler, ROLE_RELAY, START_US);
    assert_true(hop_start(&p.i->hop, &client.party, &end_handler, ROLE_CLIENT,
                          relay.keys.public_key, NULL, START_US));
    pair_pump(p, WHOLE);
    assert_int_equal(p.r->hop.state, HOP_OPEN);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_read_elsewhere),
        cmocka_unit_test(test_read_elsewhere_in_vain),
        cmocka_unit_test(test_answer_from_stock),
        cmocka_unit_test(test_bytes_behind_what_is_read_elsewhere),
        cmocka_unit_test(test_rejected_at_once),
        cmocka_unit_test(test_only_known),
        cmocka_unit_test(test_ticket),
        cmocka_unit_test(test_relay_dials),
        cmocka_unit_test(test_bad_own_use),
        cmocka_unit_test(test_suite_of_peer),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusal_without_text),
        cmocka_unit_test(test_handler_ends_in_hello),
        cmocka_unit_test(test_hello_contents),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_welcome_contents),
        cmocka_unit_test(test_unknown_suite),
        cmocka_unit_test(test_not_authentic),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_memory_before_mac1),
        cmocka_unit_test(test_answer_too_long),
        cmocka_unit_test(test_answer_that_is_no_list),
        cmocka_unit_test(test_answer_of_a_stranger),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_record_order),
        cmocka_unit_test(test_record_lengths),
        cmocka_unit_test(test_largest_message),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_rule_texts),
        cmocka_unit_test(test_info_first),
        cmocka_unit_test(test_unknown_types),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_handler_ends),
        cmocka_unit_test(test_detach_rest),
        cmocka_unit_test(test_detach_outside),
        cmocka_unit_test(test_three_parties),
        cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_liveness),
        cmocka_unit_test(test_no_liveness_before_open),
        cmocka_unit_test(test_keepalive_limits),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_quiet_ends),
        cmocka_unit_test(test_bye),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_bye_before_open),
        cmocka_unit_test(test_free_and_again),
    };
    return cmocka_run_group_tests_name("hop", tests, setup, NULL);
}
