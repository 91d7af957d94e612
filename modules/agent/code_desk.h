/* The agent's emergency codes (emergency.h) in its state directory: made, listed and taken. A new
 * list, and that a code was taken, count once they are on disk. */
#ifndef SPX_AGENT_CODE_DESK_H
#define SPX_AGENT_CODE_DESK_H

#include "agent/emergency.h"
#include "agent/state.h"

struct code_desk;
struct control_request;

/* The list that is kept there. NULL directory: there is none, and none can be made. A file that
 * cannot be understood is none, which the log tells. NULL without memory or descriptors. */
struct code_desk *code_desk_new(struct agent *a, const char *directory);

/* Once what has changed is on disk. NULL is harmless. */
void code_desk_free(struct code_desk *d);

/* Each answers the request: with a new list of count (at most EMERGENCY_CODES_MAX) codes in place
 * of the one before, or with what is left of it. */
void code_desk_make(struct code_desk *d, struct control_request *r, size_t count);
void code_desk_list(const struct code_desk *d, struct control_request *r);

/* Takes a code as this user typed it for the request of this number, which is approved when that is
 * on disk, as approval_desk.h does it, or ended if it cannot be. Returns the code's number; 0: e
 * says why not. */
unsigned code_desk_take(struct code_desk *d, const char *typed, const struct agent_user *user,
                        uint32_t request, struct error *e);

/* How many are left. */
size_t code_desk_left(const struct code_desk *d);

#endif
