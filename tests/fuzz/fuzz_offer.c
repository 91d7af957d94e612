/* libFuzzer: an agent answers an OFFER, and a client reads the answer. The first byte chooses what
 * is arbitrary: the OFFER, session message 1 with a right mac1, its payload, or that of session
 * message 2. */
#include <stdio.h>

#include "agent/answer.h"
#include "agent/policy.h"
#include "agent/service.h"
#include "base/log.h"
#include "hop_pair.h"
#include "session/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct agent agent;
    struct party own, client;
    struct agent_user user;
    unsigned told;
    enum code code;
    size_t message2_len;
    uint8_t message2[SESSION_MESSAGE2_MAX];
} t;

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static void nothing(struct agent *a)
{
    (void)a;
}

static void done(void *owner, const struct answer_result *result)
{
    (void)owner;
    t.told++;
    t.code = result->refusal->code;
    t.message2_len = result->message2.len;
    memcpy(t.message2, result->message2.data, t.message2_len);
    require((t.code == CODE_OK) == (result->attachment != NULL));
    if (result->attachment)
        attachment_drop(result->attachment);
    loop_stop(t.agent.loop);
}

static void start(void)
{
    struct agent *a = &t.agent;
    if (a->loop)
        return;
    require(crypto_start(true));
    log_setup("agent", LOG_ERROR, false);
    a->loop = loop_new();
    party_make(&t.own, 1, "test", "");
    party_make(&t.client, 2, "test", "");
    snprintf(t.user.name, sizeof t.user.name, "kim");
    memcpy(t.user.public_key, t.client.keys.public_key, KEY_BYTES);
    a->key = t.own.keys;
    a->party = t.own.party;
    a->policy = &agent_policy;
    a->on_path_in_doubt = a->on_no_session = nothing;
    a->config.users = &t.user;
    a->config.user_count = 1;
    a->config.resume_window_s = 600;
    snprintf(a->config.name, sizeof a->config.name, "lab-1");
    seats_init(&a->seats);
    log_rates_init(&a->log, (const uint8_t[16]){0});
    list_init(&a->ended);
    list_init(&a->over);
    list_init(&a->shares);
    list_init(&a->attempts);
    key_stock_init(&a->stock);
    partings_init(&a->partings, a->loop);
}

static void answer(const struct offer *offer)
{
    struct kept_offer *kept = kept_offer_new(offer, loop_refresh_now(t.agent.loop));
    t.told = 0;
    require(kept && answer_begin(&t.agent, kept, done, NULL));
    loop_run(t.agent.loop);
    require(t.told == 1);
    service_end_all(&t.agent);
    attempts_forget(&t.agent.attempts, NULL, NULL);
    log_rates_free(&t.agent.log);
    timer_cancel(t.agent.loop, &t.agent.restock);
}

/* Asks the agent with this message 1, as the user it knows. */
static void offer_message1(struct view message1)
{
    struct offer offer = {.user = view_of_string("kim"),
                          .user_address = view_of_string("192.0.2.1:1"),
                          .message1 = message1};
    memcpy(offer.user_key, t.user.public_key, KEY_BYTES);
    answer(&offer);
}

static void fuzz_offer(struct view input)
{
    struct offer offer;
    uint16_t unsupported = 0;
    if (offer_decode(&offer, input, &unsupported))
        answer(&offer);
}

static void fuzz_message1(struct view input)
{
    static uint8_t message[HANDSHAKE_MESSAGE1_MAX];
    uint8_t mac[HASH_BYTES];
    size_t n = input.len < HANDSHAKE_NOISE_MIN ? HANDSHAKE_NOISE_MIN : input.len;
    n = n > HANDSHAKE_NOISE_MAX ? HANDSHAKE_NOISE_MAX : n;
    memset(message, 0, sizeof message);
    memcpy(message, "SPX1\2\2", 6);
    store_be16(message + 6, (uint16_t)n);
    memcpy(message + 8, input.data, input.len < n ? input.len : n);
    hmac_sha256(mac, view_of(t.agent.party.mac1_key, HASH_BYTES), view_of(message, 8 + n),
                view_of(NULL, 0));
    memcpy(message + 8 + n, mac, MAC1_BYTES);
    offer_message1(view_of(message, 8 + n + MAC1_BYTES));
    require(t.code != CODE_OK && t.message2_len == 0);
}

/* The input, or, as its first byte says, a payload for this agent that goes on with it. */
static struct view payload1_of(struct view input)
{
    static const uint8_t begin[] = {1, 0, 0, 0, 5, 'l', 'a', 'b', '-', '1'};
    static uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    if (input.len == 0 || input.data[0] % 2 == 0 || input.len > sizeof payload - sizeof begin)
        return input;
    memcpy(payload, begin, sizeof begin);
    memcpy(payload + sizeof begin, input.data + 1, input.len - 1);
    return view_of(payload, sizeof begin + input.len - 1);
}

/* The client's word is authentic, whatever it is: the agent's answer is, too. */
static void fuzz_payload1(struct view input)
{
    static uint8_t message[HANDSHAKE_MESSAGE1_MAX], payload[SESSION_MESSAGE2_MAX];
    struct session_welcome welcome;
    struct noise noise;
    uint16_t unsupported = 0;
    size_t len = 0;
    if (input.len > HANDSHAKE_PAYLOAD1_MAX)
        return;
    require(handshake_start(&noise, SUITE_CHACHAPOLY, PURPOSE_SESSION, &t.client.keys,
                            t.own.keys.public_key, NULL, payload1_of(input), message, &len));
    offer_message1(view_of(message, len));
    require(noise_read(&noise, view_of(t.message2, t.message2_len), payload, &len));
    require(session_welcome_decode(&welcome, view_of(payload, len), &unsupported));
    require(welcome.code == (uint16_t)t.code);
    noise_wipe(&noise);
}

static const struct session_events no_events = {0};

/* An agent's answer to a new session and, the second part, to its resume. */
static void fuzz_payload2(struct view input)
{
    struct session_settings settings = session_default_settings(true);
    struct session *s = session_new(&settings, &no_events, NULL);
    size_t first = input.len / 2;
    const struct view parts[] = {view_of(input.data, first),
                                 view_of(input.data + first, input.len - first)};
    require(s != NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct session_hello hello = {.version = 1};
        struct session_welcome welcome;
        uint16_t unsupported = 0;
        session_fill_hello(s, &hello);
        if (!session_welcome_decode(&welcome, parts[i], &unsupported) || welcome.code != 0)
            break;
        bool taken = session_take_welcome(s, &welcome);
        require(taken == (session_error(s)->code == 0));
        if (!taken)
            break;
    }
    session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct view input) = {fuzz_offer, fuzz_message1, fuzz_payload1,
                                                       fuzz_payload2};
    if (size == 0)
        return 0;
    start();
    kinds[data[0] % 4](view_of(data + 1, size - 1));
    return 0;
}
