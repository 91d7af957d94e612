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
#include "relay/server.h"

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
    text_duration(duration, loop_now(c->relay->loop) - c->started_us);
    log_info("circuit %s: ended: %s, %s up, %s down, %s", c->id, why, up, down, duration);
}

static void free_deferred(struct deferred *d)
{
    free(container_of(d, struct relay_circuit, deferred));
}

static void free_after_round(struct relay_circuit *c)
{
    list_remove(&c->all);
    timer_cancel(c->relay->loop, &c->timer);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        io_remove(&c->io[side]);
        close(c->io[side].fd);
        splice_end(&c->direction[side].splice, c->relay->pipes);
    }
    c->deferred.run = free_deferred;
    loop_defer(c->relay->loop, &c->deferred);
}

void relay_circuit_end(struct relay_circuit *c, const char *why)
{
    log_end(c, why);
    free_after_round(c);
}

static void end_failed(struct relay_circuit *c, enum circuit_side side, int error)
{
    char why[96];
    snprintf(why, sizeof why, "%s: %s", side_name(side), strerror(error));
    relay_circuit_end(c, why);
}

/* A direction is over: the other one has a while to come to its end too. */
static void end_direction(struct relay_circuit *c, enum circuit_side from)
{
    char why[32];
    enum circuit_side to = other_side(from);
    c->direction[from].ended = true;
    if (c->direction[to].ended) {
        snprintf(why, sizeof why, "%s closed", side_name(c->first_ended));
        relay_circuit_end(c, why);
        return;
    }
    c->first_ended = from;
    c->drain_until_us = loop_now(c->relay->loop) + CIRCUIT_DRAIN_S * CLOCK_US_PER_S;
    timer_set(c->relay->loop, &c->timer, c->drain_until_us);
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
    splice_end(&c->direction[from].splice, c->relay->pipes);
    end_direction(c, from);
    c->first_ended = other_side(from);
}

/* Forwards what can be forwarded from one side, and asks the loop for what is then waited for. */
static void forward(struct relay_circuit *c, enum circuit_side from)
{
    struct direction *d = &c->direction[from];
    struct io *source = &c->io[from], *sink = &c->io[other_side(from)];
    size_t moved = 0;
    if (d->ended) {
        return;
    }
    enum splice_result result =
        splice_run(&d->splice, c->relay->pipes, source->fd, sink->fd, BUDGET_BYTES, &moved);
    int error = errno;
    if (moved > 0) {
        d->bytes += moved;
        c->last_us = loop_now(c->relay->loop);
    }
    switch (result) {
    case SPLICE_AGAIN:
        io_want_write(sink);
        break;
    case SPLICE_NEED_READ:
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
    uint64_t now = loop_now(c->relay->loop);
    uint64_t idle_until = c->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S;
    if (now >= c->drain_until_us) {
        char why[32];
        snprintf(why, sizeof why, "%s closed", side_name(c->first_ended));
        relay_circuit_end(c, why);
    } else if (now >= idle_until) {
        relay_circuit_end(c, "no byte from either side for 90 s");
    } else {
        timer_set(c->relay->loop, &c->timer,
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

static void start(struct relay_circuit *c)
{
    log_info("circuit %s: joined", c->id);
    timer_set(c->relay->loop, &c->timer, c->last_us + CIRCUIT_IDLE_S * CLOCK_US_PER_S);
    /* Each direction begins by writing what goes first, and goes on by reading. */
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        io_want_read(&c->io[side]);
        io_want_write(&c->io[side]);
    }
}

static struct relay_circuit *circuit_of(const struct pending *p)
{
    struct relay_circuit *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->relay = p->relay;
    c->user = p->user;
    c->agent = p->agent;
    memcpy(c->id, p->id, sizeof c->id);
    c->started_us = c->last_us = loop_now(p->relay->loop);
    c->drain_until_us = CLOCK_NEVER;
    c->io[SIDE_CLIENT] = (struct io){.on_read = on_client_read, .on_write = on_client_write};
    c->io[SIDE_AGENT] = (struct io){.on_read = on_agent_read, .on_write = on_agent_write};
    c->timer.on_fire = on_timer;
    list_append(&p->relay->circuits, &c->all);
    return c;
}

void relay_circuit_join(const struct pending *p, struct circuit_parts *parts)
{
    struct relay_circuit *c = circuit_of(p);
    bool joined = c != NULL;
    for (int side = SIDE_CLIENT; joined && side <= SIDE_AGENT; side++) {
        joined = put_first(c, (enum circuit_side)side, parts) &&
                 io_add(p->relay->loop, &c->io[side], parts->fd[side]);
    }
    fifo_clear(&parts->first[SIDE_CLIENT]);
    fifo_clear(&parts->first[SIDE_AGENT]);
    if (joined) {
        start(c);
        return;
    }
    log_error("circuit %s: ended: no memory or descriptors to join it", p->id);
    for (int side = SIDE_CLIENT; side <= SIDE_AGENT; side++) {
        if (c) {
            io_remove(&c->io[side]);
            splice_end(&c->direction[side].splice, p->relay->pipes);
        }
        close(parts->fd[side]);
    }
    if (c) {
        list_remove(&c->all);
        free(c);
    }
}
