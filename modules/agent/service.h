/* The sessions that the agent serves, each from its first OFFER to its end, over one circuit after
 * another. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/attachment.h"
#include "agent/state.h"

/* A circuit for the session that an authentic session message 1 asks for, new or resumed, within
 * the limits (docs/PROTOCOL.md sections 5 and 6); the caller gives it its carrier. key: the one
 * proven; without a user with this key in the configuration there is no session, whatever a policy
 * has said. NULL: no says why. */
struct attachment *service_admit(struct agent *a, const uint8_t key[KEY_BYTES],
                                 const struct session_hello *hello, const char *label,
                                 struct wire_error *no);

/* Closes every session that the configuration as it is now no longer allows. */
void service_check_all(struct agent *a);

/* Sends CLOSE on every session. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends all sessions at once, and forgets those that have ended. */
void service_end_all(struct agent *a);

#endif
