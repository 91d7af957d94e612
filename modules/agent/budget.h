/* Memory that the sessions of an agent share. */
#ifndef SPX_AGENT_BUDGET_H
#define SPX_AGENT_BUDGET_H

#include "agent/seats.h"

/* The amount that one session may take in addition: a third of what is left of `all` when the
 * existing sessions have taken `taken` and a floor is reserved for each that may still begin. The
 * first ones are fast, and the last one still works. */
uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions);

/* The receive limit of a new session. It is a promise of what it may have at most: the memory is
 * shared by what the windows of started sessions use, so that idle ones hold little of it. */
uint32_t budget_receive_limit(const struct seats *s);

/* Returns true if the windows of a session may take `more` bytes in addition. */
bool budget_windows_may_grow(const struct seats *s, const struct session *session, uint32_t more);

/* Returns true if the floors of a session that has just started fit beside the others. */
bool budget_has_room(const struct seats *s);

/* Returns true if those of a session that is not among the started ones would. */
bool budget_has_room_for(const struct seats *s, const struct session *session);

/* Returns true if the ring of a session that has a seat may grow by `more` bytes. The memory of all
 * rings is bounded as that of all windows is, but a ring grows only when needed. */
bool budget_ring_may_grow(const struct seats *s, const struct session *session, size_t more);

#endif
