/* The desk: what the parts of a running relay share. The desk's thread is the one of `loop`; it
 * alone decides, and owns hops, directory and CONNECTs. */
#ifndef SPX_RELAY_DESK_H
#define SPX_RELAY_DESK_H

#include <stdatomic.h>

#include "audit/counts.h"
#include "config/config.h"
#include "crypto/known_keys.h"
#include "hop/crowd.h"
#include "hop/hop.h"
#include "hop/seen.h"
#include "net/loop.h"
#include "permit/revoked.h"
#include "relay/directory.h"

struct authorities;
struct worker;
struct listing;

/* Workers' threads use of it only key, known and stock (which have locks of their own), loop, to
 * post calls to it, and hello_count. */
struct relay {
    struct loop *loop;
    struct worker *workers; /* the first one's loop is this one */
    unsigned worker_count;
    struct relay_config config;
    struct keypair key;              /* the one it was started with */
    struct known_keys *known;        /* of users and agents */
    struct authorities *authorities; /* whose permits let users in, for all threads */
    struct revoked revoked;          /* by them, as the desk has read it */
    unsigned visitor_count;          /* those users, in the directory (visitors.h) */
    struct key_stock stock;          /* filled at each sweep */
    struct hop_party party;
    struct directory directory;
    struct listing *listing; /* who watches the directory */
    struct crowd crowd;      /* hops that have proven nothing yet */
    struct seen *seen;       /* their ephemeral keys */
    struct list hellos; /* first messages that wait for a worker, by struct hello_job's waiting */
    _Atomic unsigned hello_count; /* of them */
    struct audit *audit;          /* or NULL */
    uint64_t heads_us;            /* when agents with circuits are owed a head of it again */
    struct audit_counts counts;   /* of what is not worth a line each in it */
    struct log_rates log;  /* of lines that parties cause, by their keys; strangers' by zeros */
    struct list peers;     /* every hop, by struct peer's all */
    struct list pendings;  /* every CONNECT under way, by struct pending's all */
    struct list junctions; /* by struct junction's all */
    uint64_t last_offer;   /* number of the last OFFER made */
};

#endif
