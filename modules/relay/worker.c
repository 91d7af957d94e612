#include "relay/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "net/splice.h"
#include "relay/desk.h"
#include "relay/junction.h"
#include "relay/peer.h"

#define PIPE_BYTES ((size_t)256 * 1024)
#define PIPES_MAX                                                                                \
    128              /* of all workers: 32 MiB; a direction holds one only while bytes are in it \
                      */
#define PIPES_MIN 16 /* of one */

/* A worker's circuits never wait for more of them than this. */
#define HELLOS_MAX 4

#define STACK_BYTES ((size_t)256 * 1024)

/* A first message on its way to a worker and back. The desk's again once `read` is posted. */
struct hello_job {
    struct loop_call call;
    struct relay *relay;
    struct worker *worker;
    struct peer *peer; /* touched by the desk only; NULL: gone */
    struct noise *noise;
    bool authentic;
    size_t payload_len, message_len;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    uint8_t message[];
};

/* ---- First messages. ---- */

static void job_free(struct hello_job *job)
{
    if (job->noise) {
        noise_wipe(job->noise);
        free(job->noise);
    }
    wipe(job->payload, sizeof job->payload); /* the ticket */
    free(job);
}

/* In the desk's thread. */
static void hello_was_read(void *arg)
{
    struct hello_job *job = arg;
    struct peer *peer = job->peer;
    if (peer) {
        struct noise *noise = job->authentic ? job->noise : NULL;
        if (noise)
            job->noise = NULL;
        peer->job = NULL;
        hop_hello_read(&peer->driver.hop, noise, view_of(job->payload, job->payload_len));
        hop_driver_update(&peer->driver);
    }
    job_free(job);
}

/* In the worker's thread. A peer that is not known is refused: its answer is worth no preparation.
 */
static void read_hello(void *arg)
{
    struct hello_job *job = arg;
    struct relay *r = job->relay;
    uint8_t shared[KEY_BYTES];
    job->authentic =
        handshake_accept(job->noise, &r->key, r->known, view_of(job->message, job->message_len),
                         job->payload, &job->payload_len);
    if (job->authentic &&
        known_keys_find(r->known, job->noise->remote_static, shared) != KEY_UNKNOWN) {
        handshake_take_ephemeral(job->noise, &r->stock);
        job->authentic = noise_prepare(job->noise);
    }
    wipe(shared, sizeof shared);
    atomic_fetch_sub(&job->worker->hellos, 1);
    job->call.f = hello_was_read;
    loop_post(r->loop, &job->call);
}

static struct hello_job *job_new(struct relay *r, struct worker *w, struct view message)
{
    struct hello_job *job = calloc(1, sizeof *job + message.len);
    if (!job)
        return NULL;
    job->noise = calloc(1, sizeof *job->noise);
    if (!job->noise) {
        free(job);
        return NULL;
    }
    job->call = (struct loop_call){.f = read_hello, .arg = job};
    job->relay = r;
    job->worker = w;
    job->message_len = message.len;
    memcpy(job->message, message.data, message.len);
    return job;
}

/* The worker with the fewest first messages to read, if it has time for one more. */
static struct worker *worker_for_hello(struct relay *r)
{
    struct worker *best = NULL;
    unsigned fewest = HELLOS_MAX;
    for (unsigned i = 1; i < r->worker_count; i++) {
        unsigned hellos = atomic_load(&r->workers[i].hellos);
        if (hellos < fewest) {
            fewest = hellos;
            best = &r->workers[i];
        }
    }
    return best;
}

bool workers_read_hello(struct peer *peer, struct view message)
{
    struct relay *r = peer->relay;
    struct worker *w = worker_for_hello(r);
    struct hello_job *job = w ? job_new(r, w, message) : NULL;
    if (!job)
        return false;
    job->peer = peer;
    peer->job = job;
    atomic_fetch_add(&w->hellos, 1);
    loop_post(w->loop, &job->call);
    return true;
}

void hello_job_forget(struct hello_job *job)
{
    job->peer = NULL;
}

/* ---- Circuits. ---- */

struct worker *workers_for_circuit(struct relay *r)
{
    struct worker *best = &r->workers[r->worker_count - 1];
    for (unsigned i = r->worker_count - 1; i-- > 0;)
        if (r->workers[i].circuit_count < best->circuit_count)
            best = &r->workers[i];
    return best;
}

static void on_look(void *arg)
{
    struct worker *w = arg;
    atomic_store(&w->look_posted, false); /* before looking: what is told later posts again */
    junctions_end_told(w);
}

void worker_look(struct worker *w)
{
    if (worker_is_desk(w))
        junctions_end_told(w);
    else if (!atomic_exchange(&w->look_posted, true))
        loop_post(w->loop, &w->look);
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
    loop_run(w->loop);
    return NULL;
}

static void on_stop(void *arg)
{
    struct worker *w = arg;
    junctions_end_told(w);
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
    if (w->has_thread)
        pthread_setname_np(w->thread, "spx worker"); /* for top -H */
    errno = error;
    return error == 0;
}

static bool start_worker(struct relay *r, struct worker *w)
{
    bool desk = w == r->workers;
    unsigned pipes = PIPES_MAX / r->worker_count;
    w->relay = r;
    w->look = (struct loop_call){.f = on_look, .arg = w};
    w->stop = (struct loop_call){.f = on_stop, .arg = w};
    list_init(&w->circuits);
    w->pipes = pipe_pool_new(PIPE_BYTES, pipes > PIPES_MIN ? pipes : PIPES_MIN);
    w->loop = desk ? r->loop : loop_new();
    return w->pipes && w->loop && (desk || start_thread(w));
}

bool workers_start(struct relay *r, struct error *e)
{
    r->workers = calloc(r->worker_count, sizeof *r->workers);
    for (unsigned i = 0; r->workers && i < r->worker_count; i++) {
        if (!start_worker(r, &r->workers[i])) {
            return error_set(e, FAILURE_OTHER, "cannot start worker %u of %u: %s", i + 1,
                             r->worker_count, strerror(errno));
        }
    }
    return r->workers || error_set(e, FAILURE_OTHER, "no memory");
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
