/* As many streams in a turn as its limits permit. */
#include "session/teardown.h"

#include "session/session.h"

#define WORK (8U << 10) /* of one: its socket closes, and the log has a line */
#define AT_ONCE 16U     /* a session with few does not wait for its turn */

static bool end_one(struct turn *turn)
{
    return session_end_some(container_of(turn, struct teardown, turn)->session, 1);
}

static void take_turn(struct turn *turn, const struct turn_limit *limit)
{
    struct teardown *t = container_of(turn, struct teardown, turn);
    if (turn_steps(t->turns, turn, limit, WORK, end_one))
        t->on_ended(t);
}

void teardown_init(struct teardown *t, struct turns *turns, struct session *session,
                   void (*on_ended)(struct teardown *t))
{
    *t = (struct teardown){.on_ended = on_ended, .turns = turns, .session = session};
    turn_init(&t->turn, take_turn);
}

bool teardown_begin(struct teardown *t)
{
    if (!session_end_some(t->session, AT_ONCE)) {
        turn_ask(t->turns, &t->turn);
        return false;
    }
    teardown_stop(t);
    return true;
}

void teardown_stop(struct teardown *t)
{
    turn_withdraw(&t->turn);
}
