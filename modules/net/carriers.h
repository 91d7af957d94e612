/* Where carriers come from: one is dialled, others come to the addresses that are listened on. This
 * is the one place that picks their kind; who gets one knows net/carrier.h alone. */
#ifndef SPX_NET_CARRIERS_H
#define SPX_NET_CARRIERS_H

#include "net/carrier.h"
#include "net/dial.h"
#include "net/door.h"

/* A carrier that is being dialled. The owner embeds it, zeroes it and sets done. */
struct carrier_dial {
    /* Called once for each start, never inside it. The carrier is the callee's; NULL unless the
     * result is DIAL_OK. Address and text are as struct dial_request's. */
    void (*done)(struct carrier_dial *d, enum dial_result result, struct carrier *carrier,
                 const struct address *address, const char *text);
    struct dial *under_way; /* NULL: none is */
};

/* Starts, as dial_start. False without memory. */
bool carrier_dial_start(struct carrier_dial *d, struct loop *loop, const char *host, uint16_t port,
                        uint64_t timeout_us);

/* Ends it; done is not called any more. Harmless when none is under way. */
void carrier_dial_cancel(struct carrier_dial *d);

struct carrier_doors_events {
    /* Takes a carrier, the owner's from now on. Must not close the doors. */
    void (*take)(void *owner, struct carrier *carrier, const struct address *peer);
    /* As struct door_events'; also when there is no memory for a carrier. */
    bool (*on_shortage)(void *owner);
};

/* The addresses that are listened on. Embedded in their owner; zeroed: none. */
struct carrier_doors {
    const struct carrier_doors_events *events;
    void *owner;
    struct door *doors;
    size_t count;
};

/* Listens on every address; what comes waits until carrier_doors_go. False: e says on which it
 * cannot, and why; none is listened on. */
bool carrier_doors_open(struct carrier_doors *d, struct loop *loop, const struct address *listen,
                        size_t count, const struct carrier_doors_events *events, void *owner,
                        struct error *e);

/* Takes what comes from now on, and says in the log where. */
void carrier_doors_go(struct carrier_doors *d);

/* True if a connect to this address, on this machine, would come to one of them. */
bool carrier_doors_are_at(const struct carrier_doors *d, const struct address *address);

/* Closes them. Harmless when there are none. */
void carrier_doors_close(struct carrier_doors *d);

#endif
