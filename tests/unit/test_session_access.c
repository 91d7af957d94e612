/* ACCESS: whether the session waits for approval, and how long it may go on, as the agent tells its
 * client (docs/PROTOCOL.md section 5.10). */
#include "session_pair.h"

#include <string.h>

#include "session/internal.h"
#include "session/listen.h"

static void tell(struct session *s, enum access_state state, uint64_t until_s, const char *text)
{
    struct access_frame access = {
        .state = (uint8_t)state, .until_s = until_s, .text = view_of_string(text)};
    session_tell_access(s, &access);
}

static void assert_told(const struct side *client, unsigned count, enum access_state state,
                        uint64_t until_s, const char *text)
{
    assert_int_equal(client->accesses, count);
    assert_int_equal(client->access_state, state);
    assert_int_equal(client->access_until_s, until_s);
    assert_string_equal(client->access_text, text);
}

/* Each change is told; of those that had to wait only the last. */
static void the_client_is_told(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct session *agent = p->side[AGENT].s;
    (void)state;
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    tell(agent, ACCESS_GRANTED, 1796018066, "Mon, by Hours (Mon 08:00-18:00)");
    pair_run(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_GRANTED, 1796018066, "Mon, by Hours (Mon 08:00-18:00)");
    tell(agent, ACCESS_GRANTED, 5, "soon");
    tell(agent, ACCESS_ENDING, UINT64_MAX, "now");
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_ENDING, UINT64_MAX, "now");
    assert_int_equal(p->side[AGENT].accesses, 0);
    pair_free(p);
}

/* A circuit that is lost on the way takes nothing with it, and nothing is told twice. */
static void it_survives_a_resume(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    tell(p->side[AGENT].s, ACCESS_ENDING, 7, "seven");
    assert_true(conn_flush(p->conn, AGENT));
    conn_drop(p->conn);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    tell(p->side[AGENT].s, ACCESS_GRANTED, 8, "eight"); /* without a circuit */
    pair_connect(p);
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_GRANTED, 8, "eight");
    conn_drop(p->conn);
    pair_connect(p);
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 2);
    pair_free(p);
}

/* Nothing comes behind CLOSE, and what was owed comes before it. */
static void it_ends_with_the_session(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    (void)state;
    pair_connect(p);
    pair_run(p);
    session_close(p->side[AGENT].s, CODE_DENIED, "over");
    tell(p->side[AGENT].s, ACCESS_GRANTED, 8, "eight");
    pair_run(p);
    assert_int_equal(p->side[CLIENT].accesses, 0);
    assert_int_equal(session_error(p->side[CLIENT].s)->code, CODE_DENIED);
    assert_int_equal(session_error(p->side[AGENT].s)->code, CODE_DENIED);
    pair_free(p);
}

/* A client of a version before this frame would end the session. */
static void an_old_client_is_not_told(void **state)
{
    struct raw *r = raw_new(false, NULL);
    struct session_hello hello = {.circuit = 1, .ring = 1 << 20, .receive_limit = 1 << 20};
    (void)state;
    raw_start(r);
    tell(r->s, ACCESS_ENDING, 7, "seven");
    assert_int_equal(sent_count(raw_output(r), FRAME_ACCESS), 0);
    hello.takes = HELLO_TAKES_ACCESS; /* a recording, perhaps: too late */
    session_take_hello(r->s, &hello);
    tell(r->s, ACCESS_ENDING, 7, "seven");
    assert_int_equal(sent_count(raw_output(r), FRAME_ACCESS), 0);
    raw_free(r);
}

static void a_client_says_that_it_takes_it(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct greeting g;
    (void)state;
    pair_greet(p, &g);
    assert_int_equal(g.hello.takes, HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING);
    assert_int_equal(g.hello.reason.len, 0);
    pair_free(p);
}

