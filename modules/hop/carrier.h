/* A hop over a socket in the event loop: the thin driver. */
#ifndef SPX_HOP_CARRIER_H
#define SPX_HOP_CARRIER_H

#include "hop/hop.h"
#include "net/loop.h"

struct carrier {
    struct hop hop; /* first: a hop's handler finds its carrier by carrier_of */
    struct io io;
    struct timer timer;
    struct loop *loop;
    uint64_t
        deadline_us;  /* the owner's own limit (silence, handshake); CLOCK_NEVER or 0 for none */
    int write_error;  /* errno of a write: reading goes on, for what the peer said before */
    bool closing;     /* on_ended is due or done */
    bool handed_over; /* the descriptor is the circuit's */
    /* The hop has ended (hop.error says why; the descriptor is still open until carrier_close), or
     * its deadline has passed. Called once, from the loop or at the end of a round, never from
     * inside a carrier_ call. The owner then frees. */
    void (*on_ended)(struct carrier *c);
    /* After hop_detach inside a handler: the bytes that came after the last record. Called from the
     * loop right after the input; the owner takes the descriptor with carrier_take. NULL if the
     * owner never detaches. */
    void (*on_detached)(struct carrier *c, struct view rest);
};

static inline struct carrier *carrier_of(struct hop *h)
{
    return (struct carrier *)(void *)h;
}

/* While this much waits to be written nothing is read, so that a peer cannot make the answers to it
 * grow. */
#define CARRIER_OUT_MAX ((size_t)256 * 1024)

/* Drives a hop that was started or listens over fd, a non-blocking socket, which it now owns. The
 * struct was zeroed, then its callbacks set; a deadline may have been set. False with errno: fd is
 * still the caller's. */
bool carrier_open(struct carrier *c, struct loop *loop, int fd);

/* Writes what stands in hop.out, and sets the timer: call after hop_send, hop_bye, hop_fail and a
 * hop_quiet_end from outside a handler. Harmless inside one. */
void carrier_update(struct carrier *c);

/* The owner's own limit. */
void carrier_set_deadline(struct carrier *c, uint64_t deadline_us);

/* Takes the descriptor out (the caller's now) and frees the hop, but first moves what waits to be
 * written to *unsent. */
int carrier_take(struct carrier *c, struct fifo *unsent);

/* Closes the descriptor (after one try to write what waits) and frees the hop's memory; no callback
 * comes any more. Harmless when the carrier was never open, is closed or taken. */
void carrier_close(struct carrier *c);

#endif
