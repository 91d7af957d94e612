/* The permissions of a session's user, a copy of the configuration's. */
#ifndef SPX_AGENT_PERMISSIONS_H
#define SPX_AGENT_PERMISSIONS_H

#include "config/config.h"

struct permissions {
    struct target_pattern *allow, *listen;
    size_t allow_count, listen_count;
    uint16_t listeners;
};

/* A copy of its own. False without memory; permissions_free all the same. */
bool permissions_copy(struct permissions *p, const struct agent_user *user);

/* Frees what permissions_copy has allocated; the struct is the caller's. */
void permissions_free(struct permissions *p);

/* True if the user may now what this copy has, no less and no more. */
bool permissions_same(const struct permissions *p, const struct agent_user *user);

#endif
