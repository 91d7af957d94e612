/* The addresses that the relay listens on. */
#ifndef SPX_RELAY_ACCEPT_H
#define SPX_RELAY_ACCEPT_H

#include "base/error.h"
#include "net/door.h"

struct relay;

struct acceptor {
    struct relay *relay;
    struct door *doors; /* one for each address that is listened on */
    size_t door_count;
    uint64_t shortage_us; /* when a shortage was last logged; 0: never */
};

/* Listens on every address of the configuration. False: e says on which not, and why; acceptor_stop
 * and acceptor_free all the same. */
bool acceptor_start(struct acceptor *a, struct relay *r, struct error *e);

/* Closes the doors. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

#endif
