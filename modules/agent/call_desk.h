/* Calls for help as the storage system makes them, by a request to the control socket, and the
 * commands that wait to hear what became of theirs. */
#ifndef SPX_AGENT_CALL_DESK_H
#define SPX_AGENT_CALL_DESK_H

#include "agent/state.h"

struct call_desk;
struct control_request;

/* NULL without memory. */
struct call_desk *call_desk_new(struct agent *a);

/* Tells commands that wait that the agent is ending. NULL is harmless. */
void call_desk_free(struct call_desk *d);

/* Takes a call: its members are severity and text, or severity 0 and number, for the end of one, or
 * of all. The answer says whether a relay has heard it, or waits a little for that. */
void call_desk_take(struct call_desk *d, struct control_request *r);

/* The calls are on disk, or a relay has heard them, or came or went: answers commands that wait.
 * NULL is harmless. */
void call_desk_check(struct call_desk *d);

#endif
