/* Moves the bytes of circuits between two carriers, each junction in its worker's thread; is made
 * and ended by the desk. Decides nothing about who may. */
#include "relay/junction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/exchange.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "relay/desk.h"
#include "relay/worker.h"

/* That close their sockets in one round: hundreds may be told to. */
#define ENDS_AT_ONCE 16U

/* Bytes that one direction moves before others have their turn. */
#define BUDGET_BYTES ((size_t)512 * 1024)

static const char *side_name(enum junction_side side)
{
    return side == SIDE_CLIENT ? "client" : "agent";
}

static enum junction_side other_side(enum junction_side side)
{
    return side == SIDE_CLIENT ? SIDE_AGENT : SIDE_CLIENT;
}

static void note(const struct junction *j, const struct log_fields *f)
{
    char key[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(key, j->user_key);
    audit_note(j->relay->audit, f, &(struct audit_entry){.circuit = j->circuit, .key = key});
    if (j->agent)
        j->agent->head_due = true;
    audit_want_head(j->relay->audit);
}

static struct log_fields fields_of(const struct junction *j, const char *event)
{
    return (struct log_fields){
        .event = event, .circuit = j->label, .user = j->user_name, .agent = j->agent_name};
}

/* In the desk's thread. */
static void log_end(const struct junction *j)
{
    struct log_fields f = fields_of(j, "circuit_ended");
    char totals[LOG_TOTALS_BYTES];
    f.reason = j->why;
    f.counted = true;
    f.bytes_up = j->direction[SIDE_CLIENT].bytes;
    f.bytes_down = j->direction[SIDE_AGENT].bytes;
    f.duration_us = j->last_us - j->started_us;
    log_fields_totals(totals, &f);
    log_caused_event(&j->relay->log, j->user_key, loop_now(j->relay->loop), LOG_INFO, &f,
                     "circuit %s: ended: %s, %s", j->label, j->why, totals);
    note(j, &f);
}

static void leave_pair(struct junction *j)
{
    if (j->pair) {
        j->user->circuit_count--;
        j->pair->circuit_count--;
        list_remove(&j->of_pair);
        j->pair = NULL;
    }
}

/* In the desk's thread: the worker is done with it. */
static void gone(void *arg)
{
    struct junction *j = arg;
    j->worker->circuit_count--;
    log_end(j);
    leave_pair(j);
    list_remove(&j->all);
    free(j);
}

/* ---- In the worker's thread, up to the join. ---- */

static void tell_desk(struct deferred *d)
{
    struct junction *j = container_of(d, struct junction, deferred);
    j->call.f = gone;
    if (worker_is_desk(j->worker))
        gone(j);
    else
        loop_post(j->relay->loop, &j->call);
}

/* Closes both carriers; why is for the log. */
static void end(struct junction *j, const char *why)
{
    snprintf(j->why, sizeof j->why, "%s", why);
    j->last_us = loop_now(j->worker->loop);
    list_remove(&j->of_worker);
    timer_cancel(j->worker->loop, &j->timer);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        carrier_close(j->carrier[side]);
        splice_end(&j->direction[side].splice, j->worker->pipes);
    }
    j->deferred.run = tell_desk;
    loop_defer(j->worker->loop, &j->deferred);
}

bool junctions_end_told(struct worker *w)
{
    unsigned ended = 0;
    list_each (link, &w->junctions) {
        struct junction *j = container_of(link, struct junction, of_worker);
        const char *why = atomic_load(&j->told_to_end);
        if (why && ended++ == ENDS_AT_ONCE)
            return true;
        if (why)
            end(j, why);
    }
    return false;
}

static void end_failed(struct junction *j, enum junction_side side, int error)
{
    char why[96];
    snprintf(why, sizeof why, "%s: %s", side_name(side), system_text(error));
    end(j, why);
}

/* A direction is over: the other one has a while to come to its end too. */
static void end_direction(struct junction *j, enum junction_side from)
{
    enum junction_side to = other_side(from);
    j->direction[from].ended = true;
    if (j->direction[to].ended) {
        end(j, "both sides closed"); /* which of them ended the session only they know */
        return;
    }
    j->first_ended = from;
    j->drain_until_us = loop_now(j->worker->loop) + CIRCUIT_DRAIN_S * CLOCK_US_PER_S;
    timer_set(j->worker->loop, &j->timer, j->drain_until_us);
}

/* All that the source sent before its FIN is delivered. */
static void pass_fin(struct junction *j, enum junction_side from)
{
    carrier_end(j->carrier[other_side(from)]);
    end_direction(j, from);
}

/* The sink takes nothing more; what it said before may still be on its way to the other side. */
static void drop_direction(struct junction *j, enum junction_side from, int error)
{
    if (j->direction[other_side(from)].ended) {
        end_failed(j, other_side(from), error);
        return;
    }
    splice_end(&j->direction[from].splice, j->worker->pipes);
    end_direction(j, from);
    j->first_ended = other_side(from);
}

