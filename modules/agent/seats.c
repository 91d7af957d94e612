/* Limits on the number of sessions, and which one ends for another. It ends none itself. */
#include "agent/seats.h"

#include <string.h>

void seats_init(struct seats *s)
{
    list_init(&s->all);
    list_init(&s->unstarted);
    list_init(&s->asking);
    s->count = 0;
}

void seats_take(struct seats *s, struct seat *seat, const struct session *session,
                const uint8_t user_key[KEY_BYTES], const uint8_t relay_key[KEY_BYTES])
{
    *seat = (struct seat){.session = session};
    memcpy(seat->user_key, user_key, KEY_BYTES);
    memcpy(seat->relay_key, relay_key, KEY_BYTES);
    list_append(&s->unstarted, &seat->place);
}

void seats_leave(struct seats *s, struct seat *seat)
{
    list_remove(&seat->place);
    s->count -= seat->started && !seat->asks;
}

void seats_start(struct seats *s, struct seat *seat)
{
    if (seat->started && !seat->asks)
        return;
    list_move(&s->all, &seat->place);
    seat->started = true;
    seat->asks = false;
    s->count++;
}

void seats_ask(struct seats *s, struct seat *seat)
{
    list_move(&s->asking, &seat->place);
    seat->started = seat->asks = true;
}

bool seats_are_empty(const struct seats *s)
{
    return list_empty(&s->all) && list_empty(&s->unstarted) && list_empty(&s->asking);
}

static bool any(const struct seat *seat)
{
    (void)seat;
    return true;
}

static bool has_circuit(const struct seat *seat)
{
    return !seat->waiting_since_us;
}

static unsigned count(const struct seats *s, const uint8_t user_key[KEY_BYTES],
                      bool (*counts)(const struct seat *seat))
{
    unsigned n = 0;
    list_each (link, &s->all) {
        const struct seat *seat = container_of(link, struct seat, place);
        n += memcmp(seat->user_key, user_key, KEY_BYTES) == 0 && counts(seat);
    }
    return n;
}

struct seat *seats_longest_waiting(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    struct seat *longest = NULL;
    list_each (link, &s->all) {
        struct seat *seat = container_of(link, struct seat, place);
        if (seat->waiting_since_us && memcmp(seat->user_key, user_key, KEY_BYTES) == 0 &&
            (!longest || seat->waiting_since_us < longest->waiting_since_us))
            longest = seat;
    }
    return longest;
}

struct seat *seats_in_the_way(const struct seats *s, const uint8_t relay_key[KEY_BYTES])
{
    struct seat *oldest = NULL;
    unsigned n = 0;
    list_each (link, &s->unstarted) {
        struct seat *seat = container_of(link, struct seat, place);
        if (memcmp(seat->relay_key, relay_key, KEY_BYTES) != 0)
            continue;
        oldest = oldest ? oldest : seat;
        n++;
    }
    return n < SESSIONS_NOT_STARTED_PER_RELAY ? NULL : oldest;
}

bool seats_has_room(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return s->count < SESSIONS_PER_AGENT && count(s, user_key, has_circuit) < SESSIONS_PER_USER;
}

unsigned seats_of_user(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return count(s, user_key, any);
}

bool seats_too_many(const struct seats *s, const uint8_t user_key[KEY_BYTES])
{
    return s->count > SESSIONS_PER_AGENT || seats_of_user(s, user_key) > SESSIONS_PER_USER;
}
