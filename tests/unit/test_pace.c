/* The bound on what is on its way at once: grows while the rate does, follows the path, survives
 * idleness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session/pace.h"

/* A path of some rate and round trip with a sender that always has something to send, told in steps
 * of one round trip: what is on its way is delivered as far as the rate allows. */
struct path {
    struct pace pace;
    uint64_t now_us, acked, sent, rtt_us, rate;
};

static void path_init(struct path *p, uint64_t rate, uint64_t rtt_us)
{
    *p = (struct path){.rtt_us = rtt_us, .rate = rate, .now_us = 1000000};
    pace_init(&p->pace, 0, p->now_us);
    pace_measured(&p->pace, rtt_us);
}

/* One ACK for all that was sent; more on its way than the path holds takes longer. */
static void path_round(struct path *p, uint64_t most)
{
    uint64_t before = p->sent, bytes, us;
    while (p->sent - before < most && pace_allows(&p->pace, p->sent - p->acked))
        p->sent += 1000;
    bytes = p->sent - p->acked;
    us = bytes * 1000000 / p->rate;
    p->now_us += us > p->rtt_us ? us : p->rtt_us;
    p->acked = p->sent;
    pace_acknowledged(&p->pace, p->acked, p->sent, p->now_us);
}

static void test_starts_and_doubles(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 1000000000, 100000);
    assert_int_equal(p.pace.limit_bytes, 256 << 10);
    path_round(&p, UINT64_MAX);
    path_round(&p, UINT64_MAX);
    assert_int_equal(p.pace.limit_bytes, 1 << 20);
}

/* 10 Mbit/s and 100 ms: at most 2 * rate * (rtt + 25 ms), and more than the path holds. */
static void test_settles_on_a_slow_path(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 1250000, 100000);
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    assert_false(p.pace.starting);
    assert_in_range(p.pace.limit_bytes, 125000, 2 * 1250000 / 8 + 20000);
}

static void test_follows_a_path_that_becomes_slower_and_faster(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 12500000, 50000);
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    assert_in_range(p.pace.limit_bytes, 625000, 2000000);
    p.rate = 1250000;
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    assert_in_range(p.pace.limit_bytes, 64 << 10, 200000);
    p.rate = 12500000;
    for (int i = 0; i < 100; i++)
        path_round(&p, UINT64_MAX);
    assert_in_range(p.pace.limit_bytes, 625000, 2000000);
}

/* Rounds in which the application had little to send say nothing about the path. */
static void test_idleness_changes_nothing(void **state)
{
    struct path p;
    uint64_t limit;
    (void)state;
    path_init(&p, 12500000, 50000);
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    limit = p.pace.limit_bytes;
    for (int i = 0; i < 200; i++)
        path_round(&p, 1000);
    assert_int_equal(p.pace.limit_bytes, limit);
}

/* Two ACKs read at once do not make the path look faster than its round trip lets it be. */
static void test_acks_that_come_together(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 1250000, 100000);
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    pace_acknowledged(&p.pace, p.sent + 50000, p.sent + 100000, p.now_us + 100000);
    pace_acknowledged(&p.pace, p.sent + 100000, p.sent + 100000, p.now_us + 100000);
    assert_in_range(p.pace.limit_bytes, 125000, 2 * 1250000 / 8 + 20000);
}

/* A path whose buffers are full before the limit is reached tells its rate, too. */
static void test_a_circuit_that_takes_no_more(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 1250000, 100000);
    for (int i = 0; i < 30; i++) {
        pace_blocked(&p.pace);
        path_round(&p, 125000);
    }
    assert_false(p.pace.starting);
    assert_in_range(pace_rate(&p.pace), 1200000, 1300000);
    assert_in_range(p.pace.limit_bytes, 125000, 2 * 1250000 / 8 + 20000);
}

static void test_never_below_the_least(void **state)
{
    struct path p;
    (void)state;
    path_init(&p, 1000, 1000);
    for (int i = 0; i < 60; i++)
        path_round(&p, UINT64_MAX);
    assert_int_equal(p.pace.limit_bytes, 64 << 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_and_doubles),
        cmocka_unit_test(test_settles_on_a_slow_path),
        cmocka_unit_test(test_follows_a_path_that_becomes_slower_and_faster),
        cmocka_unit_test(test_idleness_changes_nothing),
        cmocka_unit_test(test_acks_that_come_together),
        cmocka_unit_test(test_a_circuit_that_takes_no_more),
        cmocka_unit_test(test_never_below_the_least),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
