/* The agent's calls for help: what stands, and that it is on disk before anybody is told. The agent
 * owns them; relays learn them from it (agent/uplink.h). */
#ifndef SPX_AGENT_HELP_H
#define SPX_AGENT_HELP_H

#include "agent/standing.h"
#include "agent/state.h"

struct help;

/* directory: where the state file is, read now; NULL: the calls end with the process. A file that
 * cannot be understood is moved aside, which is logged. NULL: e says why. */
struct help *help_new(struct agent *a, const char *directory, struct error *e);

/* Once what has changed is on disk. NULL is harmless. */
void help_free(struct help *h);

const struct standing *help_standing(const struct help *h);

/* Counts the changes, from 1. */
uint32_t help_revision(const struct help *h);

/* True while the last change is not on disk yet: agent->on_calls_stored follows. */
bool help_is_storing(const struct help *h);

/* Why the last change could not be saved; NULL: it is on disk, or there is no directory. */
const char *help_unsaved(const struct help *h);

/* Each tells in words what became of it, and changes what stands; false: it is refused.
 * on_calls_stored follows a change, never inside the call when there is a directory. */
#define HELP_WORDS_BYTES 128
bool help_call(struct help *h, uint8_t severity, const char *text, char words[HELP_WORDS_BYTES]);
bool help_end(struct help *h, uint32_t number, char words[HELP_WORDS_BYTES]); /* 0: all */

/* A user takes the call of this number, or with 0 all that nobody has taken: the answer to
 * QUESTION_TAKE (forward/statement.h), a line for each, allocated. NULL without memory. */
char *help_take(struct help *h, uint32_t number, const char *user);

#endif
