/* Answers to OFFERs: at once and later, and what may happen meanwhile. The policy is the test's: it
 * asks the agent's own, and says later first when it is told to. The clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/answer.h"
#include "agent/policy.h"
#include "agent/requests.h"
#include "agent/service.h"
#include "base/clock.h"
#include "base/log.h"
#include "hop_pair.h"
#include "session/session.h"

static time_t ahead_s; /* the program's clock of that of the machine */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec += id == CLOCK_BOOTTIME ? ahead_s : 0;
    return result;
}

static struct {
    struct loop *loop;
    struct agent agent;
    struct party own, client, relay;
    struct agent_user user;
    struct answer *answer; /* under way */
    /* The policy. */
    unsigned later; /* so often it says so first */
    bool trusting;  /* it says yes without asking the agent's own */
    unsigned asked, forgotten;
    /* Session message 1. */
    struct noise noise;
    uint8_t message1[HANDSHAKE_MESSAGE1_MAX];
    size_t message1_len;
    struct kept_offer *kept;
    /* The answer that was told. */
    unsigned told;
    enum code code;
    size_t message2_len;
    uint8_t message2[SESSION_MESSAGE2_MAX];
    struct attachment *attachment;
    /* The memory of the answer, looked at when it is freed. */
    void *watched;
    bool watching;
    unsigned wiped, left;
    struct timer limit;
} t;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they have their own free */
/* The block that is watched must not hold the client's key any more, which the Noise state has. */
void free(void *block)
{
    static void (*real)(void *block);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "free");
    if (block && block == t.watched) {
        bool found = memmem(block, malloc_usable_size(block), t.client.keys.public_key, KEY_BYTES);
        t.left += found;
        t.wiped += !found;
        t.watched = NULL;
    }
    real(block);
}
#endif

/* A sanitizer's or valgrind's free may stand in the place of the one here: then nothing is watched.
 */
static bool can_watch(void)
{
    void *volatile block = malloc(1);
    t.watched = block;
    free(block);
    return t.wiped == 1;
}

static enum verdict decide(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no)
{
    assert_ptr_equal(a, &t.agent);
    assert_ptr_equal(answer, t.answer);
    assert_memory_equal(facts->proven_key, t.client.keys.public_key, KEY_BYTES);
    t.asked++;
    if (t.later > 0) {
        t.later--;
        return VERDICT_LATER;
    }
    return t.trusting ? VERDICT_YES : agent_policy.decide(a, facts, answer, no);
}

static void forget(struct agent *a, struct answer *answer)
{
    (void)a;
    assert_ptr_equal(answer, t.answer);
    t.forgotten++;
}

static const struct policy policy = {.decide = decide, .forget = forget};

static void done(void *owner, const struct answer_result *result)
{
    assert_ptr_equal(owner, &t);
    assert_int_equal(result->offer->ticket[0], 7);
    t.told++;
    t.answer = NULL;
    t.code = result->refusal->code;
    t.attachment = result->attachment;
    t.message2_len = result->message2.len;
    if (t.message2_len)
        memcpy(t.message2, result->message2.data, t.message2_len);
    loop_stop(t.loop);
}

static void on_path_in_doubt(struct agent *a)
{
    (void)a;
}

static void on_limit(struct timer *timer)
{
    (void)timer;
    loop_stop(t.loop);
}

/* Rounds of the loop, as many as need no waiting, and some more. The system's clock, which wakes
 * the loop, is not ahead. */
static void run(void)
{
    timer_set(t.loop, &t.limit,
              loop_refresh_now(t.loop) - (uint64_t)ahead_s * CLOCK_US_PER_S + 1000);
    loop_run(t.loop);
}

static void write_payload(struct view payload, const uint8_t agent_key[KEY_BYTES])
{
    assert_true(handshake_start(&t.noise, SUITE_CHACHAPOLY, PURPOSE_SESSION, &t.client.keys,
                                agent_key, NULL, payload, t.message1, &t.message1_len));
}

/* The client's message 1, with an extension of this type unless it is 0. */
static void write_hello(struct session_hello hello, unsigned extension,
                        const uint8_t agent_key[KEY_BYTES])
{
    uint8_t payload[256];
    size_t len;
    hello.version = 1;
    hello.ring = 1 << 20;
    len = session_hello_encode(&hello, payload, sizeof payload);
    if (extension) {
        store_be16(payload + len, (uint16_t)extension);
        store_be16(payload + len + 2, 0);
        len += 4;
    }
    write_payload(view_of(payload, len), agent_key);
}

