/* The lock of the agent's owner: while it is on, nobody has a session. It is kept in the state
 * directory. Locking acts at once and is written after; unlocking waits until it is on disk. */
#ifndef SPX_AGENT_LOCK_H
#define SPX_AGENT_LOCK_H

#include "agent/state.h"
#include "base/error.h"

struct agent_lock;
struct control_request;

#define LOCK_WHY_MAX_BYTES 90 /* what a user reads of an end is at most 127 */

/* The state that is kept there, or at the first start the configuration's; NULL: there is no
 * directory. A file that cannot be understood, or was written later than the clock says, locks.
 * agent->is_locked follows it from now on. NULL without memory or descriptors. */
struct agent_lock *lock_new(struct agent *a, const char *directory);

/* Once what has changed is on disk. NULL is harmless. */
void lock_free(struct agent_lock *l);

/* Why it is locked; "": not said, or it is open. */
const char *lock_why(const struct agent_lock *l);

/* Open: for how long still; 0: without limit. */
uint64_t lock_left_s(const struct agent_lock *l);

/* Each answers the request when the state is on disk, or cannot be. why: clean, at most
 * LOCK_WHY_MAX_BYTES. for_s: it locks itself again after so long, by whichever clock is earlier; 0:
 * it stays open. */
void lock_close(struct agent_lock *l, struct control_request *r, const char *why);
void lock_open(struct agent_lock *l, struct control_request *r, uint32_t for_s);

#endif
