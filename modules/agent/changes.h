/* The changes that a reload makes to an agent's configuration, for the log and the
 * audit. */
#ifndef SPX_AGENT_CHANGES_H
#define SPX_AGENT_CHANGES_H

#include "config/config.h"

struct audit;

/* A line for each user, relay, authority and permission that is only in one of them. */
void changes_log(struct audit *audit, const struct agent_config *old,
                 const struct agent_config *fresh);

/* True if the user with this key is in both, and has the same name, permissions and rules there. */
bool changes_same_user(const struct agent_config *a, const struct agent_config *b,
                       const uint8_t key[KEY_BYTES]);

/* True if both are the same relay, reached in the same way. */
bool changes_same_relay(const struct agent_relay *a, const struct agent_relay *b);

#endif
