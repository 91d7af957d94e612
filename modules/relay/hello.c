/* First messages on their way to a worker and back. What they say is decided in newcomer.c. */
#include "relay/hello.h"

#include <stdlib.h>
#include <string.h>

#include "relay/desk.h"
#include "relay/peer.h"
#include "relay/worker.h"

/* A worker's circuits never wait for more of them than this. */
#define HELLOS_MAX 4

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

bool hello_read_elsewhere(struct peer *peer, struct view message)
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
