/* A session's circuit over a carrier in the event loop: the thin driver. The engine files know
 * nothing of it. */
#ifndef SPX_SESSION_DRIVER_H
#define SPX_SESSION_DRIVER_H

#include "net/carrier.h"
#include "net/parting.h"
#include "net/turns.h"
#include "session/circuit.h"

struct circuit_driver {
    struct circuit circuit;
    struct carrier *carrier;
    struct timer timer;
    struct loop *loop;
    struct deferred flush;
    struct turns *turns; /* of those whose work shares the loop; set before it is opened */
    struct turn turn;    /* to take frames that were received */
    bool bulk;           /* more was to be written than may be at once: counted in turns */
    uint64_t bytes_read, bytes_written; /* of the circuit */
    /* The circuit has failed, or the session is no longer active: look at both. Called from the
     * loop, never inside a circuit_driver_ call. The owner may free the driver in it. */
    void (*on_change)(struct circuit_driver *driver);
};

/* Drives a circuit that was initialised over a carrier, which it now owns. False with errno: the
 * carrier is closed, the circuit the caller's still. */
bool circuit_driver_open(struct circuit_driver *driver, struct loop *loop, struct carrier *carrier);

/* Writes what waits at the end of this round: for session_events.on_wake. */
void circuit_driver_wake(struct circuit_driver *driver);

/* Closes the carrier and frees the circuit. */
void circuit_driver_close(struct circuit_driver *driver);

/* The same, but the last that the session has to say still goes out: see partings_add. */
void circuit_driver_part(struct circuit_driver *driver, struct partings *partings);

#endif
