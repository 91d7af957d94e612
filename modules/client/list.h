/* `spx client list`, and asking a relay for one agent's key. */
#ifndef SPX_CLIENT_LIST_H
#define SPX_CLIENT_LIST_H

#include "config/config.h"
#include "hop/hop.h"

/* Prints the agents the user may reach, one a line; with watch goes on with changes until
 * interrupted. Tries the relays in order. */
enum failure list_agents(const struct client_config *config, const struct hop_party *party,
                         const char *query, bool watch);

/* The key that the first relay which answers lists for the agent. False: e says why. */
bool list_find_key(const struct client_config *config, const struct hop_party *party,
                   const char *agent, uint8_t key[KEY_BYTES], struct error *e);

#endif
