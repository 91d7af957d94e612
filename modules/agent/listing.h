/* Answers of the agent's control socket that are lists: made a few lines a turn, as they are read.
 */
#ifndef SPX_AGENT_LISTING_H
#define SPX_AGENT_LISTING_H

#include "agent/state.h"
#include "control/request.h"

/* The lines of `status`: the agent's own, one for each relay, one for each user. */
void listing_status(struct control_request *r, const struct agent *a, uint64_t started_us);

/* The lines of `sessions`: each session, and after it its streams. */
void listing_sessions(struct control_request *r, const struct agent *a);

/* The lines of `audit`: as many of its last entries, oldest first. */
void listing_audit(struct control_request *r, const struct agent *a, uint32_t last);

/* The lines of `requests`, without their codes, and of `approvals`. */
void listing_requests(struct control_request *r, const struct agent *a);
void listing_approvals(struct control_request *r, const struct agent *a);

#endif
