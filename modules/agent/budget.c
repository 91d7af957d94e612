#include "agent/budget.h"

#include "wire/limits.h"

uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions)
{
    uint64_t kept = (SESSIONS_PER_AGENT - sessions) * floor;
    return taken + kept < all ? (all - taken - kept) / 3 : 0;
}
