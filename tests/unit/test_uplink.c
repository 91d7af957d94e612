/* An agent's hops at a relay. Over a day: each that has its age is replaced by one beside it; the
 * clock of the program is the test's, and a day passes in steps that keep the hops alive. And with
 * OFFERs on them whose verdict comes later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/answer.h"
#include "agent/policy.h"
#include "agent/state.h"
#include "agent/uplink.h"
#include "base/log.h"
#include "hop/driver.h"
#include "hop_pair.h"
#include "net/socket.h"
#include "net/tcp_carrier.h"

#define ROUNDS 12           /* of the loop, in which a PING is answered and more */
#define ROUNDS_MOST 5000000 /* until something has come: seconds, on a busy machine too */
#define GUESTS 32
#define OFFERS 32

static time_t ahead_s; /* the program's clock of that of the machine */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec += id == CLOCK_BOOTTIME ? ahead_s : 0;
    return result;
}

/* A hop at the relay. */
struct guest {
    struct hop_driver driver;
    enum role role;
    bool open, ended;
    char labels[16]; /* as INFO told them */
};

static struct {
    struct loop *loop;
    struct party relay, own;
    struct agent agent;
    struct uplink *uplink;
    struct io door;
    struct guest guest[GUESTS];
    unsigned guests;
    unsigned deaf;   /* so many that come next are not answered, but closed */
    char story[512]; /* what came and went, a letter each: P, C open; p, c end */
    struct deferred count_down;
    unsigned rounds;
    struct party client;
    struct answer *answer[OFFERS]; /* of which the policy has said LATER */
    unsigned asked, forgotten, refused, accepted;
    uint8_t last_ticket;
} t;

static void tell(const struct guest *g, bool opens)
{
    size_t len = strlen(t.story);
    assert_true(len + 1 < sizeof t.story);
    t.story[len] = g->role == ROLE_AGENT ? (opens ? 'C' : 'c') : (opens ? 'P' : 'p');
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    struct guest *g = container_of(hop_driver_of(h), struct guest, driver);
    g->role = (enum role)hello->role;
    welcome->code = CODE_OK;
    welcome->name = view_of_string("lab-1");
}

static void on_open(struct hop *h, const struct info *info)
{
    struct guest *g = container_of(hop_driver_of(h), struct guest, driver);
    copy_text(g->labels, sizeof g->labels, info->labels);
    g->open = true;
    tell(g, true);
}

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct refusal m;
    (void)h;
    t.accepted += type == MESSAGE_ACCEPT;
    if (type == MESSAGE_REFUSE) {
        assert_true(refuse_decode(&m, body));
        t.refused++;
        t.last_ticket = m.ticket[0];
    }
    return true;
}

static const struct hop_handler handler = {
    .on_hello = on_hello, .on_open = on_open, .on_message = on_message};

static void on_ended(struct hop_driver *c)
{
    struct guest *g = container_of(c, struct guest, driver);
    if (g->open)
        tell(g, false);
    g->ended = true;
    hop_driver_close(c);
}

static void on_connection(struct io *io)
{
    struct address peer;
    int fd = socket_accept(io->fd, &peer);
    if (fd < 0) {
        io_read_drained(io);
    } else if (t.deaf > 0) {
        t.deaf--;
        close(fd);
    } else {
        struct guest *g = &t.guest[t.guests++];
        assert_true(t.guests <= GUESTS);
        hop_listen(&g->driver.hop, &t.relay.party, &handler, ROLE_RELAY, loop_now(t.loop));
        g->driver.on_ended = on_ended;
        assert_true(hop_driver_open(&g->driver, t.loop, tcp_carrier_new(fd)));
    }
    io_want_read(io);
}

static void on_round(struct deferred *d)
{
    if (t.rounds-- > 0)
        loop_defer(t.loop, d);
    else
        loop_stop(t.loop);
}

/* Some rounds without waiting for anything. */
static void run_rounds(unsigned rounds)
{
    t.rounds = rounds;
    loop_defer(t.loop, &t.count_down);
    loop_run(t.loop);
}

