/* Memory that the sessions of an agent share. */
#ifndef SPX_AGENT_BUDGET_H
#define SPX_AGENT_BUDGET_H

#include "agent/seats.h"

/* How much more one session may take: a third of what is left of `all` when the sessions that there
 * are have taken so much, and a floor is kept for each that there may still be. So the first ones
 * are fast and the last one still works. */
uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions);

/* The receive limit of one more session, beside those that have a seat. */
uint32_t budget_receive_limit(const struct seats *s);

/* Returns true if the ring of a session that has a seat may become so much larger. The memory of
 * all rings is bounded as that of all windows is, but a ring grows when it is needed. */
bool budget_ring_may_grow(const struct seats *s, const struct session *session, size_t more);

#endif
