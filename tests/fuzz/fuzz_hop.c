/* libFuzzer: a hop against its peer. The first byte chooses between arbitrary bytes, an arbitrary
 * first message with a right mac1, an arbitrary HELLO, and arbitrary messages to an open hop. */
#include <stdlib.h>

#include "base/clock.h"
#include "hop/hop.h"
#include "wire/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECE_MAX 1024

static struct keypair relay_keys, client_keys;
static struct hop_party relay = {.own = &relay_keys, .version = "1"};
static struct hop_party client = {.own = &client_keys, .version = "1", .peer_lacks_aes = true};

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    (void)h, (void)hello;
    welcome->code = CODE_OK;
    welcome->name = view_of_string("alice");
}

static void on_open(struct hop *h, const struct info *info)
{
    (void)h, (void)info;
}

/* Decodes what comes by every decoder, and detaches or ends now and then. */
static bool on_message(struct hop *h, unsigned type, struct view body)
{
    uint16_t unsupported = 0;
    struct view view;
    struct connect connect;
    struct offer offer;
    struct agent_entry entry;
    struct refusal refusal;
    struct call call;
    struct calls calls;
    uint32_t revision;
    switch (type) {
    case MESSAGE_LIST:
        return query_decode(&view, body);
    case MESSAGE_CONNECT:
        return connect_decode(&connect, body) && hop_send(h, MESSAGE_END, view_of(NULL, 0));
    case MESSAGE_OFFER:
        return offer_decode(&offer, body, &unsupported);
    case MESSAGE_AGENT:
        return agent_entry_decode(&entry, body, &unsupported);
    case MESSAGE_REFUSE:
        return refuse_decode(&refusal, body);
    case MESSAGE_REFUSED:
        return refused_decode(&refusal, body);
    case MESSAGE_CALL:
        return call_decode(&call, body);
    case MESSAGE_CALLS:
        return calls_decode(&calls, body);
    case MESSAGE_HEARD:
        return heard_decode(&revision, body);
    case MESSAGE_HEAD:
        return head_decode(&view, body);
    case MESSAGE_ACCEPT:
    case MESSAGE_CONNECTED:
        if (message2_decode(&view, body))
            hop_detach(h);
        return true;
    default:
        return true;
    }
}

static const struct hop_handler handler = {
    .on_hello = on_hello, .on_open = on_open, .on_message = on_message};

static void start(void)
{
    static bool started;
    if (started)
        return;
    if (!crypto_start(true))
        abort();
    memset(relay_keys.private_key, 1, KEY_BYTES);
    memset(client_keys.private_key, 2, KEY_BYTES);
    keypair_derive(&relay_keys);
    keypair_derive(&client_keys);
    handshake_mac1_key(relay.mac1_key, relay_keys.public_key);
    started = true;
}

/* Feeds copies in pieces, so that reading beyond one is seen. */
static void feed(struct hop *h, const uint8_t *data, size_t len, size_t piece)
{
    while (len > 0) {
        size_t n = len < piece ? len : piece;
        uint8_t *copy = malloc(n);
        if (!copy)
            abort();
        memcpy(copy, data, n);
        size_t used = hop_input(h, copy, n, 1);
        if (used > n || (used < n && h->state != HOP_DETACHED && h->state != HOP_ENDED))
            abort();
        free(copy);
        data += n;
        len -= n;
    }
}

static void pass(struct hop *from, struct hop *to, size_t piece)
{
    size_t len = from->out.bytes;
    const uint8_t *bytes = fifo_front_whole(&from->out, len);
    if (!bytes)
        abort();
    feed(to, bytes, len, piece);
    fifo_drop(&from->out, len);
}

/* type, length (2), body, … as records of the peer. */
static void send_messages(struct hop *from, const uint8_t *data, size_t size)
{
    while (size >= 3 && from->state == HOP_OPEN) {
        size_t len = load_be16(data + 1);
        len = len < size - 3 ? len : size - 3;
        hop_send(from, (enum message_type)data[0], view_of(data + 3, len));
        data += 3 + len;
        size -= 3 + len;
    }
}