/* Until the story is as told; a name for the alarm that would end it. */
static void run_until(const char *story)
{
    for (int i = 0; i < ROUNDS_MOST && strcmp(t.story, story) != 0; i++)
        run_rounds(1);
    assert_string_equal(t.story, story);
}

static void pass(time_t seconds)
{
    const time_t step = KEEPALIVE_MAX_S / 2;
    for (time_t left = seconds; left > 0; left -= step) {
        ahead_s += left < step ? left : step;
        run_rounds(ROUNDS);
    }
}

static int set_up(void **state)
{
    struct address address, bound;
    struct agent_relay relay = {.has_address = true};
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    party_make(&t.relay, 1, "test", "");
    party_make(&t.own, 2, "test", "");
    t.relay.party.keepalive_s = KEEPALIVE_MAX_S;
    t.count_down.run = on_round;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    t.door.on_read = on_connection;
    assert_true(io_add(t.loop, &t.door, socket_listen(&address, 8, &e)));
    io_want_read(&t.door);
    assert_true(address_of_socket(&bound, t.door.fd, false));
    t.agent.loop = t.loop;
    t.agent.party = t.own.party;
    seats_init(&t.agent.seats);
    log_rates_init(&t.agent.log, (const uint8_t[16]){0});
    list_init(&t.agent.ended);
    list_init(&t.agent.guests);
    list_init(&t.agent.over);
    list_init(&t.agent.shares);
    list_init(&t.agent.attempts);
    snprintf(relay.address.host, sizeof relay.address.host, "127.0.0.1");
    relay.address.port = address_port(&bound);
    memcpy(relay.public_key, t.relay.keys.public_key, KEY_BYTES);
    t.uplink = uplink_new(&t.agent, &relay);
    run_until("CP");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    uplink_free(t.uplink);
    attempts_forget(&t.agent.attempts, NULL, NULL);
    log_rates_free(&t.agent.log);
    for (unsigned i = 0; i < t.guests; i++)
        if (!t.guest[i].ended)
            hop_driver_close(&t.guest[i].driver);
    io_remove(&t.door);
    close(t.door.fd);
    loop_free(t.loop);
    return 0;
}

/* Neither kind of hop is missing at any time. */
static void test_replaced_beside(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    assert_string_equal(t.story, "CP");
    pass(120);
    run_until("CPPpCc");
    pass(HOP_MAX_AGE_S - 120);
    assert_string_equal(t.story, "CPPpCc");
    pass(240);
    run_until("CPPpCcPpCc");
}

/* The next one cannot be had for a while: those there are stay meanwhile. */
static void test_old_ones_stay_when_the_next_fails(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    t.deaf = 4;
    pass(180);
    run_until("CPPpCc");
    assert_int_equal(t.deaf, 0);
}

/* The control hop is lost while it is about to be replaced: the next one is young, and stays. */
static void test_lost_while_replaced(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 60);
    t.deaf = 1000;
    pass(60);
    assert_string_equal(t.story, "CP");
    assert_true(t.deaf < 1000);
    hop_fail(&t.guest[0].driver.hop, CODE_NETWORK, "lost");
    hop_driver_update(&t.guest[0].driver);
    run_until("CPc");
    t.deaf = 0;
    pass(120);
    run_until("CPcCPp");
    pass(HOP_MAX_AGE_S - 300);
    assert_string_equal(t.story, "CPcCPp");
}

/* ---- Labels that change. ---- */

static void assert_told(const char *labels)
{
    for (unsigned i = 0; i < t.guests; i++)
        if (t.guest[i].open && !t.guest[i].ended)
            assert_string_equal(t.guest[i].labels, labels);
}

static void change_labels(const char *labels)
{
    t.agent.party.labels = labels;
    uplink_tell_labels(t.uplink);
}

static void test_labels_are_told_beside(void **state)
{
    (void)state;
    change_labels("a=1");
    run_until("CPPpCc");
    assert_told("a=1");
    pass(HOP_MAX_AGE_S - 120);
    assert_string_equal(t.story, "CPPpCc");
}

