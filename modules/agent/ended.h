/* Sessions that have ended lately, and why: a client that comes back hears it. */
#ifndef SPX_AGENT_ENDED_H
#define SPX_AGENT_ENDED_H

#include "base/list.h"
#include "crypto/primitives.h"
#include "wire/limits.h"

/* `all` is the list of them, in the order in which they ended. Each is kept for ENDED_KEPT_S, the
 * last 256 at most. */

/* Left out without memory. */
void ended_remember(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                    const uint8_t user_key[KEY_BYTES], const char *why, uint64_t now_us);

/* Why the user's session of this id has ended; NULL: that is not known. Valid until the next call.
 */
const char *ended_why(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                      const uint8_t user_key[KEY_BYTES], uint64_t now_us);

void ended_free(struct list *all);

#endif
