/* The targets and listeners that a session reaches, by the permissions that its user has. */
#ifndef SPX_AGENT_ACCESS_H
#define SPX_AGENT_ACCESS_H

#include "agent/permissions.h"
#include "agent/state.h"
#include "crypto/circuit_label.h"
#include "forward/remote_listener.h"
#include "forward/target.h"

struct access {
    struct agent *owner;
    struct permissions permissions;
    struct targets *targets;
    struct remote_listeners *listeners;
    struct statement *statement; /* the answer to a question, until it is said; or NULL */
    char user[USER_TEXT_BYTES], agent[NAME_TEXT_BYTES], circuit[CIRCUIT_LABEL_BYTES];
    struct log_fields fields; /* with those, for every line */
};

/* False without memory. turns: of the user, for access_update. label: of the session's circuit, for
 * the log. a and turns outlive it, and x stays where it is. */
bool access_init(struct access *x, struct agent *a, struct turns *turns,
                 const struct agent_user *user, const char *label);

/* The user's permissions may have changed: what they no longer allow ends soon, and nothing else.
 * False without memory: they are as they were. */
bool access_update(struct access *x, const struct agent_user *user);

/* After the session's streams have ended. */
void access_free(struct access *x);

/* For session_events.on_open: a target, or a question. */
void access_open(struct access *x, struct stream *stream, struct view target);

/* The calls for help are on disk as they are now: answers that waited for it are given. */
void access_calls_stored(struct access *x);

/* The session has moved to another circuit. */
void access_set_label(struct access *x, const char *label);

#endif
