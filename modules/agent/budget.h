/* Memory that the sessions of an agent share. */
#ifndef SPX_AGENT_BUDGET_H
#define SPX_AGENT_BUDGET_H

#include <stdint.h>

/* How much more one session may take: a third of what is left of `all` when the sessions that there
 * are have taken so much, and a floor is kept for each that there may still be. So the first ones
 * are fast and the last one still works. */
uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions);

#endif
