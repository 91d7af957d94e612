/* The key of an agent as the engineer says: by the configuration, the file of known agents, or an
 * answer on the terminal. */
#ifndef SPX_CLIENT_TRUST_H
#define SPX_CLIENT_TRUST_H

#include "config/config.h"

/* A key, and the place where it stands. */
struct trusted_key {
    uint8_t key[KEY_BYTES];
    const char *file; /* the caller's config_path, or the configuration's known_agents */
    unsigned line;
    bool in_config;
};

/* The key configured or known for the agent. False with e->code 0: none is. */
bool trust_find(const struct client_config *c, const char *config_path, const char *agent,
                struct trusted_key *found, struct error *e);

/* Says how to mend another key that is listed: where the known one stands, and the command that
 * replaces it, or removes it so that the next connection asks. */
#define TRUST_REMEDY_BYTES 900
void trust_remedy(char out[TRUST_REMEDY_BYTES], const struct trusted_key *known,
                  const uint8_t listed[KEY_BYTES]);

/* Asks on the terminal whether the key a relay lists is the agent's, and keeps it. Blocks until
 * answered; false: e says why not (no terminal, the answer was no, or the file cannot be written).
 */
bool trust_confirm(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                   struct trusted_key *trusted, struct error *e);

/* The same where an authority of the configuration vouches for it: nobody is asked. */
void trust_vouched(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                   const char *authority, struct trusted_key *trusted);

#endif
