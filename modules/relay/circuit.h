/* Two sockets joined into one byte pipe, forwarded unread (docs/PROTOCOL.md section 4,
 * cut-through). */
#ifndef SPX_RELAY_CIRCUIT_H
#define SPX_RELAY_CIRCUIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fifo.h"
#include "base/list.h"
#include "net/loop.h"
#include "net/splice.h"
#include "relay/pending.h"

struct worker;

enum circuit_side { SIDE_CLIENT, SIDE_AGENT };

/* From one side to the other. */
struct direction {
    struct splice splice;
    uint64_t bytes; /* delivered */
    uint64_t owed;  /* of them so many at first are the hop's own */
    bool ended;     /* the source has ended and all is delivered, or the sink takes nothing more */
};

/* Made and freed by the desk, between which a worker moves its bytes. Invariants: 1. while `call`
 * is posted, or the worker has it, nobody else touches what stands under "the worker's". 2. it is
 * freed when the worker has said that it is done with it, by a call to the desk. */
struct relay_circuit {
    /* The desk's. */
    struct relay *relay;
    struct known_user *user; /* NULL, like agent and pair, once it was told to end */
    struct known_agent *agent;
    struct pair *pair;
    struct list of_pair;
    struct list all;
    struct worker *worker;
    char label[CIRCUIT_LABEL_BYTES];
    const char *_Atomic told_to_end; /* why; NULL: it goes on */
    struct loop_call call;           /* to the worker at the join, to the desk at the end */
    /* The worker's. */
    struct list of_worker;
    struct io io[2];               /* by side */
    struct direction direction[2]; /* by the side it comes from */
    struct timer timer;
    uint64_t started_us, last_us;
    uint64_t drain_until_us;       /* CLOCK_NEVER: both directions go on */
    enum circuit_side first_ended; /* otherwise */
    struct deferred deferred;      /* the desk is told after the round */
};

/* What is joined: by side, the descriptor, and the bytes to send to it first. */
struct circuit_parts {
    int fd[2];
    struct fifo first[2]; /* the hop's own last records */
    struct view then[2];  /* the circuit's bytes that came with the other side's last record */
};

/* Joins; takes over the descriptors and empties the fifos, also on failure (which is logged). */
void relay_circuit_join(const struct pending *p, struct circuit_parts *parts);

/* Has both sockets closed soon, if they are not yet; why, a text that stays, is for the log. */
void relay_circuit_end(struct relay_circuit *c, const char *why);

/* Ends every circuit of the worker that was told to end. In the worker's thread. */
void relay_circuits_end_told(struct worker *w);

#endif
