/* The accounts of a share, and its queue. A share that is used up goes on in the next round, or,
 * when it went mostly into petty work, after a pause: whoever causes that is held back, and the
 * processor has time for others. */
#include "net/turns.h"

static bool may_take(const struct turns *t)
{
    return !timer_is_set(&t->pause) && t->spent_us < TURN_US && t->work < TURN_WORK;
}

/* Their end may have come inside a turn, and then nothing may refer to them. */
static void go_on(struct turns *t)
{
    if (!t->ended)
        loop_defer(t->loop, &t->round);
}

static void take(struct turns *t, struct turn *turn)
{
    uint64_t begun_us = loop_refresh_now(t->loop);
    struct turn_limit limit = {.until_us = begun_us + TURN_US - t->spent_us,
                               .work = TURN_WORK - t->work};
    list_remove(&turn->link);
    turn->take(turn, &limit); /* may free it */
    t->spent_us += loop_refresh_now(t->loop) - begun_us;
    go_on(t);
}

static void serve(struct turns *t)
{
    while (!list_empty(&t->waiting) && may_take(t))
        take(t, container_of(t->waiting.next, struct turn, link));
}

static void on_round(struct deferred *round)
{
    struct turns *t = container_of(round, struct turns, round);
    bool petty;
    serve(t);
    loop_undefer(round);
    petty = t->petty > t->work / 2;
    t->spent_us = t->work = t->petty = 0;
    if (list_empty(&t->waiting) || timer_is_set(&t->pause))
        return;
    if (petty)
        timer_set(t->loop, &t->pause, loop_now(t->loop) + TURN_PAUSE_US);
    else
        loop_defer(t->loop, round);
}

static void on_pause(struct timer *timer)
{
    serve(container_of(timer, struct turns, pause));
}

void turns_init(struct turns *t, struct loop *loop)
{
    *t = (struct turns){.loop = loop, .round.run = on_round, .pause.on_fire = on_pause};
    list_init(&t->waiting);
}

void turns_end(struct turns *t)
{
    t->ended = true;
    loop_undefer(&t->round);
    timer_cancel(t->loop, &t->pause);
}

void turn_init(struct turn *turn, void (*take_it)(struct turn *, const struct turn_limit *))
{
    turn->take = take_it;
    list_init(&turn->link);
}

void turn_ask(struct turns *t, struct turn *turn)
{
    if (list_linked(&turn->link))
        return;
    list_append(&t->waiting, &turn->link);
    if (!timer_is_set(&t->pause))
        loop_defer(t->loop, &t->round);
}

void turn_now(struct turns *t, struct turn *turn)
{
    if (list_empty(&t->waiting) && may_take(t))
        take(t, turn);
    else
        turn_ask(t, turn);
}

void turn_withdraw(struct turn *turn)
{
    list_remove(&turn->link);
}

void turns_worked(struct turns *t, size_t work, size_t petty)
{
    t->work += work;
    t->petty += petty;
}

void turns_hold(struct turns *t, uint64_t until_us)
{
    if (!t->ended)
        timer_set(t->loop, &t->pause, until_us);
}

bool turn_steps(struct turns *t, struct turn *turn, const struct turn_limit *limit, size_t work,
                bool (*step)(struct turn *turn))
{
    size_t done = 0;
    bool all;
    do {
        all = step(turn);
        done += work;
    } while (!all && done < limit->work && loop_refresh_now(t->loop) < limit->until_us);
    turns_worked(t, done, 0);
    if (!all)
        turn_ask(t, turn);
    return all;
}
