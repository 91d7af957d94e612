/* A check that a session's state is as the headers say. */
#ifndef SPX_TESTS_SESSION_WALK_H
#define SPX_TESTS_SESSION_WALK_H

#include "session/circuit.h"
#include "session/state.h"
#include "session/stream.h"

/* The first invariant of the session headers that does not hold, as text; NULL: all do. Between
 * calls into the session. */
const char *session_broken(const struct session *s);

#endif
