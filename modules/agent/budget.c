/* Shares of memory. It holds none itself. */
#include "agent/budget.h"

#include "session/session.h"

#define RECEIVE_LIMIT_LEAST (1U << 20)

uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions)
{
    uint64_t kept = (SESSIONS_PER_AGENT - sessions) * floor;
    return taken + kept < all ? (all - taken - kept) / 3 : 0;
}

uint32_t budget_receive_limit(const struct seats *s)
{
    uint64_t taken = 0;
    list_each (link, &s->all)
        taken += session_settings(container_of(link, struct seat, place)->session)->receive_limit;
    return RECEIVE_LIMIT_LEAST +
           (uint32_t)budget_share(RECEIVE_LIMIT_ALL, RECEIVE_LIMIT_LEAST, taken, s->count);
}

bool budget_ring_may_grow(const struct seats *s, const struct session *session, size_t more)
{
    uint64_t taken = 0;
    list_each (link, &s->all)
        taken += session_ring_bytes(container_of(link, struct seat, place)->session);
    return more <=
           budget_share(RING_LIMIT_ALL, session_settings(session)->ring_bytes, taken, s->count);
}
