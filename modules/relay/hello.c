/* First messages on their way to a worker and back. Their contents are decided on in newcomer.c,
 * who may cost how much in hop/crowd.c. */
#include "relay/hello.h"

#include <stdlib.h>
#include <string.h>

#include "relay/authorities.h"
#include "relay/desk.h"
#include "relay/peer.h"
#include "relay/worker.h"

/* A worker's circuits never wait for more of them than this. */
#define HELLOS_MAX 4

/* When as many wait for a worker, as when all agents come back at once, the desk takes its share.
 */
#define HELLOS_WAITING_MAX 128

/* A first message on its way to a worker and back. The desk's while it waits, and again once `read`
 * is posted. */
struct hello_job {
    struct loop_call call;
    struct list waiting; /* in the relay's hellos, while no worker has time */
    struct relay *relay;
    struct worker *worker;
    struct peer *peer; /* touched by the desk only; NULL: gone */
    uint8_t source[SOURCE_BYTES];
    bool known_only; /* a key that is not known is not answered */
    struct noise *noise;
    bool authentic, known;
    enum vouching vouching; /* for the permit in HELLO */
    size_t payload_len, message_len;
    uint8_t *payload; /* message_len bytes, which are enough for it */
    uint8_t message[];
};

static void job_free(struct hello_job *job)
{
    if (list_linked(&job->waiting)) {
        list_remove(&job->waiting);
        job->relay->hello_count--;
    }
    if (job->noise) {
        noise_wipe(job->noise);
        free(job->noise);
    }
    wipe(job->payload, job->message_len); /* the ticket */
    free(job);
}

static struct hello_job *job_new(struct peer *peer, struct view message)
{
    struct hello_job *job = calloc(1, sizeof *job + 2 * message.len);
    if (!job)
        return NULL;
    job->noise = calloc(1, sizeof *job->noise);
    if (!job->noise) {
        free(job);
        return NULL;
    }
    list_init(&job->waiting);
    job->relay = peer->relay;
    job->peer = peer;
    memcpy(job->source, crowd_source(&peer->waiting), sizeof job->source);
    job->message_len = message.len;
    job->payload = job->message + message.len;
    memcpy(job->message, message.data, message.len);
    return job;
}

/* ---- The arithmetic, in a worker's thread or the desk's. ---- */

static void compute(struct hello_job *job)
{
    uint8_t shared[KEY_BYTES];
    struct relay *r = job->relay;
    struct view message = view_of(job->message, job->message_len);
    job->authentic = job->known_only
                         ? handshake_accept_known(job->noise, &r->key, r->known, message,
                                                  job->payload, &job->payload_len)
                         : handshake_accept(job->noise, &r->key, r->known, message, job->payload,
                                            &job->payload_len);
    if (!job->authentic)
        return;
    job->known = known_keys_find(r->known, job->noise->remote_static, shared) != KEY_UNKNOWN;
    wipe(shared, sizeof shared);
    if (!job->known)
        job->vouching = authorities_vouch(r->authorities, job->noise->remote_static,
                                          view_of(job->payload, job->payload_len));
    job->known |= job->vouching == VOUCHING_GOOD;
    if (job->known) /* the stock is not for strangers */
        handshake_take_ephemeral(job->noise, &r->stock);
    job->authentic = noise_prepare(job->noise);
}

/* ---- The desk. ---- */

/* Charges the arithmetic to who caused it: at once, or if a known key's handshake fails. */
static void settle(struct hello_job *job)
{
    struct relay *r = job->relay;
    uint64_t now = loop_now(r->loop);
    unsigned cost = MULTIPLICATIONS_TO_READ;
    if (job->authentic)
        cost += MULTIPLICATIONS_TO_ANSWER;
    if (job->vouching == VOUCHING_BAD)
        cost += MULTIPLICATIONS_FOR_SIGNATURE;
    if (job->authentic && job->known && job->peer)
        job->peer->waiting.owed = cost;
    else
        crowd_spend(&r->crowd, job->source, cost, job->authentic && !job->known, now);
}