static void fuzz_open(const uint8_t *data, size_t size, enum role role, bool to_responder,
                      size_t piece)
{
    struct hop i, r;
    hop_listen(&r, &relay, &handler, role == ROLE_RELAY ? ROLE_AGENT_CIRCUIT : ROLE_RELAY, 0);
    if (!hop_start(&i, &client, &handler, role, relay_keys.public_key, NULL, 0))
        abort();
    pass(&i, &r, 4096);
    pass(&r, &i, 4096);
    pass(&i, &r, 4096);
    pass(&r, &i, 4096);
    if (i.state != HOP_OPEN || r.state != HOP_OPEN || i.partial || r.partial)
        abort();
    struct hop *from = to_responder ? &i : &r, *to = to_responder ? &r : &i;
    send_messages(from, data, size);
    pass(from, to, piece);
    hop_tick(to, 1000 * CLOCK_US_PER_S);
    hop_tick(to, 2000 * CLOCK_US_PER_S);
    hop_free(&i);
    hop_free(&r);
}

/* Noise's part of the first message is the input, mac1 is right. */
static void fuzz_noise(const uint8_t *data, size_t size, size_t piece)
{
    static uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    size_t n = size < HANDSHAKE_NOISE_MIN ? HANDSHAKE_NOISE_MIN : size;
    n = n > HANDSHAKE_NOISE_MAX ? HANDSHAKE_NOISE_MAX : n;
    uint8_t mac[HASH_BYTES];
    struct hop h;
    memset(message, 0, sizeof message);
    memcpy(message, "SPX1", 4);
    message[4] = size > 0 ? data[0] % 4 : 1;
    message[5] = PURPOSE_HOP;
    store_be16(message + 6, (uint16_t)n);
    memcpy(message + 8, data, size < n ? size : n);
    hmac_sha256(mac, view_of(relay.mac1_key, HASH_BYTES), view_of(message, 8 + n),
                view_of(NULL, 0));
    memcpy(message + 8 + n, mac, MAC1_BYTES);
    hop_listen(&h, &relay, &handler, ROLE_RELAY, 0);
    feed(&h, message, 8 + n + MAC1_BYTES, piece);
    hop_free(&h);
}

/* An authentic first message whose payload is the input. */
static void fuzz_hello(const uint8_t *data, size_t size, size_t piece)
{
    static uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    size_t len = 0, n = size < HANDSHAKE_PAYLOAD1_MAX ? size : HANDSHAKE_PAYLOAD1_MAX;
    struct noise noise;
    struct hop h;
    if (!handshake_start(&noise, SUITE_CHACHAPOLY, PURPOSE_HOP, &client_keys, relay_keys.public_key,
                         NULL, view_of(data, n), message, &len))
        abort();
    noise_wipe(&noise);
    hop_listen(&h, &relay, &handler, ROLE_RELAY, 0);
    feed(&h, message, len, piece);
    hop_free(&h);
}

/* Arbitrary bytes for a responder or an initiator. */
static void fuzz_raw(const uint8_t *data, size_t size, bool initiator, size_t piece)
{
    struct hop h;
    if (!initiator)
        hop_listen(&h, &relay, &handler, ROLE_RELAY, 0);
    else if (!hop_start(&h, &client, &handler, ROLE_CLIENT, relay_keys.public_key, NULL, 0))
        abort();
    feed(&h, data, size, piece);
    hop_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    if (size < 2)
        return 0;
    unsigned choice = data[0] % 12;
    size_t piece = 1 + (size_t)data[1] * PIECE_MAX / 256;
    data += 2;
    size -= 2;
    if (choice < 2)
        fuzz_raw(data, size, choice, piece);
    else if (choice == 2)
        fuzz_noise(data, size, piece);
    else if (choice == 3)
        fuzz_hello(data, size, piece);
    else
        fuzz_open(data, size, (enum role)(ROLE_CLIENT + choice / 2 % 4), choice % 2, piece);
    return 0;
}
