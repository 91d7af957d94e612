/* The user and the group that a process started by root becomes. */
#ifndef SPX_GUARD_USER_H
#define SPX_GUARD_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define GUARD_NO_ID UINT32_MAX

struct guard_user {
    const char *section;    /* "Relay", for messages */
    const char *user;       /* name or number; NULL: it stays who it is */
    const char *group;      /* name or number; NULL: the user's own */
    const char *more_group; /* which it is in besides, if it may say so; or NULL */
};

/* Becomes them; keeps the capabilities, to be given up by capabilities_drop. To be called while
 * there is one thread. Without a user root stays root, which the log is told. False with
 * FAILURE_CONFIG: there is no such user or group, or the process is neither root nor the user. */
bool guard_user_become(const struct guard_user *u, struct error *e);

/* The number of a user or a group of this system, by its name or number. False: there is none of
 * this name. */
bool guard_find_user(const char *user, uint32_t *uid);
bool guard_find_group(const char *group, uint32_t *gid);

#endif
