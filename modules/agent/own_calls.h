/* The agent's calls for help: what stands, and that it is on disk before anybody is told. The agent
 * owns them; relays learn them from it (agent/uplink.h). */
#ifndef SPX_AGENT_OWN_CALLS_H
#define SPX_AGENT_OWN_CALLS_H

#include "agent/standing.h"
#include "agent/state.h"

struct own_calls;

/* directory: where the state file is, read now; NULL: the calls end with the process. A file that
 * cannot be understood is moved aside, which is logged. NULL: e says why. */
struct own_calls *own_calls_new(struct agent *a, const char *directory, struct error *e);

/* Once what has changed is on disk. NULL is harmless. */
void own_calls_free(struct own_calls *c);

/* Those that stand, as long as nothing changes; not the caller's to free. */
const struct standing *own_calls_standing(const struct own_calls *c);

/* Counts the changes, from 1. */
uint32_t own_calls_revision(const struct own_calls *c);

/* True while the last change is not on disk yet: agent->on_calls_stored follows. */
bool own_calls_is_storing(const struct own_calls *c);

/* Why the last change could not be saved; NULL: it is on disk, or there is no directory. */
const char *own_calls_unsaved(const struct own_calls *c);

/* Each tells in words what became of it, and changes what stands; false: it is refused.
 * on_calls_stored follows a change, never inside the call when there is a directory. */
#define CALL_WORDS_BYTES 128
bool own_calls_add(struct own_calls *c, uint8_t severity, const char *text,
                   char words[CALL_WORDS_BYTES]);
bool own_calls_end(struct own_calls *c, uint32_t number, char words[CALL_WORDS_BYTES]); /* 0: all */

/* A user takes the call of this number, or with 0 all that nobody has taken: the answer to
 * QUESTION_TAKE (forward/statement.h), a line for each, allocated. NULL without memory. */
char *own_calls_take(struct own_calls *c, uint32_t number, const char *user);

#endif
