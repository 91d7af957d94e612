/* Limits on the number of sessions, and which one ends for another. It ends none itself. */
#include "agent/seats.h"

#include <string.h>

void seats_init(struct seats *s)
{
    list_init(&s->all);
    s->count = 0;
}

void seats_take(struct seats *s, struct seat *seat, const struct session *session,
                const uint8_t user_key[KEY_BYTES])
{
    *seat = (struct seat){.session = session};
    memcpy(seat->user_key, user_key, KEY_BYTES);
    list_append(&s->all, &seat->place);
    s->count++;
}

void seats_leave(struct seats *s, struct seat *seat)
{
    list_remove(&seat->place);
    s->count--;
}

static bool is_of(const struct seat *seat, const uint8_t user_key[KEY_BYTES])
{
    return memcmp(seat->user_key, user_key, KEY_BYTES) == 0;
}

static bool any(const struct seat *seat)
{
    (void)seat;
    return true;
}

static bool has_started(const struct seat *seat)
{
    return seat->started;
}

static bool is_unstarted_orphan(const struct seat *seat)
{
    return seat->waiting_since_us && !seat->started;
}

static bool is_no_orphan(const struct seat *seat)
{
    return !seat->waiting_since_us;
}

static unsigned count(const struct seats *s, const uint8_t user_key[KEY_BYTES],
                      bool (*counts)(const struct seat *seat))
{
    unsigned n = 0;
    list_each (link, &s->all) {
        const struct seat *seat = container_of(link, struct seat, place);
        n += is_of(seat, user_key) && counts(seat);
    }
    return n;
}

struct seat *seats_longest_waiting(const struct seats *s, const uint8_t user_key[KEY_BYTES],
                                   bool started)
{
    struct seat *longest = NULL;
    list_each (link, &s->all) {
        struct seat *seat = container_of(link, struct seat, place);
        if (seat->waiting_since_us && seat->started == started && is_of(seat, user_key) &&
            (!longest || seat->waiting_since_us < longest->waiting_since_us))
            longest = seat;
    }
    return longest;
}

struct seat *seats_in_the_way(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    if (s->count < SESSIONS_PER_AGENT && count(s, user_key, any) < SESSIONS_PER_USER)
        return NULL;
    return seats_longest_waiting(s, user_key, false);
}

bool seats_has_room(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return s->count < SESSIONS_PER_AGENT && count(s, user_key, is_no_orphan) < SESSIONS_PER_USER;
}

bool seats_too_many_started(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return count(s, user_key, has_started) > SESSIONS_PER_USER;
}

bool seats_too_many_unstarted(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return count(s, user_key, is_unstarted_orphan) > SESSIONS_NOT_STARTED_PER_USER;
}
