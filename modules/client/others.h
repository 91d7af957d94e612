/* The other relays, asked about an agent while it is waited for at one. */
#ifndef SPX_CLIENT_OTHERS_H
#define SPX_CLIENT_OTHERS_H

#include "config/config.h"
#include "hop/hop.h"
#include "net/loop.h"

struct survey;

/* Zeroed but for what the owner sets: nobody is asked. */
struct others {
    struct loop *loop;                  /* this and the next five are the owner's */
    const struct client_config *config; /* of the relays */
    const struct hop_party *party;
    const char *agent;
    /* The agent is online at this relay. Called from the loop; may call others_leave. */
    void (*found)(void *arg, size_t relay);
    void *arg;
    struct survey *survey; /* NULL: nobody is asked */
    size_t found_at;
    struct deferred tell;
};

/* Asks all but the one where it is waited for, until others_leave; asked again it does nothing.
 * Without memory none is asked. */
void others_ask(struct others *o, size_t waited_at);

/* Harmless when nobody is asked. */
void others_leave(struct others *o);

#endif