static void say_nothing(struct peer *peer)
{
    peer->job = NULL;
    hop_hello_read(&peer->driver.hop, NULL, view_of(NULL, 0));
}

/* Computed: the hop goes on with it. */
static void finish(struct hello_job *job)
{
    struct peer *peer = job->peer;
    settle(job);
    if (peer) {
        struct noise *noise = job->authentic ? job->noise : NULL;
        if (noise)
            job->noise = NULL;
        peer->job = NULL;
        peer->vouched = job->vouching == VOUCHING_GOOD;
        hop_hello_read(&peer->driver.hop, noise, view_of(job->payload, job->payload_len));
    }
}

/* False: beyond the budget. */
static bool may_compute(struct hello_job *job)
{
    const struct relay *r = job->relay;
    enum crowd_budget budget = crowd_budget(&r->crowd, &job->peer->waiting, loop_now(r->loop));
    job->known_only = budget == CROWD_KNOWN;
    return budget != CROWD_NOTHING;
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

static void give_to_worker(struct hello_job *job, struct worker *w);

/* Gives what waits to workers, as far as they have time. */
static void serve_waiting(struct relay *r)
{
    struct worker *w;
    while (!list_empty(&r->hellos) && (w = worker_for_hello(r))) {
        struct hello_job *job = container_of(r->hellos.next, struct hello_job, waiting);
        list_remove(&job->waiting);
        r->hello_count--;
        if (may_compute(job)) {
            give_to_worker(job, w);
        } else {
            say_nothing(job->peer);
            hop_driver_update(&job->peer->driver);
            job_free(job);
        }
    }
}

static void was_computed(void *arg)
{
    struct hello_job *job = arg;
    struct relay *r = job->relay;
    struct peer *peer = job->peer;
    finish(job);
    if (peer)
        hop_driver_update(&peer->driver);
    job_free(job);
    serve_waiting(r);
}

static void compute_in_worker(void *arg)
{
    struct hello_job *job = arg;
    compute(job);
    struct worker *w = job->worker;
    atomic_fetch_sub(&w->hellos, 1);
    job->call.f = was_computed;
    if (job->authentic || atomic_load(&job->relay->hello_count) > 0)
        loop_post(job->relay->loop, &job->call);
    else
        worker_tell_later(w, &job->call); /* there is silence, and no other waits for w */
}

static void give_to_worker(struct hello_job *job, struct worker *w)
{
    job->worker = w;
    job->call = (struct loop_call){.f = compute_in_worker, .arg = job};
    atomic_fetch_add(&w->hellos, 1);
    loop_post(w->loop, &job->call);
}

/* The desk computes for sources that recently opened a hop when the workers have no time, and for
 * all if it has no worker or too many wait; the budget limits that too. */
static void start(struct hello_job *job)
{
    struct relay *r = job->relay;
    struct worker *w = worker_for_hello(r);
    if (w && list_empty(&r->hellos)) {
        give_to_worker(job, w);
    } else if (r->worker_count == 1 || r->hello_count >= HELLOS_WAITING_MAX ||
               crowd_trusts(&job->peer->waiting, loop_now(r->loop))) {
        compute(job);
        finish(job);
        job_free(job);
    } else {
        list_append(&r->hellos, &job->waiting);
        r->hello_count++;
    }
}

void hello_read(struct peer *peer, struct view message)
{
    struct relay *r = peer->relay;
    const uint8_t *ephemeral = message.data + HANDSHAKE_HEADER_BYTES;
    struct hello_job *job = NULL;
    if (!seen_before(r->seen, ephemeral, loop_now(r->loop)))
        job = job_new(peer, message);
    if (!job || !may_compute(job)) {
        if (job)
            job_free(job);
        say_nothing(peer);
        return;
    }
    peer->job = job;
    start(job);
}

void hello_job_forget(struct hello_job *job)
{
    job->peer = NULL;
    if (list_linked(&job->waiting))
        job_free(job);
}
