#include "relay/circuit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "relay/desk.h"
#include "relay/worker.h"

/* Bytes that one direction moves before others have their turn. */
#define BUDGET_BYTES ((size_t)512 * 1024)

static const char *side_name(enum circuit_side side)
{
    return side == SIDE_CLIENT ? "client" : "agent";
}

static enum circuit_side other_side(enum circuit_side side)
{
    return side == SIDE_CLIENT ? SIDE_AGENT : SIDE_CLIENT;
}

static uint64_t carried(const struct direction *d)
{
    return d->bytes > d->owed ? d->bytes - d->owed : 0;
}

static void log_end(const struct relay_circuit *c, const char *why)
{
    char up[16], down[16], duration[24];
    text_bytes(up, carried(&c->direction[SIDE_CLIENT]));
    text_bytes(down, carried(&c->direction[SIDE_AGENT]));
    text_duration(duration, loop_now(c->worker->loop) - c->started_us);
    log_info("circuit %s: ended: %s, %s up, %s down, %s", c->label, why, up, down, duration);
}

static void leave_pair(struct relay_circuit *c)
{
    if (c->pair) {
        c->pair->circuit_count--;
        list_remove(&c->of_pair);
        c->pair = NULL;
    }
}

/* In the desk's thread: the worker is done with it. */
static void gone(void *arg)
{
    struct relay_circuit *c = arg;
    c->worker->circuit_count--;
    leave_pair(c);
    list_remove(&c->all);
    free(c);
}

/* What follows is done in the worker's thread, up to the join. */

static void tell_desk(struct deferred *d)
{
    struct relay_circuit *c = container_of(d, struct relay_circuit, deferred);
    c->call.f = gone;
    if (worker_is_desk(c->worker))
        gone(c);
    else
        loop_post(c->relay->loop, &c->call);
}

/* Closes both sockets; why is for the log. */
static void end(struct relay_circuit *c, const char *why)
{
    log_end(c, why);
    list_remove(&c->of_worker);
    timer_cancel(c->worker->loop, &c->timer);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        io_remove(&c->io[side]);
        close(c->io[side].fd);
        splice_end(&c->direction[side].splice, c->worker->pipes);
    }
    c->deferred.run = tell_desk;
    loop_defer(c->worker->loop, &c->deferred);
}

void relay_circuits_end_told(struct worker *w)
{
    list_each (link, &w->circuits) {
        struct relay_circuit *c = container_of(link, struct relay_circuit, of_worker);
        const char *why = atomic_load(&c->told_to_end);
        if (why)
            end(c, why);
    }
}

static void end_failed(struct relay_circuit *c, enum circuit_side side, int error)
{
    char why[96];
    snprintf(why, sizeof why, "%s: %s", side_name(side), strerror(error));
    end(c, why);
}

/* A direction is over: the other one has a while to come to its end too. */
static void end_direction(struct relay_circuit *c, enum circuit_side from)
{
    char why[32];
    enum circuit_side to = other_side(from);
    c->direction[from].ended = true;
    if (c->direction[to].ended) {
        snprintf(why, sizeof why, "%s closed", side_name(c->first_ended));
        end(c, why);
        return;
    }
    c->first_ended = from;
    c->drain_until_us = loop_now(c->worker->loop) + CIRCUIT_DRAIN_S * CLOCK_US_PER_S;
    timer_set(c->worker->loop, &c->timer, c->drain_until_us);
}

/* All that the source sent before its FIN is delivered. */
static void pass_fin(struct relay_circuit *c, enum circuit_side from)
{
    shutdown(c->io[other_side(from)].fd, SHUT_WR);
    end_direction(c, from);
}

/* The sink takes nothing more; what it said before may still be on its way to the other side. */
static void drop_direction(struct relay_circuit *c, enum circuit_side from, int error)
{
    if (c->direction[other_side(from)].ended) {
        end_failed(c, other_side(from), error);
        return;
    }
    splice_end(&c->direction[from].splice, c->worker->pipes);
    end_direction(c, from);
    c->first_ended = other_side(from);
}

/* Forwards what can be forwarded from one side, and asks the loop for what is then waited for. */
static void forward(struct relay_circuit *c, enum circuit_side from)
{
    struct direction *d = &c->direction[from];
    struct io *source = &c->io[from], *sink = &c->io[other_side(from)];
    size_t moved = 0;
    if (d->ended)
        return;
    enum splice_result result =
        splice_run(&d->splice, c->worker->pipes, source->fd, sink->fd, BUDGET_BYTES, &moved);
    int error = errno;
    if (moved > 0) {
        d->bytes += moved;
        c->last_us = loop_now(c->worker->loop);
    }
    switch (result) {
    case SPLICE_AGAIN:
        io_want_write(sink);
        break;
    case SPLICE_NEED_READ:
        if (!source->hung_up) /* else its end is still to be read */
            io_read_drained(source);
        io_want_read(source);
        break;
    case SPLICE_NEED_WRITE:
        io_write_blocked(sink);
        io_want_write(sink);
        break;
    case SPLICE_END:
        pass_fin(c, from);
        break;
    case SPLICE_READ_ERROR:
        end_failed(c, from, error);
        break;
    case SPLICE_WRITE_ERROR:
        drop_direction(c, from, error);
        break;
    }
}

static void on_client_read(struct io *io)
{
    forward(container_of(io, struct relay_circuit, io[SIDE_CLIENT]), SIDE_CLIENT);
}