/* Forwards what can be forwarded from one side, and asks the loop for what is then waited for. */
static void forward(struct junction *j, enum junction_side from)
{
    struct direction *d = &j->direction[from];
    struct carrier *source = j->carrier[from], *sink = j->carrier[other_side(from)];
    size_t moved = 0;
    if (d->ended)
        return;
    enum splice_result result =
        splice_run(&d->splice, j->worker->pipes, source, sink, BUDGET_BYTES, &moved);
    int error = errno;
    if (moved > 0) {
        d->bytes += moved;
        j->last_us = loop_now(j->worker->loop);
    }
    switch (result) {
    case SPLICE_AGAIN:
    case SPLICE_NEED_WRITE:
        carrier_want_write(sink);
        break;
    case SPLICE_NEED_READ:
        carrier_want_read(source);
        break;
    case SPLICE_END:
        pass_fin(j, from);
        break;
    case SPLICE_READ_ERROR:
        end_failed(j, from, error);
        break;
    case SPLICE_WRITE_ERROR:
        drop_direction(j, from, error);
        break;
    }
}

static enum junction_side side_of(const struct junction *j, const struct carrier *c)
{
    return j->carrier[SIDE_CLIENT] == c ? SIDE_CLIENT : SIDE_AGENT;
}

static void on_read(struct carrier *c)
{
    struct junction *j = c->owner;
    forward(j, side_of(j, c));
}

static void on_write(struct carrier *c)
{
    struct junction *j = c->owner;
    forward(j, other_side(side_of(j, c)));
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

static void on_timer(struct timer *timer)
{
    struct junction *j = container_of(timer, struct junction, timer);
    uint64_t now = loop_now(j->worker->loop);
    uint64_t idle_until = j->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S;
    if (now >= j->drain_until_us) {
        char why[32];
        snprintf(why, sizeof why, "%s closed", side_name(j->first_ended));
        end(j, why);
    } else if (now >= idle_until) {
        end(j, "no byte from either side for 90 s");
    } else {
        timer_set(j->worker->loop, &j->timer,
                  idle_until < j->drain_until_us ? idle_until : j->drain_until_us);
    }
}

/* Each direction begins by writing what goes first, and goes on by reading. */
static void start(struct junction *j)
{
    timer_set(j->worker->loop, &j->timer, j->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        carrier_want_read(j->carrier[side]);
        carrier_want_write(j->carrier[side]);
    }
}

static void begin(void *arg)
{
    struct junction *j = arg;
    const char *why = atomic_load(&j->told_to_end);
    j->started_us = j->last_us = loop_now(j->worker->loop);
    list_append(&j->worker->junctions, &j->of_worker);
    for (int side = SIDE_CLIENT; !why && side <= SIDE_AGENT; side++)
        if (!carrier_enter(j->carrier[side], j->worker->loop, &user, j))
            why = system_text(errno);
    if (why)
        end(j, why);
    else
        start(j);
}

/* ---- In the desk's thread. ---- */

void junction_end(struct junction *j, const char *why)
{
    leave_pair(j);
    j->user = NULL;
    j->agent = NULL;
    atomic_store(&j->told_to_end, why);
    worker_look(j->worker);
}

static struct junction *junction_new(const struct pending *p)
{
    struct junction *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->relay = p->relay;
    j->user = p->user;
    memcpy(j->user_key, p->user->public_key, KEY_BYTES);
    snprintf(j->user_name, sizeof j->user_name, "%s", p->user->config->name);
    snprintf(j->agent_name, sizeof j->agent_name, "%s", p->agent->name);
    j->agent = p->agent;
    j->pair = p->pair;
    j->worker = workers_for_circuit(p->relay);
    memcpy(j->label, p->label, sizeof j->label);
    memcpy(j->circuit, p->circuit, sizeof j->circuit);
    j->call = (struct loop_call){.f = begin, .arg = j};
    j->drain_until_us = CLOCK_NEVER;
    j->timer.on_fire = on_timer;
    list_init(&j->of_worker);
    return j;
}

/* Two that work together could hold all descriptors otherwise; who does not has a few. */
static void end_oldest(const struct pair *pair)
{
    junction_end(container_of(pair->junctions.next, struct junction, of_pair),
                 "the user has too many to this agent, and this is the oldest");
}

/* Hands it to its worker. */
static void hand_over(struct junction *j)
{
    struct log_fields f;
    if (j->pair->circuit_count >= CIRCUITS_PER_USER_AGENT)
        end_oldest(j->pair);
    list_append(&j->relay->junctions, &j->all);
    list_append(&j->pair->junctions, &j->of_pair);
    j->pair->circuit_count++;
    j->user->circuit_count++;
    j->worker->circuit_count++;
    f = fields_of(j, "circuit_joined");
    log_caused_event(&j->relay->log, j->user_key, loop_now(j->relay->loop), LOG_INFO, &f,
                     "circuit %s: joined", j->label);
    note(j, &f);
    if (worker_is_desk(j->worker))
        begin(j);
    else
        loop_post(j->worker->loop, &j->call);
}

void junction_join(const struct pending *p, struct carrier *client, struct carrier *agent)
{
    struct junction *j = junction_new(p);
    if (!j) {
        struct log_fields f = pending_fields(p, "circuit_refused");
        f.code = CODE_INTERNAL;
        log_caused_event(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_ERROR,
                         &f, "circuit %s: ended: " NO_MEMORY_TEXT, p->label);
        pending_note(p, &f, "relay");
        carrier_close(client);
        carrier_close(agent);
        return;
    }
    j->carrier[SIDE_CLIENT] = client;
    j->carrier[SIDE_AGENT] = agent;
    hand_over(j);
}