/* A pair whose session waits from its beginning, and whose client has asked for a stream. */
static struct pair *waiting_pair(void)
{
    struct pair *p = pair_new(NULL, NULL);
    session_set_waiting(p->side[AGENT].s, true);
    app_write(app_open(&p->side[CLIENT], 1), 5000);
    pair_connect(p);
    tell(p->side[AGENT].s, ACCESS_WAITING, 900, "7F3K");
    return p;
}

static void grant(struct pair *p)
{
    session_set_waiting(p->side[AGENT].s, false);
    tell(p->side[AGENT].s, ACCESS_GRANTED, 0, "");
}

static void run_waiting(struct pair *p)
{
    bool moved;
    do
        moved = pair_step(p);
    while (moved);
    pair_check(p);
    assert_true(session_waits(p->side[CLIENT].s));
    assert_int_equal(p->side[AGENT].opens, 0);
    assert_int_equal(p->side[CLIENT].s->ring.head, 0);
}

static void assert_opened(struct pair *p)
{
    assert_false(session_waits(p->side[CLIENT].s));
    assert_int_equal(p->side[AGENT].opens, 1);
    assert_int_equal(app_find(&p->side[AGENT], 1)->received, 5000);
    assert_int_equal(app_find(&p->side[CLIENT], 1)->resets, 0);
}

/* Nothing is asked for until it is granted, and then what was wanted comes. */
static void a_client_holds_back(void **state)
{
    struct pair *p = waiting_pair();
    (void)state;
    assert_true(session_can_wait(p->side[AGENT].s));
    run_waiting(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_WAITING, 900, "7F3K");
    tell(p->side[AGENT].s, ACCESS_ENDING, 5, "soon"); /* grants nothing */
    tell(p->side[AGENT].s, 77, 5, "of a later version");
    run_waiting(p);
    grant(p);
    pair_run(p);
    assert_opened(p);
    pair_free(p);
}

/* Granted while the client is away; the circuit before was lost with what it carried. */
static void it_waits_over_circuits(void **state)
{
    struct pair *p = waiting_pair();
    (void)state;
    assert_true(conn_flush(p->conn, CLIENT));
    conn_drop(p->conn);
    pair_connect(p);
    run_waiting(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_WAITING, 900, "7F3K");
    conn_drop(p->conn);
    pair_connect(p);
    run_waiting(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_WAITING, 900, "7F3K");
    conn_drop(p->conn);
    grant(p);
    pair_connect(p);
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_GRANTED, 0, "");
    assert_opened(p);
    pair_free(p);
}

/* A later message 2 counts for nothing in this: ACCESS alone ends the waiting. */
static void only_the_first_hint_counts(void **state)
{
    struct pair *p = waiting_pair();
    struct greeting g;
    (void)state;
    run_waiting(p);
    conn_drop(p->conn);
    pair_greet(p, &g);
    assert_true(g.welcome.waits);
    g.welcome.waits = false;
    pair_attach(p, &g);
    run_waiting(p);
    grant(p);
    pair_run(p);
    conn_drop(p->conn);
    pair_greet(p, &g);
    assert_false(g.welcome.waits);
    g.welcome.waits = true;
    pair_attach(p, &g);
    pair_run(p);
    assert_opened(p);
    pair_free(p);
}

static void send_access(struct raw *r, enum access_state state)
{
    struct access_frame access = {.state = (uint8_t)state};
    uint8_t payload[64];
    raw_send(r, FRAME_ACCESS, 0, payload, access_encode(&access, payload, sizeof payload));
}

/* An agent that has not said so in message 2 may still tell that the session waits. */
static void access_begins_the_waiting(void **state)
{
    struct raw *r = raw_new(true, NULL);
    (void)state;
    raw_start(r);
    assert_false(session_waits(r->s));
    send_access(r, ACCESS_WAITING);
    app_open(&r->side, 1);
    assert_int_equal(sent_count(raw_output(r), FRAME_OPEN), 0);
    send_access(r, ACCESS_GRANTED);
    assert_true(r->side.woken);
    assert_int_equal(sent_count(raw_output(r), FRAME_OPEN), 1);
    raw_free(r);
}

