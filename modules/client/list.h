/* `spx client list`, and what else is asked of the relays' lists before a connection. */
#ifndef SPX_CLIENT_LIST_H
#define SPX_CLIENT_LIST_H

#include "config/config.h"
#include "hop/hop.h"

struct list_options {
    const char *query; /* the name of one agent, or words: without '=', '*', '?' a part of a name */
    bool watch;        /* go on with changes until interrupted */
    bool json;         /* an object a line */
    unsigned states;   /* a bit for each enum agent_state that is wanted; 0: all */
};

/* Prints the agents the user may reach, by name, as all relays together know them. */
enum failure list_agents(const struct client_config *config, const struct hop_party *party,
                         const struct list_options *options);

/* The key that the relays list for the agent; an error if they do not agree. False: e, which is
 * zeroed before, says why, and failure what that is to the caller. */
bool list_find_key(const struct client_config *config, const struct hop_party *party,
                   const char *agent, uint8_t key[KEY_BYTES], const char **authority,
                   enum failure *failure, struct wire_error *e);

/* The name of an agent that the user may reach and may have meant by this one. False: none, or the
 * name is one itself. */
bool list_nearest(const struct client_config *config, const struct hop_party *party,
                  const char *name, char out[NAME_TEXT_BYTES]);

#endif