/* For an agent of this name and key. */
static void write_message1(const char *agent, const uint8_t agent_key[KEY_BYTES])
{
    write_hello((struct session_hello){.agent = view_of_string(agent), .circuit = 1}, 0, agent_key);
}

static void begin(void)
{
    struct offer offer = {.ticket = {7},
                          .user = view_of_string("kim"),
                          .user_address = view_of_string("192.0.2.1:1"),
                          .message1 = view_of(t.message1, t.message1_len)};
    memcpy(offer.user_key, t.client.keys.public_key, KEY_BYTES);
    t.kept = kept_offer_new(&offer, loop_now(t.loop));
    t.answer = answer_begin(&t.agent, t.kept, done, &t);
    assert_non_null(t.answer);
    assert_int_equal(t.told, 0);
    t.watched = t.watching ? t.answer : NULL;
}

/* The code that message 2 tells the client. */
static enum code told_client(void)
{
    struct session_welcome welcome;
    uint8_t payload[SESSION_MESSAGE2_MAX];
    size_t len;
    uint16_t unsupported;
    assert_true(noise_read(&t.noise, view_of(t.message2, t.message2_len), payload, &len));
    assert_true(session_welcome_decode(&welcome, view_of(payload, len), &unsupported));
    return (enum code)welcome.code;
}

static void assert_refused(enum code code)
{
    assert_int_equal(t.told, 1);
    assert_int_equal(t.code, code);
    assert_null(t.attachment);
    assert_int_equal(told_client(), code);
    assert_true(seats_are_empty(&t.agent.seats));
}

