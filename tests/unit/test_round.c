/* The round over the relays: which one is tried next, when, and when another try cannot help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/round.h"

#define S CLOCK_US_PER_S
#define LONG (20 * S) /* an agent that is offline was waited for */

static struct round round_over(size_t count)
{
    struct round r;
    round_init(&r, count, false);
    return r;
}

/* Tries the relay, which takes this long, and fails so. */
static struct round_decision fail_after(struct round *r, uint64_t us, struct round_failure f)
{
    round_try(r, 100 * S);
    return round_failed(r, &f, 100 * S + us);
}

static const struct round_failure down = {.code = CODE_NETWORK};
static const struct round_failure offline = {
    .code = CODE_OFFLINE, .answered = true, .listed_offline = true};
static const struct round_failure refused = {.code = CODE_NO_AGENT, .answered = true};

#define assert_step(decision, expected) assert_int_equal((decision).step, expected)

static void assert_next(struct round *r, struct round_failure f, size_t relay)
{
    assert_step(fail_after(r, 0, f), ROUND_NEXT);
    assert_int_equal(r->relay, relay);
}

/* The pauses of one round after another, as the backoff makes them: none, then at most 1 s, 2 s. */
static void assert_backoff(struct round *r, struct round_failure f)
{
    for (uint64_t most = 0; most <= 2 * S; most = most ? 2 * most : S) {
        struct round_decision d;
        for (size_t i = 1; i < r->count; i++)
            assert_step(fail_after(r, 0, f), ROUND_NEXT);
        d = fail_after(r, 0, f);
        assert_step(d, ROUND_PAUSE);
        assert_true(most ? d.pause_us > 0 && d.pause_us <= most : d.pause_us == 0);
    }
}

/* ---- Where the agent may be. ---- */

static void test_agent_is_not_at_the_first(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_true(round_is_impatient(&r) && round_is_hurried(&r));
    assert_next(&r, offline, 1);
    assert_true(!round_is_impatient(&r)); /* the last one: it is waited for there, if offline */
    assert_true(round_is_hurried(&r));    /* but not for long if it is listed as online */
}

static void test_agent_is_at_none(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, offline, 1);
    assert_step(fail_after(&r, LONG, offline), ROUND_GIVE_UP); /* it was waited for */
    r = round_over(2);
    r.had_session = true;
    assert_next(&r, offline, 1);
    assert_step(fail_after(&r, LONG, offline), ROUND_PAUSE);
}

/* The first relay lacks the agent, the last one is down: it is waited for at the first. */
static void test_goes_back_to_wait(void **state)
{
    struct round r = round_over(3);
    (void)state;
    assert_next(&r, offline, 1);
    assert_next(&r, offline, 2);
    assert_next(&r, down, 0);
    assert_true(!round_is_impatient(&r) && !round_is_hurried(&r));
    assert_step(fail_after(&r, LONG, offline), ROUND_GIVE_UP);
}

/* The first and the last are down. Each round begins anew. */
static void test_goes_back_to_the_one_that_answers(void **state)
{
    struct round r = round_over(3);
    (void)state;
    r.had_session = true;
    for (int i = 0; i < 2; i++) {
        assert_next(&r, down, 1);
        assert_next(&r, offline, 2);
        assert_true(round_is_hurried(&r));
        assert_next(&r, down, 1);
        assert_step(fail_after(&r, LONG, offline), ROUND_PAUSE);
        r.relay = 0;
    }
}

/* The last relay is lost while the agent is waited for there: the wait is not over. */
static void test_lost_while_waiting(void **state)
{
    struct round r = round_over(2);
    struct round_failure lost = {.code = CODE_NETWORK, .answered = true, .listed_offline = true};
    (void)state;
    assert_next(&r, offline, 1);
    assert_step(fail_after(&r, LONG, lost), ROUND_NEXT);
    assert_int_equal(r.relay, 0);
}

/* The only relay that answers ends the wait at once: it is not asked for another. */
static void test_no_wait_is_had(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, down, 1);
    assert_step(fail_after(&r, 0, offline), ROUND_GIVE_UP);
    r = round_over(1);
    assert_step(fail_after(&r, 0, offline), ROUND_GIVE_UP);
}

/* An agent that was listed as online and does not answer may come back there. */
static void test_goes_back_to_a_silent_agent(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, (struct round_failure){.code = CODE_TIMEOUT, .answered = true}, 1);
    assert_next(&r, down, 0);
    assert_true(!round_is_impatient(&r));
    r = round_over(2);
    assert_next(&r, offline, 1);
    assert_step(
        fail_after(&r, LONG, (struct round_failure){.code = CODE_TIMEOUT, .answered = true}),
        ROUND_NEXT); /* that was no wait for one who is offline */
    assert_int_equal(r.relay, 0);
}

