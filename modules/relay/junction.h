/* Two carriers joined: the relay's part of a circuit, whose bytes it forwards unread
 * (docs/PROTOCOL.md section 4, cut-through). */
#ifndef SPX_RELAY_JUNCTION_H
#define SPX_RELAY_JUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "crypto/primitives.h"
#include "net/loop.h"
#include "net/splice.h"
#include "relay/pending.h"

struct worker;

enum junction_side { SIDE_CLIENT, SIDE_AGENT };

/* From one side to the other. */
struct direction {
    struct splice splice;
    uint64_t bytes; /* of the circuit, delivered */
    bool ended;     /* the source has ended and all is delivered, or the sink takes nothing more */
};

/* Made and freed by the desk, between which a worker moves its bytes. Invariants: 1. while `call`
 * is posted, or the worker has it, nobody else touches what stands under "the worker's". 2. it is
 * freed when the worker has said that it is done with it, by a call to the desk. */
struct junction {
    /* The desk's. */
    struct relay *relay;
    struct known_user *user; /* NULL, like agent and pair, once it was told to end */
    struct known_agent *agent;
    struct pair *pair;
    uint8_t user_key[KEY_BYTES]; /* for the log, to the end */
    char user_name[NAME_MAX_BYTES + 1], agent_name[NAME_MAX_BYTES + 1]; /* as well */
    struct list of_pair;
    struct list all;
    struct worker *worker;
    char label[CIRCUIT_LABEL_BYTES], circuit[HASH_NAME_BYTES];
    const char *_Atomic told_to_end; /* why; NULL: it goes on */
    struct loop_call call;           /* to the worker at the join, to the desk at the end */
    /* The worker's. */
    struct list of_worker;
    struct carrier *carrier[2];    /* by side */
    struct direction direction[2]; /* by the side it comes from */
    struct timer timer;
    uint64_t started_us, last_us;   /* last_us: when bytes came last, and at the end that */
    char why[96];                   /* it ended, for the log */
    uint64_t drain_until_us;        /* CLOCK_NEVER: both directions go on */
    enum junction_side first_ended; /* otherwise */
    struct deferred deferred;       /* the desk is told after the round */
};

/* Joins the carriers of the two sides of a CONNECT and takes them over, also on failure (which is
 * logged). */
void junction_join(const struct pending *p, struct carrier *client, struct carrier *agent);

/* Has both carriers closed soon, if they are not yet; why, a text that stays, is for the log. */
void junction_end(struct junction *j, const char *why);

/* Ends a few junctions of the worker that were told to end. True: there are more. In the worker's
 * thread. */
bool junctions_end_told(struct worker *w);

#endif
