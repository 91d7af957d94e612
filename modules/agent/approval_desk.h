/* Decisions on sessions that ask for approval, as the agent's owner makes them. What permits waits
 * until it is in the audit on disk; what forbids acts at once and is written after. */
#ifndef SPX_AGENT_APPROVAL_DESK_H
#define SPX_AGENT_APPROVAL_DESK_H

#include "agent/state.h"

struct approval_desk;
struct control_request;

/* NULL without memory. */
struct approval_desk *approval_desk_new(struct agent *a);

/* When no request of the control socket's is left. NULL is harmless. */
void approval_desk_free(struct approval_desk *d);

/* Each answers the request. Approves the session that has this code, as a person types it; for_s:
 * and whatever its user's key asks for so long; 0: this session alone. */
void approval_desk_approve(struct approval_desk *d, struct control_request *r, const char *code,
                           uint32_t for_s);

/* Approves the session of this request without an order, as one that stands in its place says (by).
 * What is in the way the log tells. */
void approval_desk_approve_for(struct approval_desk *d, uint32_t number, const char *by);

/* Denies a request by its number. why: clean, or "". */
void approval_desk_deny(struct approval_desk *d, struct control_request *r, uint32_t number,
                        const char *why);

/* Ends the approval of this number; the sessions that have begun by it go on. */
void approval_desk_withdraw(struct approval_desk *d, struct control_request *r, uint32_t number);

/* Ends all approvals, as why says. */
void approval_desk_end_all(struct agent *a, const char *by, const char *why);

/* A reload: ends the approvals and requests of users for whom anything has changed. */
void approval_desk_end_changed(struct agent *a, const struct agent_config *old);

#endif
