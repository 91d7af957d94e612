/* Approvals that cover a user's key for a time: whoever proves it need not ask, as the same user:
 * of one by a permit the name tells which permit that is. They are in memory alone, so a restart
 * ends them. Does no I/O. */
#ifndef SPX_AGENT_APPROVALS_H
#define SPX_AGENT_APPROVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "crypto/primitives.h"

#define APPROVALS_MAX 64
#define APPROVAL_MAX_S 2678400 /* 31 days */
#define APPROVAL_BY_BYTES 64

struct approval {
    uint32_t number; /* of the request that it was given to */
    uint8_t user_key[KEY_BYTES];
    char user[USER_TEXT_BYTES];
    uint64_t begun_us, until_us; /* by the boot clock */
    unsigned uses;               /* sessions begun by it since */
    char by[APPROVAL_BY_BYTES];  /* who gave it */
};

/* In the order of their numbers, at most one for a key and user. Zeroed: none. */
struct approvals {
    struct approval all[APPROVALS_MAX];
    size_t count;
};

/* One more, in place of that user's earlier one. False: there are APPROVALS_MAX of others. */
bool approvals_add(struct approvals *a, uint32_t number, const uint8_t user_key[KEY_BYTES],
                   const char *user, const char *by, uint64_t now_us, uint32_t for_s);

/* The one that covers this user's key now; NULL: none. Valid until the next call that adds or ends.
 */
struct approval *approvals_of(struct approvals *a, const uint8_t user_key[KEY_BYTES],
                              const char *user, uint64_t now_us);

/* The first whose number is above `after`, as it stands now; NULL: none. */
const struct approval *approvals_next(const struct approvals *a, uint32_t after, uint64_t now_us);

/* Ends the one with this number. False: there is none. */
bool approvals_end(struct approvals *a, uint32_t number, uint64_t now_us);

#endif
