/* Shares of memory. It holds none itself. */
#include "agent/budget.h"

#include "session/session.h"

#define RECEIVE_LIMIT_LEAST (1U << 20)

uint64_t budget_share(uint64_t all, uint64_t floor, uint64_t taken, unsigned sessions)
{
    uint64_t kept = (SESSIONS_PER_AGENT - sessions) * floor;
    return taken + kept < all ? (all - taken - kept) / 3 : 0;
}

/* A session's use, at least the memory that is kept for it. */
static uint64_t windows_of(const struct session *session)
{
    uint64_t bytes = session_window_bytes(session);
    return bytes < RECEIVE_LIMIT_LEAST ? RECEIVE_LIMIT_LEAST : bytes;
}

static uint64_t windows_of_all(const struct seats *s)
{
    uint64_t taken = 0;
    list_each (link, &s->all)
        taken += windows_of(container_of(link, struct seat, place)->session);
    return taken;
}

/* Sessions in use; more than there may be are being closed. */
static unsigned places_taken(const struct seats *s)
{
    return s->count < SESSIONS_PER_AGENT ? s->count : SESSIONS_PER_AGENT;
}

static uint64_t windows_share(const struct seats *s)
{
    return budget_share(RECEIVE_LIMIT_ALL, RECEIVE_LIMIT_LEAST, windows_of_all(s), places_taken(s));
}

uint32_t budget_receive_limit(const struct seats *s)
{
    return RECEIVE_LIMIT_LEAST + (uint32_t)windows_share(s);
}

bool budget_windows_may_grow(const struct seats *s, const struct session *session, uint32_t more)
{
    return session_window_bytes(session) + (uint64_t)more <= RECEIVE_LIMIT_LEAST ||
           more <= windows_share(s);
}

/* With the floors of so many that may still begin. */
static bool fit(uint64_t windows, unsigned places)
{
    return windows + (uint64_t)places * RECEIVE_LIMIT_LEAST <= RECEIVE_LIMIT_ALL;
}

bool budget_has_room(const struct seats *s)
{
    return fit(windows_of_all(s), SESSIONS_PER_AGENT - places_taken(s));
}

bool budget_has_room_for(const struct seats *s, const struct session *session)
{
    unsigned taken = places_taken(s);
    return taken < SESSIONS_PER_AGENT &&
           fit(windows_of_all(s) + windows_of(session), SESSIONS_PER_AGENT - taken - 1);
}

bool budget_ring_may_grow(const struct seats *s, const struct session *session, size_t more)
{
    uint64_t taken = 0;
    list_each (link, &s->all)
        taken += session_ring_bytes(container_of(link, struct seat, place)->session);
    return more <= budget_share(RING_LIMIT_ALL, session_settings(session)->ring_bytes, taken,
                                places_taken(s));
}