/* Accepted: there is a session, and a circuit that waits for its socket. */
static void assert_accepted(void)
{
    assert_int_equal(t.told, 1);
    assert_int_equal(t.code, CODE_OK);
    assert_non_null(t.attachment);
    assert_int_equal(told_client(), CODE_OK);
    assert_false(seats_are_empty(&t.agent.seats));
    attachment_drop(t.attachment);
    t.attachment = NULL;
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    ahead_s = 0;
    t.watching = can_watch();
    t.wiped = 0;
    t.watched = NULL;
    t.loop = loop_new();
    t.limit.on_fire = on_limit;
    party_make(&t.own, 1, "test", "");
    party_make(&t.client, 2, "test", "");
    party_make(&t.relay, 3, "test", "");
    snprintf(t.user.name, sizeof t.user.name, "kim");
    memcpy(t.user.public_key, t.client.keys.public_key, KEY_BYTES);
    t.agent.loop = t.loop;
    t.agent.key = t.own.keys;
    t.agent.party = t.own.party;
    t.agent.policy = &policy;
    t.agent.on_path_in_doubt = on_path_in_doubt;
    t.agent.on_no_session = on_path_in_doubt;
    t.agent.config.users = &t.user;
    t.agent.config.user_count = 1;
    t.agent.config.resume_window_s = 600;
    snprintf(t.agent.config.name, sizeof t.agent.config.name, "lab-1");
    seats_init(&t.agent.seats);
    t.agent.requests = requests_new();
    log_rates_init(&t.agent.log, (const uint8_t[16]){0});
    list_init(&t.agent.ended);
    list_init(&t.agent.guests);
    list_init(&t.agent.over);
    list_init(&t.agent.shares);
    list_init(&t.agent.attempts);
    list_init(&t.agent.meters);
    list_init(&t.agent.guests);
    key_stock_init(&t.agent.stock);
    partings_init(&t.agent.partings, t.loop);
    write_message1("lab-1", t.own.keys.public_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_null(t.answer);
    assert_null(t.watched);
    assert_int_equal(t.wiped, t.watching);
    assert_int_equal(t.left, 0);
    service_end_all(&t.agent);
    requests_free(t.agent.requests);
    meters_free(&t.agent.meters);
    attempts_forget(&t.agent.attempts, NULL, NULL);
    log_rates_free(&t.agent.log);
    partings_free(&t.agent.partings);
    timer_cancel(t.loop, &t.agent.restock);
    timer_cancel(t.loop, &t.limit);
    loop_free(t.loop);
    key_stock_end(&t.agent.stock);
    noise_wipe(&t.noise);
    return 0;
}

static void test_yes(void **state)
{
    (void)state;
    begin();
    run();
    assert_accepted();
    assert_int_equal(t.asked, 1);
}

static void test_no(void **state)
{
    (void)state;
    t.agent.config.user_count = 0;
    begin();
    run();
    assert_refused(CODE_DENIED);
}

static void test_other_name(void **state)
{
    (void)state;
    write_message1("lab-2", t.own.keys.public_key);
    begin();
    run();
    assert_refused(CODE_WRONG_AGENT);
}

/* There is no message 2 then, and nothing is asked. */
static void test_other_key(void **state)
{
    (void)state;
    write_message1("lab-1", t.relay.keys.public_key);
    begin();
    run();
    assert_int_equal(t.told, 1);
    assert_int_equal(t.code, CODE_BAD_HANDSHAKE);
    assert_int_equal(t.message2_len, 0);
    assert_int_equal(t.asked, 0);
}

/* Authentic, but not right: the client is told in message 2, and nothing is asked. */
static void assert_told_without_asking(enum code code)
{
    begin();
    run();
    assert_refused(code);
    assert_int_equal(t.asked, 0);
}

static void test_malformed(void **state)
{
    (void)state;
    write_payload(view_of_string("?"), t.own.keys.public_key);
    assert_told_without_asking(CODE_PROTOCOL);
}

static void test_critical_extension(void **state)
{
    (void)state;
    struct session_hello hello = {.agent = view_of_string("lab-1"), .circuit = 1};
    write_hello(hello, 0x8001, t.own.keys.public_key);
    assert_told_without_asking(CODE_UNSUPPORTED);
}

static void test_extension(void **state)
{
    (void)state;
    struct session_hello hello = {.agent = view_of_string("lab-1"), .circuit = 1};
    write_hello(hello, 1, t.own.keys.public_key);
    begin();
    run();
    assert_accepted();
}

static void test_new_with_circuit_0(void **state)
{
    (void)state;
    struct session_hello hello = {.agent = view_of_string("lab-1")};
    write_hello(hello, 0, t.own.keys.public_key);
    assert_told_without_asking(CODE_PROTOCOL);
}

static void test_new_with_position(void **state)
{
    (void)state;
    struct session_hello hello = {
        .agent = view_of_string("lab-1"), .circuit = 1, .receive_position = 1};
    write_hello(hello, 0, t.own.keys.public_key);
    assert_told_without_asking(CODE_PROTOCOL);
}

/* A client whose first tries failed has raised its number. */
static void test_new_with_circuit_9(void **state)
{
    (void)state;
    struct session_hello hello = {.agent = view_of_string("lab-1"), .circuit = 9};
    write_hello(hello, 0, t.own.keys.public_key);
    begin();
    run();
    assert_accepted();
}

static void wait_for_verdict(unsigned times)
{
    t.later = times;
    begin();
    run();
    run();
    assert_int_equal(t.told, 0);
    assert_int_equal(t.asked, 1);
}

static void test_later(void **state)
{
    (void)state;
    wait_for_verdict(2);
    answer_wake(t.answer);
    assert_int_equal(t.asked, 1);
    run();
    assert_int_equal(t.asked, 2);
    assert_int_equal(t.told, 0);
    answer_wake(t.answer);
    assert_int_equal(t.told, 0);
    run();
    assert_accepted();
    assert_int_equal(t.forgotten, 0);
}

/* The user is taken out of the configuration meanwhile. */
static void test_removed_meanwhile(void **state)
{
    (void)state;
    wait_for_verdict(1);
    t.agent.config.user_count = 0;
    answer_wake(t.answer);
    run();
    assert_refused(CODE_DENIED);
}

/* Also when the policy does not mind. */
static void test_removed_and_trusted(void **state)
{
    (void)state;
    t.trusting = true;
    wait_for_verdict(1);
    t.agent.config.user_count = 0;
    answer_wake(t.answer);
    run();
    assert_refused(CODE_DENIED);
}

static void test_stopping_meanwhile(void **state)
{
    (void)state;
    wait_for_verdict(1);
    t.agent.stopping = true;
    answer_wake(t.answer);
    run();
    assert_refused(CODE_SHUTDOWN);
}

static void test_in_time(void **state)
{
    (void)state;
    wait_for_verdict(1);
    ahead_s += TICKET_S - 1;
    run();
    assert_int_equal(t.told, 0);
    answer_wake(t.answer);
    run();
    assert_accepted();
}

static void test_too_late(void **state)
{
    (void)state;
    wait_for_verdict(1);
    ahead_s += TICKET_S;
    run();
    assert_refused(CODE_TIMEOUT);
    assert_int_equal(t.forgotten, 1);
}

static void cancel(unsigned forgotten)
{
    struct answer *w = t.answer;
    answer_cancel(w);
    t.answer = NULL;
    run();
    assert_int_equal(t.told, 0);
    assert_int_equal(t.forgotten, forgotten);
    assert_true(seats_are_empty(&t.agent.seats));
}

static void test_cancelled(void **state)
{
    (void)state;
    wait_for_verdict(1);
    cancel(1);
}

/* With its work done, but before that was looked at. */
static void test_cancelled_when_awake(void **state)
{
    (void)state;
    wait_for_verdict(1);
    answer_wake(t.answer);
    cancel(1);
}

static void test_cancelled_at_once(void **state)
{
    (void)state;
    begin();
    cancel(0);
    assert_int_equal(t.asked, 0);
}

/* ---- Message 1 again: made anew by the relay, or a recording. ---- */

static unsigned unstarted(void)
{
    unsigned n = 0;
    list_each (link, &t.agent.seats.unstarted)
        n++;
    return n;
}

/* As long as its session waits for START each copy is answered, for the same session. */
static void test_copy_of_one_that_waits(void **state)
{
    const struct noise client = t.noise;
    uint8_t id[SESSION_ID_BYTES];
    (void)state;
    t.watching = false;
    begin();
    run();
    memcpy(id, session_id(t.attachment->session), sizeof id);
    assert_accepted();
    for (unsigned i = 0; i < 3; i++) {
        t.noise = client;
        t.told = 0;
        begin();
        run();
        assert_memory_equal(session_id(t.attachment->session), id, sizeof id);
        assert_accepted();
        assert_int_equal(unstarted(), 1);
    }
}

/* Once it has ended a copy is refused before anything is computed with it. */
static void test_copy_of_one_that_ended(void **state)
{
    (void)state;
    t.watching = false;
    begin();
    run();
    assert_accepted();
    service_end_all(&t.agent);
    t.told = 0;
    begin();
    run();
    assert_int_equal(t.told, 1);
    assert_int_equal(t.code, CODE_STALE);
    assert_int_equal(t.message2_len, 0);
    assert_int_equal(t.asked, 1);
    assert_int_equal(unstarted(), 0);
}

/* Those of one relay that are too many wait for their turn; another relay's do not. */
static void test_rate_of_a_relay(void **state)
{
    static const uint8_t other[KEY_BYTES] = {1};
    struct relay_attempts *r = attempts_of(&t.agent.attempts, (const uint8_t[KEY_BYTES]){0});
    (void)state;
    while (attempts_take(r, loop_now(t.loop)))
        ;
    assert_true(attempts_take(attempts_of(&t.agent.attempts, other), loop_now(t.loop)));
    begin();
    run();
    assert_int_equal(t.told, 0);
    assert_int_equal(t.asked, 0);
    ahead_s += 1;
    run();
    assert_accepted();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_yes),
        TEST(test_no),
        TEST(test_other_name),
        TEST(test_other_key),
        TEST(test_malformed),
        TEST(test_critical_extension),
        TEST(test_extension),
        TEST(test_new_with_circuit_0),
        TEST(test_new_with_position),
        TEST(test_new_with_circuit_9),
        TEST(test_later),
        TEST(test_removed_meanwhile),
        TEST(test_removed_and_trusted),
        TEST(test_stopping_meanwhile),
        TEST(test_in_time),
        TEST(test_too_late),
        TEST(test_cancelled),
        TEST(test_cancelled_when_awake),
        TEST(test_cancelled_at_once),
        TEST(test_copy_of_one_that_waits),
        TEST(test_copy_of_one_that_ended),
        TEST(test_rate_of_a_relay),
    };
    log_setup("agent", LOG_ERROR, false);
    alarm(60);
    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
