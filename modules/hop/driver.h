/* A hop over a carrier in the event loop: the thin driver. */
#ifndef SPX_HOP_DRIVER_H
#define SPX_HOP_DRIVER_H

#include "base/rate.h"
#include "hop/hop.h"
#include "net/carrier.h"

struct hop_driver {
    struct hop hop;          /* its handler finds the driver by hop_driver_of */
    struct carrier *carrier; /* NULL: not open yet, closed or taken */
    struct timer timer;
    struct loop *loop;
    uint64_t deadline_us; /* the owner's own limit; CLOCK_NEVER or 0: none */
    struct rate records;  /* that are read */
    int write_error;      /* errno of a write: reading goes on, for what the peer said before */
    bool closing;         /* on_ended is due or done */
    /* The hop has ended (hop_error says why; the carrier is still open until hop_driver_close), or
     * its deadline has passed. Called once, from the loop or at the end of a round, never from
     * inside a hop_driver_ call. The owner then frees. */
    void (*on_ended)(struct hop_driver *d);
    /* After hop_detach inside a handler: the bytes from here on are the circuit's. Called from the
     * loop right after the input; the owner takes the carrier with hop_driver_take. NULL if the
     * owner never detaches. */
    void (*on_detached)(struct hop_driver *d);
};

static inline struct hop_driver *hop_driver_of(struct hop *h)
{
    return container_of(h, struct hop_driver, hop);
}

/* While this much waits to be written nothing is read, so that a peer cannot make the answers to it
 * grow. */
#define HOP_OUT_MAX ((size_t)256 * 1024)

/* Drives a hop that was started or listens over a carrier, which it now owns. The struct was
 * zeroed, then its callbacks set; a deadline may have been set. False with errno: the carrier is
 * closed. */
bool hop_driver_open(struct hop_driver *d, struct loop *loop, struct carrier *carrier);

/* Writes what stands in hop.out, and sets the timer: call after hop_send, hop_bye, hop_fail and a
 * hop_quiet_end from outside a handler. Harmless inside one. */
void hop_driver_update(struct hop_driver *d);

/* The owner's own limit. */
void hop_driver_set_deadline(struct hop_driver *d, uint64_t deadline_us);

/* Takes the carrier out (the caller's now), with what the hop has not written yet and what was read
 * behind its last record, and frees the hop. */
struct carrier *hop_driver_take(struct hop_driver *d);

/* Closes the carrier (after one try to write what waits) and frees the hop's memory; no callback
 * comes any more. Harmless when it was never open, is closed or taken. */
void hop_driver_close(struct hop_driver *d);

#endif
