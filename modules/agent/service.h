/* The sessions that the agent serves, each from its first OFFER to its end, over one circuit after
 * another. */
#ifndef SPX_AGENT_SERVICE_H
#define SPX_AGENT_SERVICE_H

#include "agent/attachment.h"
#include "agent/state.h"

/* An authentic session message 1. */
struct admission {
    const uint8_t *user_key;  /* that it proves */
    const uint8_t *relay_key; /* that it came through */
    const struct session_hello *hello;
    const struct attempt *earlier; /* NULL: it was not admitted before */
    const char *label;             /* of its circuit */
};

/* A circuit for the session that an authentic session message 1 asks for, new or resumed, within
 * the limits (docs/PROTOCOL.md sections 5 and 6); the caller gives it its carrier. Without a user
 * with this key in the configuration there is no session, whatever a policy has said. NULL: no says
 * why. */
struct attachment *service_admit(struct agent *a, const struct admission *in,
                                 struct wire_error *no);

/* True if the session of an earlier message 1 still waits for a START that it may bring. */
bool service_awaits(struct agent *a, const struct attempt *earlier);

/* Ends what the configuration as it is now no longer allows: sessions, or of a session the streams
 * and listeners that its user may have no longer. */
void service_check_all(struct agent *a);

/* The calls for help are on disk, as users who have taken one may hear now. */
void service_calls_stored(struct agent *a);

/* Logs a line for each session that has started. */
void service_log_all(const struct agent *a);

/* Sends CLOSE on every session. */
void service_close_all(struct agent *a, enum code code, const char *text);

/* Ends all sessions at once, and forgets those that have ended. */
void service_end_all(struct agent *a);

#endif
