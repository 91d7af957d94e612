/* CONNECT of a client (docs/PROTOCOL.md section 4). */
#ifndef SPX_RELAY_CONNECT_H
#define SPX_RELAY_CONNECT_H

#include "base/bytes.h"

struct peer;

/* CONNECT came: within the policy and the limits it goes its way to the agent. Returns as a hop's
 * on_message does. */
bool connect_read(struct peer *client, struct view body);

#endif
