/* The relay's workers: a thread for each core with a loop of its own, but for the first, whose loop
 * is the desk's. The desk owns all that is decided: hops, directory, CONNECTs. Workers do what
 * takes time and no decision: the curve arithmetic of handshakes, and circuits' bytes. They share
 * nothing with each other and take no lock for a byte of a circuit. */
#ifndef SPX_RELAY_WORKER_H
#define SPX_RELAY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "net/loop.h"

struct relay;
struct pipe_pool;

struct worker {
    struct relay *relay;
    struct loop *loop;
    struct pipe_pool *pipes;
    /* In its thread: ends some of what it was told to end. True: there is more. */
    bool (*on_look)(struct worker *w);
    struct deferred more;     /* goes on with that */
    struct list junctions;    /* by struct junction's of_worker; touched by its thread only */
    unsigned circuit_count;   /* given to it; touched by the desk only */
    _Atomic unsigned hellos;  /* first messages it has still to read */
    _Atomic bool look_posted; /* look is on its way */
    struct loop_call look, stop;
    struct loop_call *later; /* for the desk, and when; touched by its thread only */
    struct timer tell;
    bool stops;
    pthread_t thread;
    bool has_thread;
};

/* Makes r->worker_count workers, r->loop being there already and the first one's, and starts their
 * threads, which have the signal mask of this one. on_look is called in a worker's thread after
 * worker_look, until it returns false, once in a round; and before the thread ends. False: e says
 * why; workers_stop and workers_free all the same. */
bool workers_start(struct relay *r, bool (*on_look)(struct worker *w), struct error *e);

/* Ends every circuit and every thread; what they still had for the desk is in its loop. */
void workers_stop(struct relay *r);
void workers_free(struct relay *r);

/* The one with the fewest circuits; of equals the one that is not the desk's. */
struct worker *workers_for_circuit(struct relay *r);

/* Makes the worker look which of its circuits were told to end. */
void worker_look(struct worker *w);

/* In the worker's thread: makes a call at the desk within 10 ms, together with others, for what
 * nobody waits for; each wake-up of the desk costs more than most of what it does then. */
void worker_tell_later(struct worker *w, struct loop_call *call);

static inline bool worker_is_desk(const struct worker *w)
{
    return !w->has_thread;
}

#endif
