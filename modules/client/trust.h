/* The key of an agent as the engineer says: by the configuration, the file of known agents, or an
 * answer on the terminal. */
#ifndef SPX_CLIENT_TRUST_H
#define SPX_CLIENT_TRUST_H

#include "config/config.h"

/* The key configured or known for the agent. False with e->code 0: none is. */
bool trust_find(const struct client_config *c, const char *agent, uint8_t key[KEY_BYTES],
                struct error *e);

/* Asks on the terminal whether the key a relay lists is the agent's, and keeps it. Blocks until
 * answered; false: e says why not (no terminal, the answer was no, or the file cannot be written).
 */
bool trust_confirm(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                   struct error *e);

#endif
