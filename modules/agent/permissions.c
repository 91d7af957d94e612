/* Copies and compares a user's permissions. They are enforced in agent/access.c. */
#include "agent/permissions.h"

#include <stdlib.h>
#include <string.h>

static struct target_pattern *copy_patterns(const struct target_pattern *patterns, size_t count)
{
    struct target_pattern *copy = calloc(count ? count : 1, sizeof *copy);
    if (copy && count)
        memcpy(copy, patterns, count * sizeof *copy);
    return copy;
}

bool permissions_copy(struct permissions *p, const struct agent_user *user)
{
    p->allow = copy_patterns(user->allow, user->allow_count);
    p->listen = copy_patterns(user->listen, user->listen_count);
    p->allow_count = user->allow_count;
    p->listen_count = user->listen_count;
    p->listeners = user->listeners;
    return p->allow && p->listen;
}

void permissions_free(struct permissions *p)
{
    free(p->allow);
    free(p->listen);
}

static bool same_patterns(const struct target_pattern *a, size_t a_count,
                          const struct target_pattern *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!target_pattern_same(&a[i], &b[i]))
            return false;
    return true;
}

bool permissions_same(const struct permissions *p, const struct agent_user *user)
{
    return same_patterns(p->allow, p->allow_count, user->allow, user->allow_count) &&
           same_patterns(p->listen, p->listen_count, user->listen, user->listen_count) &&
           p->listeners == user->listeners;
}
