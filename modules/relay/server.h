/* A running relay: all that its parts share, its start, reload and end. */
#ifndef SPX_RELAY_SERVER_H
#define SPX_RELAY_SERVER_H

#include "config/config.h"
#include "crypto/known_keys.h"
#include "hop/hop.h"
#include "net/loop.h"
#include "relay/accept.h"
#include "relay/directory.h"
#include "relay/listing.h"

struct worker;

/* The desk: what the relay decides, in the thread of `loop`. Workers' threads use of it only key,
 * known and stock (which have locks of their own), and loop, to post calls to it. */
struct relay {
    struct loop *loop;
    struct worker *workers; /* the first one's loop is this one */
    unsigned worker_count;
    const char *config_path;
    struct relay_config config;
    struct keypair key;       /* the one it was started with */
    struct known_keys *known; /* of users and agents */
    struct key_stock stock;   /* filled at each sweep */
    struct hop_party party;
    struct directory directory;
    struct acceptor acceptor;
    struct notices notices;
    struct list peers;    /* every hop, by struct peer's all */
    struct list pendings; /* every CONNECT under way, by struct pending's all */
    struct list circuits; /* by struct relay_circuit's all */
    uint64_t last_offer;  /* number of the last OFFER made */
    struct timer sweep;
};

/* Starts with a configuration, which it takes over (also when it fails), and runs until SIGTERM or
 * SIGINT; SIGHUP loads path again. Returns how it ended; why is in the log. */
enum failure relay_serve(struct relay_config *config, const char *path);

#endif
