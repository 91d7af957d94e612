/* Threads with a loop each, and who gets the next circuit. What they do with circuits and first
 * messages stands in junction.c and hello.c. */
#include "relay/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/splice.h"
#include "relay/desk.h"

#define PIPE_BYTES ((size_t)256 * 1024)
#define PIPES_MAX                                                                                \
    128              /* of all workers: 32 MiB; a direction holds one only while bytes are in it \
                      */
#define PIPES_MIN 16 /* of one */

#define TELL_US (10 * CLOCK_US_PER_MS)

#define STACK_BYTES ((size_t)256 * 1024)

/* ---- Circuits. ---- */

struct worker *workers_for_circuit(struct relay *r)
{
    struct worker *best = &r->workers[r->worker_count - 1];
    for (unsigned i = r->worker_count - 1; i-- > 0;)
        if (r->workers[i].circuit_count < best->circuit_count)
            best = &r->workers[i];
    return best;
}

static void look(void *arg)
{
    struct worker *w = arg;
    atomic_store(&w->look_posted, false); /* before looking: what is told later posts again */
    loop_defer(w->loop, &w->more);
}

static void look_on(struct deferred *more)
{
    struct worker *w = container_of(more, struct worker, more);
    if (w->on_look(w))
        loop_defer(w->loop, more);
}

void worker_look(struct worker *w)
{
    if (worker_is_desk(w))
        loop_defer(w->loop, &w->more);
    else if (!atomic_exchange(&w->look_posted, true))
        loop_post(w->loop, &w->look);
}

/* ---- Telling the desk. ---- */

static void tell(struct worker *w)
{
    while (w->later) {
        struct loop_call *call = w->later;
        w->later = call->next;
        loop_post(w->relay->loop, call);
    }
    timer_cancel(w->loop, &w->tell);
}

static void on_tell(struct timer *timer)
{
    tell(container_of(timer, struct worker, tell));
}

void worker_tell_later(struct worker *w, struct loop_call *call)
{
    call->next = w->later;
    w->later = call;
    if (w->stops)
        tell(w);
    else if (!timer_is_set(&w->tell))
        timer_set(w->loop, &w->tell, loop_now(w->loop) + TELL_US);
}

/* ---- Threads. ---- */

/* Of a thread with circuits alone: it takes the processor from nobody at once when bytes come, and
 * moves more of them when it runs. On two processors that saves a fifth of its time, and what talks
 * through it goes on without being interrupted. */
static void *run(void *arg)
{
    struct sched_param none = {0};
    struct worker *w = arg;
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    pthread_setname_np(pthread_self(), "spx worker"); /* for top -H */
    loop_run(w->loop);
    return NULL;
}

static void on_stop(void *arg)
{
    struct worker *w = arg;
    bool more = true;
    while (more)
        more = w->on_look(w);
    w->stops = true;
    tell(w);
    loop_stop(w->loop);
}

static bool start_thread(struct worker *w)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        error = pthread_create(&w->thread, &attributes, run, w);
        pthread_attr_destroy(&attributes);
    }
    w->has_thread = error == 0;
    errno = error;
    return error == 0;
}

static bool start_worker(struct relay *r, struct worker *w, bool (*on_look)(struct worker *w))
{
    bool desk = w == r->workers;
    unsigned pipes = PIPES_MAX / r->worker_count;
    w->relay = r;
    w->on_look = on_look;
    w->more.run = look_on;
    w->look = (struct loop_call){.f = look, .arg = w};
    w->stop = (struct loop_call){.f = on_stop, .arg = w};
    w->tell.on_fire = on_tell;
    list_init(&w->junctions);
    w->pipes = pipe_pool_new(PIPE_BYTES, pipes > PIPES_MIN ? pipes : PIPES_MIN);
    w->loop = desk ? r->loop : loop_new();
    return w->pipes && w->loop && (desk || start_thread(w));
}

bool workers_start(struct relay *r, bool (*on_look)(struct worker *w), struct error *e)
{
    r->workers = calloc(r->worker_count, sizeof *r->workers);
    for (unsigned i = 0; r->workers && i < r->worker_count; i++) {
        if (!start_worker(r, &r->workers[i], on_look)) {
            return error_set(e, FAILURE_OTHER, "cannot start worker %u of %u: %s", i + 1,
                             r->worker_count, system_text(errno));
        }
    }
    return r->workers || error_no_memory(e);
}

void workers_stop(struct relay *r)
{
    for (unsigned i = 0; r->workers && i < r->worker_count; i++) {
        struct worker *w = &r->workers[i];
        if (w->has_thread) {
            loop_post(w->loop, &w->stop);
            pthread_join(w->thread, NULL);
        }
    }
}

void workers_free(struct relay *r)
{
    for (unsigned i = 0; r->workers && i < r->worker_count; i++) {
        struct worker *w = &r->workers[i];
        if (i > 0) {
            loop_free(
                w->loop); /* makes the calls that are left, which may still post to the desk */
        }
    }
    loop_free(r->loop);
    for (unsigned i = 0; r->workers && i < r->worker_count; i++)
        pipe_pool_free(r->workers[i].pipes);
    free(r->workers);
    r->workers = NULL;
}