static void on_client_write(struct io *io)
{
    forward(container_of(io, struct relay_circuit, io[SIDE_CLIENT]), SIDE_AGENT);
}

static void on_agent_read(struct io *io)
{
    forward(container_of(io, struct relay_circuit, io[SIDE_AGENT]), SIDE_AGENT);
}

static void on_agent_write(struct io *io)
{
    forward(container_of(io, struct relay_circuit, io[SIDE_AGENT]), SIDE_CLIENT);
}

static void on_timer(struct timer *timer)
{
    struct relay_circuit *c = container_of(timer, struct relay_circuit, timer);
    uint64_t now = loop_now(c->worker->loop);
    uint64_t idle_until = c->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S;
    if (now >= c->drain_until_us) {
        char why[32];
        snprintf(why, sizeof why, "%s closed", side_name(c->first_ended));
        end(c, why);
    } else if (now >= idle_until) {
        end(c, "no byte from either side for 90 s");
    } else {
        timer_set(c->worker->loop, &c->timer,
                  idle_until < c->drain_until_us ? idle_until : c->drain_until_us);
    }
}

/* The bytes that go first to one side. */
static bool put_first(struct relay_circuit *c, enum circuit_side to, struct circuit_parts *parts)
{
    struct direction *d = &c->direction[other_side(to)];
    struct fifo *first = &parts->first[to];
    bool put = true;
    d->owed = first->bytes;
    while (put && first->bytes > 0) {
        struct view front = fifo_front(first);
        put = splice_prefix(&d->splice, front.data, front.len);
        fifo_drop(first, front.len);
    }
    struct view then = parts->then[to];
    return put && (then.len == 0 || splice_prefix(&d->splice, then.data, then.len));
}

/* Each direction begins by writing what goes first, and goes on by reading. */
static void start(struct relay_circuit *c)
{
    log_info("circuit %s: joined", c->label);
    c->started_us = c->last_us = loop_now(c->worker->loop);
    timer_set(c->worker->loop, &c->timer, c->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        io_want_read(&c->io[side]);
        io_want_write(&c->io[side]);
    }
}

static void begin(void *arg)
{
    struct relay_circuit *c = arg;
    const char *why = atomic_load(&c->told_to_end);
    list_append(&c->worker->circuits, &c->of_worker);
    for (int side = SIDE_CLIENT; !why && side <= SIDE_AGENT; side++)
        if (!io_add(c->worker->loop, &c->io[side], c->io[side].fd))
            why = "no memory or descriptors to join it";
    if (why)
        end(c, why);
    else
        start(c);
}

/* What follows is done in the desk's thread. */

void relay_circuit_end(struct relay_circuit *c, const char *why)
{
    c->user = NULL;
    c->agent = NULL;
    leave_pair(c);
    atomic_store(&c->told_to_end, why);
    worker_look(c->worker);
}

static struct relay_circuit *circuit_of(const struct pending *p, const struct circuit_parts *parts)
{
    struct relay_circuit *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->relay = p->relay;
    c->user = p->user;
    c->agent = p->agent;
    c->pair = p->pair;
    c->worker = workers_for_circuit(p->relay);
    memcpy(c->label, p->label, sizeof c->label);
    c->call = (struct loop_call){.f = begin, .arg = c};
    c->drain_until_us = CLOCK_NEVER;
    c->io[SIDE_CLIENT] = (struct io){
        .on_read = on_client_read, .on_write = on_client_write, .fd = parts->fd[SIDE_CLIENT]};
    c->io[SIDE_AGENT] = (struct io){
        .on_read = on_agent_read, .on_write = on_agent_write, .fd = parts->fd[SIDE_AGENT]};
    c->timer.on_fire = on_timer;
    list_init(&c->of_worker);
    return c;
}

/* Two that work together could hold all descriptors otherwise; who does not has a few. */
static void end_oldest(const struct pair *pair)
{
    relay_circuit_end(container_of(pair->circuits.next, struct relay_circuit, of_pair),
                      "the user has too many to this agent, and this is the oldest");
}

/* Hands it to its worker. */
static void hand_over(struct relay_circuit *c)
{
    if (c->pair->circuit_count >= CIRCUITS_PER_USER_AGENT)
        end_oldest(c->pair);
    list_append(&c->relay->circuits, &c->all);
    list_append(&c->pair->circuits, &c->of_pair);
    c->pair->circuit_count++;
    c->worker->circuit_count++;
    if (worker_is_desk(c->worker))
        begin(c);
    else
        loop_post(c->worker->loop, &c->call);
}

static void give_up(const struct pending *p, struct relay_circuit *c, struct circuit_parts *parts)
{
    log_error("circuit %s: ended: no memory to join it", p->label);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        if (c)
            fifo_clear(&c->direction[side].splice.held);
        close(parts->fd[side]);
    }
    free(c);
}

void relay_circuit_join(const struct pending *p, struct circuit_parts *parts)
{
    struct relay_circuit *c = circuit_of(p, parts);
    bool put = c && put_first(c, SIDE_CLIENT, parts) && put_first(c, SIDE_AGENT, parts);
    fifo_clear(&parts->first[SIDE_CLIENT]);
    fifo_clear(&parts->first[SIDE_AGENT]);
    if (put)
        hand_over(c);
    else
        give_up(p, c, parts);
}