/* A relay that has not been reached is none to wait at. */
static void test_timeout_of_a_relay(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, (struct round_failure){.code = CODE_TIMEOUT}, 1);
    assert_step(fail_after(&r, 0, down), ROUND_PAUSE);
}

/* The last relay ends the wait at once: that was no wait, and the first one is patient. */
static void test_short_wait_is_none(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, offline, 1);
    assert_next(&r, offline, 0);
    assert_true(!round_is_impatient(&r));
    assert_step(fail_after(&r, 0, offline), ROUND_GIVE_UP);
}

/* ---- The agent is waited for at one relay and comes to another. ---- */

static void test_moves_once(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, offline, 1);
    assert_true(round_wants_others(&r));
    round_move(&r, 0);
    assert_int_equal(r.relay, 0);
    assert_true(round_is_impatient(&r));  /* it said that the agent is there */
    assert_true(!round_wants_others(&r)); /* and fools nobody twice */
    assert_next(&r, offline, 1);
    assert_true(!round_is_impatient(&r) && !round_is_hurried(&r) && !round_wants_others(&r));
    r.had_session = true;
    assert_step(fail_after(&r, LONG, offline), ROUND_PAUSE);
    assert_true(round_wants_others(&r)); /* another round */
}

static void test_no_others(void **state)
{
    struct round r = round_over(1);
    (void)state;
    assert_true(!round_wants_others(&r) && !round_is_impatient(&r) && !round_is_hurried(&r));
}

/* ---- Relays that refuse or cannot be reached. ---- */

static void test_refused_at_one(void **state)
{
    struct round r = round_over(3);
    (void)state;
    assert_next(&r, refused, 1);
    assert_next(&r, refused, 2);
    assert_step(fail_after(&r, 0, refused), ROUND_GIVE_UP);
}

/* Another relay's failure is none for good. */
static void test_refused_and_down(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_next(&r, refused, 1);
    assert_step(fail_after(&r, 0, down), ROUND_PAUSE);
    assert_int_equal(r.relay, 0);
}

static void test_all_fail(void **state)
{
    static const enum code codes[] = {CODE_NETWORK, CODE_TIMEOUT, CODE_SHUTDOWN, CODE_FULL,
                                      CODE_INTERNAL};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (size_t count = 1; count <= 3; count++) {
            struct round r = round_over(count);
            assert_backoff(&r, (struct round_failure){.code = codes[i]});
        }
}

/* Hops report a program that is no relay as a failure of the network: it may be mended. */
static void test_something_else_at_the_address(void **state)
{
    struct round r = round_over(2);
    (void)state;
    assert_backoff(&r, (struct round_failure){.code = CODE_NETWORK});
    r = round_over(1);
    assert_step(fail_after(&r, 0, (struct round_failure){.code = CODE_PROTOCOL}), ROUND_GIVE_UP);
}

static void test_asks_to_wait(void **state)
{
    struct round r = round_over(1);
    struct round_failure full = {.code = CODE_FULL, .answered = true, .retry_s = 100};
    (void)state;
    assert_int_equal(fail_after(&r, 0, full).pause_us, 100 * S);
}

/* ---- For good. ---- */

static void test_permanent(void **state)
{
    static const enum code codes[] = {CODE_DENIED,      CODE_VERSION,     CODE_WRONG_ROLE,
                                      CODE_WRONG_AGENT, CODE_UNSUPPORTED, CODE_BAD_HANDSHAKE};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct round r = round_over(1);
        r.had_session = true;
        assert_step(fail_after(&r, 0, (struct round_failure){.code = codes[i]}), ROUND_GIVE_UP);
    }
}

static void test_final_until_a_session(void **state)
{
    static const enum code codes[] = {CODE_OFFLINE, CODE_NO_AGENT,      CODE_NO_SESSION,
                                      CODE_ENDED,   CODE_RESUME_WINDOW, CODE_PROTOCOL,
                                      CODE_REVOKED, CODE_UNKNOWN_KEY};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct round r = round_over(1);
        struct round_failure f = {.code = codes[i]};
        assert_step(fail_after(&r, 0, f), ROUND_GIVE_UP);
        round_reached(&r);
        assert_step(fail_after(&r, 0, f), ROUND_PAUSE);
    }
}

/* The agent's own refusal is the same through every relay. */
static void test_agent_refuses(void **state)
{
    struct round r = round_over(2);
    struct round_failure f = {.code = CODE_DENIED, .answered = true, .by_agent = true};
    (void)state;
    assert_step(fail_after(&r, 0, f), ROUND_GIVE_UP);
    f.code = CODE_FULL;
    assert_step(fail_after(&r, 0, f), ROUND_PAUSE);
    assert_int_equal(r.relay, 0);
}

