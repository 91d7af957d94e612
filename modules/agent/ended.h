/* Sessions that ended recently, and why: for the answer to a client that resumes one. */
#ifndef SPX_AGENT_ENDED_H
#define SPX_AGENT_ENDED_H

#include "base/list.h"
#include "crypto/primitives.h"
#include "wire/limits.h"
#include "wire/wire_error.h"

/* `all` is the list of them, in the order in which they ended. Each is kept for ENDED_KEPT_S, the
 * last 256 at most. */

/* code: for the answer. Does nothing without memory. */
void ended_remember(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                    const uint8_t user_key[KEY_BYTES], enum code code, const char *why,
                    uint64_t now_us);

/* The reason why the user's session with this id ended; NULL: not known. Valid until the next call.
 */
const struct wire_error *ended_why(struct list *all, const uint8_t id[SESSION_ID_BYTES],
                                   const uint8_t user_key[KEY_BYTES], uint64_t now_us);

/* Forgets and frees all; the list is empty then. */
void ended_free(struct list *all);

#endif