/* An agent that takes it back again and again is heard once. */
static void a_grant_is_for_good(void **state)
{
    struct raw *r = raw_new(true, NULL);
    (void)state;
    raw_start(r);
    send_access(r, ACCESS_GRANTED);
    for (int i = 0; i < 3; i++) {
        send_access(r, ACCESS_WAITING);
        assert_false(session_waits(r->s));
        assert_int_equal(r->side.accesses, 1 + i);
        send_access(r, ACCESS_GRANTED);
    }
    raw_free(r);
}

/* A denial ends it with the agent's words, and nothing was opened. */
static void a_denial_ends_the_session(void **state)
{
    struct pair *p = waiting_pair();
    (void)state;
    run_waiting(p);
    session_close(p->side[AGENT].s, CODE_DENIED, "denied: not today");
    pair_run(p);
    assert_int_equal(session_error(p->side[CLIENT].s)->code, CODE_DENIED);
    assert_string_equal(session_error(p->side[CLIENT].s)->text, "denied: not today");
    assert_int_equal(p->side[AGENT].opens, 0);
    pair_free(p);
}

/* The client may be finished before anybody has decided. */
static void a_client_gives_up(void **state)
{
    struct pair *p = waiting_pair();
    (void)state;
    run_waiting(p);
    session_close(p->side[CLIENT].s, CODE_DONE, "nobody answers");
    pair_run(p);
    assert_int_equal(session_error(p->side[AGENT].s)->code, CODE_DONE);
    assert_int_equal(p->side[AGENT].opens, 0);
    assert_int_equal(app_find(&p->side[CLIENT], 1)->resets, 1);
    pair_free(p);
}

/* Without the hint the first bytes are what they always were: OPEN goes with START. */
static void whoever_need_not_wait_opens_at_once(void **state)
{
    (void)state;
    for (int waits = 0; waits <= 1; waits++) {
        struct raw *r = raw_new(true, NULL);
        r->s->waits = waits;
        app_open(&r->side, 1);
        assert_int_equal(sent_count(raw_output(r), FRAME_OPEN), !waits);
        raw_free(r);
    }
}

static void assert_refused(const struct sent *sent, uint32_t stream)
{
    static const char text[] = "the session waits for approval";
    for (unsigned i = 0; i < sent->count; i++) {
        const uint8_t *payload = sent->frame[i].payload;
        if (sent->frame[i].type != FRAME_RESET || sent->frame[i].stream != stream)
            continue;
        assert_int_equal(load_be16(payload), RESET_NOT_PERMITTED);
        assert_memory_equal(payload + 4, text, sizeof text - 1);
        return;
    }
    fail_msg("stream %u is not reset", stream);
}

static void send_listen(struct raw *r, uint32_t stream)
{
    uint8_t payload[64];
    size_t len = address_encode(view_of_string("127.0.0.1:80"), payload, sizeof payload);
    raw_send(r, FRAME_LISTEN, stream, payload, len);
}

/* A client that asks although it waits, by TCP, UDP or for a listener: its owner hears nothing. */
static void an_agent_opens_nothing(void **state)
{
    static const char udp[] = "udp:app:3";
    struct open_frame open = {.target = view_of_string(udp)};
    struct raw *r = raw_new(false, NULL);
    uint8_t payload[64];
    (void)state;
    session_set_waiting(r->s, true);
    assert_false(session_can_wait(r->s));
    raw_start(r);
    raw_send_open(r, 1, 1000);
    raw_send(r, FRAME_OPEN, 3, payload, open_encode(&open, false, payload, sizeof payload));
    send_listen(r, 5);
    raw_send_data(r, 1, 0, 100); /* on its way already */
    const struct sent *sent = raw_output(r);
    for (uint32_t stream = 1; stream <= 5; stream += 2)
        assert_refused(sent, stream);
    assert_int_equal(r->side.opens, 0);
    assert_int_equal(session_error(r->s)->code, CODE_OK);
    session_check(r->s);
    session_set_waiting(r->s, false);
    raw_send_open(r, 7, 1000);
    assert_int_equal(r->side.opens, 1);
    raw_free(r);
}