/* Twice within a minute: the relay would take it for two agents with one key. */
static void test_labels_wait_for_their_time(void **state)
{
    (void)state;
    change_labels("a=1");
    run_until("CPPpCc");
    change_labels("a=2");
    change_labels("a=3");
    pass(DUPLICATE_WAIT_S);
    assert_string_equal(t.story, "CPPpCc");
    pass(30);
    run_until("CPPpCcPpCc");
    assert_told("a=3");
}

/* The hops that come are to tell them anyway: no others come. */
static void test_labels_while_replaced(void **state)
{
    (void)state;
    change_labels("a=1");
    run_rounds(2);
    assert_string_equal(t.story, "CP");
    change_labels("a=2");
    run_until("CPPpCc");
    assert_told("a=2");
    pass(300);
    assert_string_equal(t.story, "CPPpCc");
}

/* ---- OFFERs whose verdict comes later. ---- */

static enum verdict decide(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no)
{
    (void)a, (void)facts;
    for (unsigned i = 0; i < t.asked; i++) {
        if (t.answer[i] == answer) {
            t.answer[i] = NULL;
            wire_error_set(no, CODE_DENIED, "no");
            return VERDICT_NO;
        }
    }
    assert_true(t.asked < OFFERS);
    t.answer[t.asked++] = answer;
    return VERDICT_LATER;
}

static void forget(struct agent *a, struct answer *answer)
{
    (void)a, (void)answer;
    t.forgotten++;
}

static const struct policy later = {.decide = decide, .forget = forget};

static int set_up_offers(void **state)
{
    set_up(state);
    party_make(&t.client, 3, "test", "");
    t.agent.policy = &later;
    t.agent.key = t.own.keys;
    t.agent.party.own = &t.agent.key;
    key_stock_init(&t.agent.stock);
    return 0;
}

static int tear_down_offers(void **state)
{
    timer_cancel(t.loop, &t.agent.restock);
    tear_down(state);
    key_stock_end(&t.agent.stock);
    return 0;
}

static struct guest *guest_of(enum role role)
{
    for (unsigned i = 0; i < t.guests; i++)
        if (t.guest[i].role == role && t.guest[i].open && !t.guest[i].ended)
            return &t.guest[i];
    return NULL;
}

/* The relay offers a session on the hop. */
static void offer_on(struct guest *g, uint8_t ticket)
{
    struct session_hello hello = {.version = 1, .agent = view_of_string("lab-1"), .circuit = 1};
    struct noise noise;
    uint8_t payload[256], message1[HANDSHAKE_MESSAGE1_MAX], body[sizeof message1 + 512];
    size_t len = session_hello_encode(&hello, payload, sizeof payload), message1_len;
    struct offer offer = {.ticket = {ticket}, .user = view_of_string("kim")};
    assert_true(handshake_start(&noise, SUITE_CHACHAPOLY, PURPOSE_SESSION, &t.client.keys,
                                t.own.keys.public_key, NULL, view_of(payload, len), message1,
                                &message1_len));
    noise_wipe(&noise);
    offer.message1 = view_of(message1, message1_len);
    offer.user_address = view_of_string("192.0.2.1:1");
    assert_true(hop_send(&g->driver.hop, MESSAGE_OFFER,
                         view_of(body, offer_encode(&offer, body, sizeof body))));
    hop_driver_update(&g->driver);
}

static void run_until_count(const unsigned *count, unsigned n)
{
    for (int i = 0; i < ROUNDS_MOST && *count < n; i++)
        run_rounds(1);
    assert_int_equal(*count, n);
}

/* After REFUSE the hop is parked again, and takes another. */
static void test_parked_hop_takes_one_after_the_other(void **state)
{
    (void)state;
    for (uint8_t i = 1; i <= 3; i++) {
        offer_on(guest_of(ROLE_AGENT_CIRCUIT), i);
        run_until_count(&t.asked, i);
        assert_int_equal(t.refused, i - 1);
        answer_wake(t.answer[i - 1]);
        run_until_count(&t.refused, i);
        assert_int_equal(t.last_ticket, i);
    }
    assert_string_equal(t.story, "CP");
}

