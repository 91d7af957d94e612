/* Short forms for tests of sessions. */
#ifndef SPX_TESTS_SESSION_SHORT_H
#define SPX_TESTS_SESSION_SHORT_H

#include "session/circuit.h"
#include "session/state.h"

/* The n bytes in the input space have come, and all their frames are taken. */
static inline void circuit_input(struct circuit *c, size_t n, uint64_t now_us)
{
    circuit_received(c, n, now_us);
    circuit_work(c, SIZE_MAX, now_us);
}

/* True if own frames wait for a circuit or an ACK. */
static inline bool session_unacknowledged(const struct session *s)
{
    return ring_used(&s->ring) > 0 || !list_empty(&s->owing) || s->close_owed;
}

#endif