/* Each is an entry in the agent's audit: a client that goes on and on is sent away, however few
 * streams its user may have open. */
static void a_client_that_does_not_hold_back(void **state)
{
    struct session_settings settings = session_default_settings(false);
    (void)state;
    settings.streams = 1;
    for (int listens = 0; listens <= 1; listens++) {
        struct raw *r = raw_new(false, &settings);
        session_set_waiting(r->s, true);
        raw_start(r);
        for (uint32_t i = 0; i < WAITING_REFUSED_MAX; i++) {
            raw_send_open(r, 2 * i + 1, 1000);
            raw_output(r);
            raw_send_position(r, FRAME_ACK, r->s->sent_max);
        }
        assert_int_equal(session_error(r->s)->code, CODE_OK);
        if (listens)
            send_listen(r, 2 * WAITING_REFUSED_MAX + 1);
        else
            raw_send_open(r, 2 * WAITING_REFUSED_MAX + 1, 1000);
        assert_int_equal(session_error(r->s)->code, CODE_FULL);
        assert_int_equal(r->side.opens, 0);
        raw_free(r);
    }
}

/* Who can wait must take ACCESS, or would never hear of the grant. */
static void who_can_wait(void **state)
{
    static const struct {
        uint8_t takes;
        bool can;
    } cases[] = {{0, false},
                 {HELLO_TAKES_ACCESS, false},
                 {HELLO_TAKES_WAITING, false},
                 {HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING, true},
                 {0xff, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw *r = raw_new(false, NULL);
        struct session_hello hello = {
            .circuit = 1, .ring = 1 << 20, .receive_limit = 1 << 20, .takes = cases[i].takes};
        session_take_hello(r->s, &hello);
        assert_int_equal(session_can_wait(r->s), cases[i].can);
        raw_free(r);
    }
}

/* Nothing that comes after the grant takes its place: the client would wait for ever. */
static void a_grant_is_told_as_one(void **state)
{
    struct pair *p = pair_new(NULL, NULL);
    struct session *agent = p->side[AGENT].s;
    (void)state;
    session_set_waiting(agent, true);
    pair_connect(p);
    pair_run(p);
    assert_true(session_waits(p->side[CLIENT].s));
    session_set_waiting(agent, false);
    tell(agent, ACCESS_GRANTED, 5, "five");
    tell(agent, ACCESS_ENDING, 7, "seven");
    pair_run(p);
    assert_told(&p->side[CLIENT], 1, ACCESS_GRANTED, 7, "seven");
    assert_false(session_waits(p->side[CLIENT].s));
    tell(agent, ACCESS_ENDING, 7, "seven");
    pair_run(p);
    assert_told(&p->side[CLIENT], 2, ACCESS_ENDING, 7, "seven");
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_told),
        cmocka_unit_test(it_survives_a_resume),
        cmocka_unit_test(it_ends_with_the_session),
        cmocka_unit_test(an_old_client_is_not_told),
        cmocka_unit_test(a_client_says_that_it_takes_it),
        cmocka_unit_test(a_client_holds_back),
        cmocka_unit_test(it_waits_over_circuits),
        cmocka_unit_test(only_the_first_hint_counts),
        cmocka_unit_test(access_begins_the_waiting),
        cmocka_unit_test(a_grant_is_for_good),
        cmocka_unit_test(a_denial_ends_the_session),
        cmocka_unit_test(a_client_gives_up),
        cmocka_unit_test(whoever_need_not_wait_opens_at_once),
        cmocka_unit_test(an_agent_opens_nothing),
        cmocka_unit_test(a_client_that_does_not_hold_back),
        cmocka_unit_test(who_can_wait),
        cmocka_unit_test(a_grant_is_told_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
