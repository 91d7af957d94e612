/* An agent's policy for people, in `spx agent --check`. */
#ifndef SPX_AGENT_SHOW_H
#define SPX_AGENT_SHOW_H

#include "config/config.h"

/* Prints, to standard output, the relays' and users' keys, a line for each permission and rule of
 * each user, and what the rules say now; warns of permissions that are unusually wide, and if there
 * is no user. */
void show_policy(const struct agent_config *c);

/* Warns of directories and lists of revocations that are not there, or closed to this process. */
void show_places(const struct agent_config *c);

#endif
