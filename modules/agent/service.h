/* The sessions the agent serves, each from its first OFFER to its end, over one circuit after the
 * other. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/attachment.h"
#include "agent/state.h"

/* A circuit for the session that an authentic session message 1 is for, new or resumed, within the
 * limits (docs/PROTOCOL.md sections 5 and 6): the caller's to give its socket to. key: the one it
 * proves; without a user of this key in the configuration there is no session, whatever a policy
 * has said. NULL: no says why not. */
struct attachment *service_admit(struct agent *a, const uint8_t key[KEY_BYTES],
                                 const struct session_hello *hello, const char *label,
                                 struct wire_error *no);

/* Holds every session against the configuration as it is now. */
void service_check_all(struct agent *a);

/* Owes every session a CLOSE. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends what is left, at once, and forgets what has ended. */
void service_end_all(struct agent *a);

#endif
