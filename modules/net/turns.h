/* Turns: those who belong together, as the sessions of a user do, have one share of each round of
 * the loop between them, and take it in the order in which they asked. So whoever has eight has no
 * more than one who has one. */
#ifndef SPX_NET_TURNS_H
#define SPX_NET_TURNS_H

#include "net/loop.h"

/* Of a share, in one round. */
#define TURN_WORK (256U << 10) /* as circuit_work counts */
#define TURN_US 250            /* for that */
/* After one that was mostly petty work: half of the time is theirs. */
#define TURN_PAUSE_US TURN_US

/* The rest of it. */
struct turn_limit {
    uint64_t until_us;
    size_t work;
};

/* One who takes turns. The owner embeds it, calls turn_init once, and sets take, which works within
 * the limit, tells turns_worked, and asks again if something is left; it may free the turn, not the
 * turns. */
struct turn {
    void (*take)(struct turn *turn, const struct turn_limit *limit);
    struct list link; /* turns->waiting */
};

/* Those who share. */
struct turns {
    struct loop *loop;
    struct list waiting;
    struct deferred round; /* its end */
    struct timer pause;
    uint64_t spent_us; /* in this round */
    size_t work, petty;
    bool ended;
    unsigned bulk; /* of those who write, how many had more to write than they may at once */
};

/* Nobody waits. The loop outlives them. */
void turns_init(struct turns *t, struct loop *loop);

/* Nobody waits any more; may be called inside a turn. It must not be freed before the end of the
 * round: a deferred function of now may free it. */
void turns_end(struct turns *t);

/* Waits for nothing. */
void turn_init(struct turn *turn, void (*take)(struct turn *turn, const struct turn_limit *limit));

/* take is called soon, never inside this call. Asked twice, it is called once. */
void turn_ask(struct turns *t, struct turn *turn);

/* The same, but inside this call if nobody else waits and something of the share is left. */
void turn_now(struct turns *t, struct turn *turn);

/* Waits no longer; harmless when it did not. */
void turn_withdraw(struct turn *turn);

/* None of them has a turn before then. */
void turns_hold(struct turns *t, uint64_t until_us);

/* Work was done, petty of it in pieces that cost more than their bytes. */
void turns_worked(struct turns *t, size_t work, size_t petty);

/* In a turn: takes steps of so much work each, until one returns true, all is done, or the limit is
 * reached. True: all is done; otherwise the turn is asked for again. */
bool turn_steps(struct turns *t, struct turn *turn, const struct turn_limit *limit, size_t work,
                bool (*step)(struct turn *turn));

#endif
