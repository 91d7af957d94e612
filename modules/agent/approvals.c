/* A short sorted table; those whose time is over go whenever it is changed. */
#include "agent/approvals.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void remove_at(struct approvals *a, size_t i)
{
    a->count--;
    memmove(&a->all[i], &a->all[i + 1], (a->count - i) * sizeof a->all[0]);
}

static void forget_old(struct approvals *a, uint64_t now_us)
{
    for (size_t i = a->count; i-- > 0;)
        if (a->all[i].until_us <= now_us)
            remove_at(a, i);
}

struct approval *approvals_of(struct approvals *a, const uint8_t user_key[KEY_BYTES],
                              const char *user, uint64_t now_us)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->all[i].until_us > now_us && memcmp(a->all[i].user_key, user_key, KEY_BYTES) == 0 &&
            strcmp(a->all[i].user, user) == 0)
            return &a->all[i];
    return NULL;
}

bool approvals_end(struct approvals *a, uint32_t number, uint64_t now_us)
{
    forget_old(a, now_us);
    for (size_t i = 0; i < a->count; i++) {
        if (a->all[i].number != number)
            continue;
        remove_at(a, i);
        return true;
    }
    return false;
}

bool approvals_add(struct approvals *a, uint32_t number, const uint8_t user_key[KEY_BYTES],
                   const char *user, const char *by, uint64_t now_us, uint32_t for_s)
{
    const struct approval *earlier;
    size_t i;
    forget_old(a, now_us);
    earlier = approvals_of(a, user_key, user, now_us);
    if (earlier)
        remove_at(a, (size_t)(earlier - a->all));
    if (a->count == APPROVALS_MAX)
        return false;
    for (i = a->count; i > 0 && a->all[i - 1].number > number; i--)
        a->all[i] = a->all[i - 1];
    a->all[i] = (struct approval){
        .number = number, .begun_us = now_us, .until_us = now_us + for_s * CLOCK_US_PER_S};
    memcpy(a->all[i].user_key, user_key, KEY_BYTES);
    snprintf(a->all[i].user, sizeof a->all[i].user, "%s", user);
    snprintf(a->all[i].by, sizeof a->all[i].by, "%s", by);
    a->count++;
    return true;
}

const struct approval *approvals_next(const struct approvals *a, uint32_t after, uint64_t now_us)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->all[i].number > after && a->all[i].until_us > now_us)
            return &a->all[i];
    return NULL;
}