/* The peer has broken the protocol: the hop ends, and with it the answer. */
static void test_another_before_the_answer(void **state)
{
    (void)state;
    offer_on(guest_of(ROLE_AGENT_CIRCUIT), 1);
    run_until_count(&t.asked, 1);
    offer_on(guest_of(ROLE_AGENT_CIRCUIT), 2);
    run_until("CPp");
    assert_int_equal(t.forgotten, 1);
    assert_int_equal(t.refused, 0);
}

static void end_guest(struct guest *g)
{
    hop_fail(&g->driver.hop, CODE_NETWORK, "lost");
    hop_driver_update(&g->driver);
}

static void test_parked_hop_ends_meanwhile(void **state)
{
    (void)state;
    offer_on(guest_of(ROLE_AGENT_CIRCUIT), 1);
    run_until_count(&t.asked, 1);
    end_guest(guest_of(ROLE_AGENT_CIRCUIT));
    run_until_count(&t.forgotten, 1);
}

/* A few are worked on at a time; the others have their turn then. */
static void test_control_hop_works_on_few(void **state)
{
    const unsigned all = OFFERS_WORKING + 3;
    (void)state;
    for (uint8_t i = 1; i <= all; i++)
        offer_on(guest_of(ROLE_AGENT), i);
    run_until_count(&t.asked, OFFERS_WORKING);
    run_rounds(ROUNDS);
    assert_int_equal(t.asked, OFFERS_WORKING);
    answer_wake(t.answer[1]);
    run_until_count(&t.refused, 1);
    assert_int_equal(t.last_ticket, 2);
    run_until_count(&t.asked, OFFERS_WORKING + 1);
    for (unsigned i = 0; i < all; i++) {
        if (i == 1)
            continue;
        assert_true(t.asked > i);
        answer_wake(t.answer[i]);
        run_rounds(ROUNDS);
    }
    run_until_count(&t.refused, all);
}

/* The relay makes them anew on the next control hop. */
static void test_control_hop_ends_meanwhile(void **state)
{
    (void)state;
    for (uint8_t i = 1; i <= OFFERS_WORKING + 3; i++)
        offer_on(guest_of(ROLE_AGENT), i);
    run_until_count(&t.asked, OFFERS_WORKING);
    end_guest(guest_of(ROLE_AGENT));
    run_until_count(&t.forgotten, OFFERS_WORKING);
    assert_int_equal(t.asked, OFFERS_WORKING);
}

/* The agent lets go of the relay while verdicts are out: tear_down. */
static void test_freed_meanwhile(void **state)
{
    (void)state;
    offer_on(guest_of(ROLE_AGENT), 1);
    offer_on(guest_of(ROLE_AGENT_CIRCUIT), 2);
    run_until_count(&t.asked, 2);
}

/* A hop that has been replaced and still has an OFFER to answer goes after that. */
static void test_replaced_after_the_answer(void **state)
{
    (void)state;
    pass(HOP_MAX_AGE_S - 5);
    assert_string_equal(t.story, "CP");
    offer_on(guest_of(ROLE_AGENT_CIRCUIT), 1);
    run_until_count(&t.asked, 1);
    pass(6);
    run_until("CPPCc");
    answer_wake(t.answer[0]);
    run_until("CPPCcp");
    assert_int_equal(t.refused, 1);
}

#define OFFER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_offers, tear_down_offers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replaced_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_ones_stay_when_the_next_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_while_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_are_told_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_wait_for_their_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_while_replaced, set_up, tear_down),
        OFFER_TEST(test_parked_hop_takes_one_after_the_other),
        OFFER_TEST(test_another_before_the_answer),
        OFFER_TEST(test_parked_hop_ends_meanwhile),
        OFFER_TEST(test_control_hop_works_on_few),
        OFFER_TEST(test_control_hop_ends_meanwhile),
        OFFER_TEST(test_freed_meanwhile),
        OFFER_TEST(test_replaced_after_the_answer),
    };
    log_setup("agent", LOG_ERROR, false);
    alarm(60);
    return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
