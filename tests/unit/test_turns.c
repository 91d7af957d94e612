/* Shares of the loop, by a clock that goes on with each look at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/turns.h"

#define MEMBERS 8
#define ROUNDS 4000

static uint64_t time_us;

int clock_gettime(clockid_t id, struct timespec *now)
{
    (void)id;
    time_us++;
    now->tv_sec = (time_t)(time_us / CLOCK_US_PER_S);
    now->tv_nsec = (long)(time_us % CLOCK_US_PER_S) * 1000;
    return 0;
}

struct member {
    struct turn turn;
    struct turns *turns;
    bool petty;
    uint64_t worked_us;
    unsigned taken;
};

static struct {
    struct loop *loop;
    struct turns many, one;
    struct member members[MEMBERS], other;
    struct deferred each_round;
    unsigned rounds;
    uint64_t most_us[ROUNDS + 1]; /* of all members, in each round */
} t;

/* Always has more to do, and takes all that it is given. */
static void take(struct turn *turn, const struct turn_limit *limit)
{
    struct member *m = container_of(turn, struct member, turn);
    uint64_t begun_us = time_us;
    m->taken++;
    while (time_us < limit->until_us)
        loop_refresh_now(t.loop);
    m->worked_us += time_us - begun_us;
    if (m != &t.other)
        t.most_us[t.rounds] += time_us - begun_us;
    turns_worked(m->turns, 1000, m->petty ? 1000 : 0);
    turn_ask(m->turns, turn);
}

static void on_round(struct deferred *d)
{
    if (++t.rounds == ROUNDS)
        loop_stop(t.loop);
    else
        loop_defer(t.loop, d);
}

static void begin(struct member *m, struct turns *turns, bool petty)
{
    m->turns = turns;
    m->petty = petty;
    turn_init(&m->turn, take);
    turn_now(turns, &m->turn);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    time_us = CLOCK_US_PER_S;
    t.loop = loop_new();
    turns_init(&t.many, t.loop);
    turns_init(&t.one, t.loop);
    t.each_round.run = on_round;
    loop_defer(t.loop, &t.each_round);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    turns_end(&t.many);
    turns_end(&t.one);
    loop_undefer(&t.each_round);
    loop_free(t.loop);
    return 0;
}

static uint64_t worked_us(const struct member *members, unsigned count)
{
    uint64_t us = 0;
    for (unsigned i = 0; i < count; i++)
        us += members[i].worked_us;
    return us;
}

/* Eight have what one has, and each of them an eighth of it. */
static void shared(void **state)
{
    uint64_t many_us, one_us;
    (void)state;
    for (unsigned i = 0; i < MEMBERS; i++)
        begin(&t.members[i], &t.many, false);
    begin(&t.other, &t.one, false);
    loop_run(t.loop);
    many_us = worked_us(t.members, MEMBERS);
    one_us = t.other.worked_us;
    assert_in_range(many_us, one_us * 9 / 10, one_us * 11 / 10);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_in_range(t.members[i].worked_us, many_us / MEMBERS * 8 / 10,
                        many_us / MEMBERS * 12 / 10);
    for (unsigned i = 1; i < ROUNDS; i++)
        assert_in_range(t.most_us[i], 0, TURN_US + 10);
}

/* Petty work takes half of the time, however many do it. */
static void petty(void **state)
{
    uint64_t begun_us = time_us;
    (void)state;
    for (unsigned i = 0; i < MEMBERS; i++)
        begin(&t.members[i], &t.many, true);
    loop_run(t.loop);
    assert_in_range(worked_us(t.members, MEMBERS), (time_us - begun_us) / 3,
                    (time_us - begun_us) * 11 / 20);
}

/* Who asks while nobody waits is served inside the call; the next one, when the share is used up,
 * is not. */
static void at_once(void **state)
{
    (void)state;
    begin(&t.members[0], &t.many, false);
    begin(&t.members[1], &t.many, false);
    assert_int_equal(t.members[0].taken, 1);
    assert_int_equal(t.members[1].taken, 0);
    turn_withdraw(&t.members[1].turn);
    loop_run(t.loop);
    assert_true(t.members[0].taken > 1);
    assert_int_equal(t.members[1].taken, 0);
}

static struct {
    struct turns turns;
    struct turn turn;
    struct deferred burial;
    bool buried;
} last;

static void run_buried(struct deferred *round)
{
    (void)round;
    fail_msg("a round of turns that are freed");
}

static void bury(struct deferred *burial)
{
    (void)burial;
    last.turns.round.run = run_buried;
    last.buried = true;
}

/* The last of those who share leaves, and they end. */
static void leave(struct turn *turn, const struct turn_limit *limit)
{
    (void)turn;
    (void)limit;
    turns_end(&last.turns);
    loop_defer(t.loop, &last.burial);
}

/* They end inside a turn and are freed by what is deferred then: nothing of theirs runs after it.
 */
static void end_inside(void **state)
{
    (void)state;
    turns_init(&last.turns, t.loop);
    turn_init(&last.turn, leave);
    last.burial.run = bury;
    turn_now(&last.turns, &last.turn);
    loop_run(t.loop);
    assert_true(last.buried);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Who is held has no turn before that, and has them again then; others go on. */
static void held(void **state)
{
    uint64_t until_us = time_us + 3000;
    (void)state;
    turns_hold(&t.many, until_us);
    begin(&t.members[0], &t.many, false);
    begin(&t.other, &t.one, false);
    assert_int_equal(t.members[0].worked_us, 0);
    loop_run(t.loop);
    assert_true(t.other.worked_us > t.members[0].worked_us + 2000);
    assert_true(t.members[0].worked_us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(shared), TEST(petty), TEST(held), TEST(at_once),
                                       TEST(end_inside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
