/* The relay's policy for people, in `spx relay --check`. */
#ifndef SPX_RELAY_SHOW_H
#define SPX_RELAY_SHOW_H

#include "config/config.h"

/* Prints, to standard output, each user's key and a line for each of its permissions, with the
 * number of agents that it is for; warns of those that are for none. */
void show_users(const struct relay_config *c);

#endif
