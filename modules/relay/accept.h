/* The addresses that the relay listens on. */
#ifndef SPX_RELAY_ACCEPT_H
#define SPX_RELAY_ACCEPT_H

#include "base/error.h"
#include "net/carriers.h"

struct relay;

struct acceptor {
    struct relay *relay;
    struct carrier_doors doors;
    uint64_t shortage_us; /* when a shortage was last logged; 0: never */
};

/* Listens on every address of the configuration; what comes waits. False: e says on which not, and
 * why. */
bool acceptor_open(struct acceptor *a, struct relay *r, struct error *e);

/* Takes what comes, and says in the log where. */
void acceptor_start(struct acceptor *a);

/* Listens no more. Harmless when it does not. */
void acceptor_stop(struct acceptor *a);

#endif
