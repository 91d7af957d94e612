/* The end of a session's streams in portions: sockets that close are work, and thousands of them
 * are to be nobody's wait. */
#ifndef SPX_SESSION_TEARDOWN_H
#define SPX_SESSION_TEARDOWN_H

#include "net/turns.h"

struct session;

/* Embedded by the owner of a session with settings.ends_in_portions. */
struct teardown {
    /* All streams have ended, in a turn. May free the teardown and the session. */
    void (*on_ended)(struct teardown *t);
    /* Its own. */
    struct turn turn;
    struct turns *turns;
    struct session *session;
};

/* For this session, with turns among these. */
void teardown_init(struct teardown *t, struct turns *turns, struct session *session,
                   void (*on_ended)(struct teardown *t));

/* The session is over: ends its streams, a few at once and the others in turns. True: there are no
 * others, and on_ended is not called. */
bool teardown_begin(struct teardown *t);

/* No more turns. */
void teardown_stop(struct teardown *t);

#endif