/* A relay with another key for the agent: told at once, ever; a session tries the next one. */
static void test_keys_differ(void **state)
{
    static const enum code codes[] = {CODE_UNKNOWN_KEY, CODE_BAD_HANDSHAKE};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct round r = round_over(2);
        struct round_failure f = {.code = codes[i], .answered = true};
        assert_step(fail_after(&r, 0, f), ROUND_GIVE_UP);
        r.had_session = true;
        assert_step(fail_after(&r, 0, f), ROUND_GIVE_UP);
        f.has_session = true;
        assert_next(&r, f, 1);
        f.answered = f.has_session = false; /* the client's own key, at that relay alone */
        r = round_over(2);
        assert_next(&r, f, 1);
    }
}

static void test_single(void **state)
{
    struct round r;
    (void)state;
    round_init(&r, 2, true);
    assert_next(&r, down, 1);
    assert_step(fail_after(&r, 0, down), ROUND_GIVE_UP);
    round_reached(&r);
    assert_step(round_session_over(&r, CODE_SHUTDOWN, S), ROUND_GIVE_UP);
}

/* ---- With a session. ---- */

static void test_resume_prefers_its_relay(void **state)
{
    struct round r = round_over(3);
    (void)state;
    assert_next(&r, offline, 1);
    assert_next(&r, offline, 2);
    round_reached(&r);
    assert_true(round_is_impatient(&r)); /* beside a circuit that stalls */
    assert_int_equal(round_lost(&r, S), 0);
    assert_int_equal(r.relay, 2);
    assert_true(round_is_impatient(&r)); /* a round of its own: two others are left */
    assert_next(
        &r, (struct round_failure){.code = CODE_OFFLINE, .answered = true, .has_session = true}, 0);
}

static void test_relay_cannot_end_a_session(void **state)
{
    struct round r = round_over(1);
    struct round_failure f = {
        .code = CODE_DENIED, .answered = true, .has_session = true, .retry_s = 100};
    (void)state;
    round_reached(&r);
    assert_int_equal(fail_after(&r, 0, f).pause_us, 30 * S);
    f.code = CODE_UNKNOWN_KEY;
    assert_step(fail_after(&r, 0, f), ROUND_PAUSE);
    round_init(&r, 1, true); /* nor what -W carries */
    assert_step(fail_after(&r, 0, f), ROUND_PAUSE);
}

/* A circuit that breaks at once again and again is opened ever more seldom. */
static void test_lost_again(void **state)
{
    struct round r = round_over(1);
    (void)state;
    round_reached(&r);
    assert_int_equal(round_lost(&r, 0), 0);
    assert_true(round_lost(&r, 0) > 0);
    assert_int_equal(round_lost(&r, 10 * S), 0);
}

static void test_session_over(void **state)
{
    struct round r = round_over(2);
    struct round_decision d;
    (void)state;
    assert_next(&r, offline, 1);
    round_reached(&r);
    for (int i = 0; i < 2; i++) { /* each time after one that worked */
        d = round_session_over(&r, CODE_NO_SESSION, 10 * S);
        assert_step(d, ROUND_PAUSE);
        assert_int_equal(d.pause_us, 0);
    }
    assert_int_equal(r.relay, 1);
    assert_step(round_session_over(&r, CODE_DENIED, 10 * S), ROUND_GIVE_UP);
}

/* A session that ends in the middle of a round: the next round has all relays before it. */
static void test_pause_ends_the_round(void **state)
{
    struct round r = round_over(2);
    (void)state;
    round_reached(&r);
    assert_next(&r, (struct round_failure){.code = CODE_NETWORK, .has_session = true}, 1);
    assert_true(!round_is_impatient(&r));
    assert_step(round_session_over(&r, CODE_RESUME_WINDOW, 0), ROUND_PAUSE);
    assert_true(round_is_impatient(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_is_not_at_the_first),
        cmocka_unit_test(test_agent_is_at_none),
        cmocka_unit_test(test_goes_back_to_wait),
        cmocka_unit_test(test_goes_back_to_the_one_that_answers),
        cmocka_unit_test(test_lost_while_waiting),
        cmocka_unit_test(test_no_wait_is_had),
        cmocka_unit_test(test_goes_back_to_a_silent_agent),
        cmocka_unit_test(test_timeout_of_a_relay),
        cmocka_unit_test(test_short_wait_is_none),
        cmocka_unit_test(test_moves_once),
        cmocka_unit_test(test_no_others),
        cmocka_unit_test(test_refused_at_one),
        cmocka_unit_test(test_refused_and_down),
        cmocka_unit_test(test_all_fail),
        cmocka_unit_test(test_something_else_at_the_address),
        cmocka_unit_test(test_asks_to_wait),
        cmocka_unit_test(test_permanent),
        cmocka_unit_test(test_final_until_a_session),
        cmocka_unit_test(test_agent_refuses),
        cmocka_unit_test(test_keys_differ),
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_resume_prefers_its_relay),
        cmocka_unit_test(test_relay_cannot_end_a_session),
        cmocka_unit_test(test_lost_again),
        cmocka_unit_test(test_session_over),
        cmocka_unit_test(test_pause_ends_the_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
