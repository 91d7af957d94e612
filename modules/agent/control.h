/* The running agent's control socket: what its owner may ask of it, and order. */
#ifndef SPX_AGENT_CONTROL_H
#define SPX_AGENT_CONTROL_H

#include "agent/state.h"
#include "base/error.h"

struct agent_control;

#define UNLOCK_MAX_S 31622400 /* a year */

/* Listens on the configured path. NULL: e says why. */
struct agent_control *agent_control_new(struct agent *a, struct error *e);

/* Once all sessions have ended: who watches hears of that. NULL is harmless. */
void agent_control_free(struct agent_control *c);

/* True if this path leads to the socket. NULL: there is none. */
bool agent_control_is(const struct agent_control *c, const char *path);

#endif
