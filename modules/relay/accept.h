/* Listening, accepting, and the limits on connections that have proven nothing (docs/PROTOCOL.md
 * section 6). */
#ifndef SPX_RELAY_ACCEPT_H
#define SPX_RELAY_ACCEPT_H

#include "base/error.h"
#include "hop/crowd.h"
#include "net/door.h"

struct relay;
struct peer;

struct acceptor {
    struct crowd crowd;
    struct door *doors; /* one for each address that is listened on */
    size_t door_count;
    uint64_t shortage_us; /* when a shortage was last logged; 0: never */
};

void acceptor_init(struct relay *r);

/* Listens on every address of the configuration. False: e says on which not, and why; acceptor_stop
 * all the same. */
bool acceptor_start(struct relay *r, struct error *e);

/* Closes the doors. */
void acceptor_stop(struct relay *r);

/* Once every peer has gone. */
void acceptor_free(struct relay *r);

/* A silent peer has sent a valid first message: it is counted as a handshake, and another may go
 * for it. */
void acceptor_handshake(struct relay *r, struct peer *peer);

/* It was not authentic: the peer is counted as a silent one again, and another may go for it. */
void acceptor_not_authentic(struct relay *r, struct peer *peer);

#endif
