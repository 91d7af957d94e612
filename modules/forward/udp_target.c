/* The acceptor's socket of a stream of datagrams. It has no end of its own but being idle. */
#include "forward/udp_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_rates.h"
#include "net/address.h"
#include "net/socket.h"
#include "wire/limits.h"

#define LARGEST_BYTES 65536 /* no UDP datagram has as many */
#define BUDGET_BYTES \
    (32U << 10)        /* of one event: half of what a session lets wait, so that it keeps up */
#define COST_BYTES 256 /* of one datagram, beside its own */
#define ANSWERED_US (5 * CLOCK_US_PER_S) /* an answer's port counts so long */
#define IDLE_US (DATAGRAM_IDLE_S * CLOCK_US_PER_S)

struct udp_target {
    struct io io;
    struct timer idle;
    struct loop *loop;
    struct stream *stream;
    uint64_t used_us;
    struct deferred burial;
    struct address address, peer; /* of the target, and where its last answer came from */
    bool any_port;
    uint64_t answered_us;
    bool failed; /* and the log says so */
    struct log_party by;
    endpoint_ended *ended;
    void *arg;
    char label[480];
};

static void bury(struct deferred *burial)
{
    free(container_of(burial, struct udp_target, burial));
}

/* Frees at the end of the round: this may be its own callback. */
static void finish(struct udp_target *t, enum reset_code code, const char *text)
{
    io_remove(&t->io);
    timer_cancel(t->loop, &t->idle);
    close(t->io.fd);
    t->stream = NULL;
    t->ended(t->arg, code, text);
    loop_defer(t->loop, &t->burial);
}

static void note_error(struct udp_target *t, int error)
{
    if (!t->failed)
        log_caused(t->by.all, t->by.key, loop_now(t->loop), LOG_INFO, "%s: %s; datagrams go on",
                   t->label, system_text(error));
    t->failed = true;
}

/* False: a datagram of another host. */
static bool take_from(struct udp_target *t, const struct address *from)
{
    unsigned all_bits = from->storage.ss_family == AF_INET ? 32 : 128;
    if (!t->any_port)
        return true;
    if (!address_in_prefix(from, &t->address, all_bits))
        return false;
    t->peer = *from;
    t->answered_us = loop_now(t->loop);
    return true;
}

static void on_read(struct io *io)
{
    struct udp_target *t = container_of(io, struct udp_target, io);
    uint8_t bytes[LARGEST_BYTES];
    size_t done = 0;
    while (t->stream && done < BUDGET_BYTES) {
        struct address from = {.len = sizeof from.storage};
        ssize_t n =
            recvfrom(io->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from.storage, &from.len);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            io_read_drained(io);
            break;
        }
        done += COST_BYTES;
        if (n < 0) {
            note_error(t, errno); /* of one that was sent before */
            continue;
        }
        done += (size_t)n;
        if (!take_from(t, &from))
            continue;
        t->used_us = loop_now(t->loop);
        stream_send_datagram(t->stream, view_of(bytes, (size_t)n));
    }
    io_want_read(io);
}

static void on_idle(struct timer *timer)
{
    struct udp_target *t = container_of(timer, struct udp_target, idle);
    if (loop_now(t->loop) - t->used_us < IDLE_US) {
        timer_set(t->loop, timer, t->used_us + IDLE_US);
        return;
    }
    stream_cut(t->stream, RESET_TIMEOUT, "no datagram for a while");
}

struct udp_target *udp_target_new(struct loop *loop, int fd, const struct address *address,
                                  bool any_port, const char *label, const struct log_party *by,
                                  endpoint_ended *ended, void *arg)
{
    struct udp_target *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = loop;
    t->io.on_read = on_read;
    t->idle.on_fire = on_idle;
    t->burial.run = bury;
    t->by = *by;
    t->address = t->peer = *address;
    t->any_port = any_port;
    t->ended = ended;
    t->arg = arg;
    snprintf(t->label, sizeof t->label, "%s", label);
    if ((!any_port || socket_leave_peer(fd)) && io_add(loop, &t->io, fd))
        return t;
    free(t);
    return NULL;
}

void udp_target_start(struct udp_target *t, struct stream *stream)
{
    t->stream = stream;
    t->used_us = loop_now(t->loop);
    timer_set(t->loop, &t->idle, t->used_us + IDLE_US);
    io_want_read(&t->io);
}

static ssize_t transmit(struct udp_target *t, struct view bytes)
{
    const struct sockaddr *to = (const struct sockaddr *)&t->peer.storage;
    if (!t->any_port)
        return send(t->io.fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (loop_now(t->loop) - t->answered_us > ANSWERED_US)
        t->peer = t->address;
    return sendto(t->io.fd, bytes.data, bytes.len, MSG_NOSIGNAL, to, t->peer.len);
}

void udp_target_send(struct udp_target *t, struct view bytes)
{
    ssize_t n = transmit(t, bytes);
    t->used_us = loop_now(t->loop);
    if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK)
        return;
    note_error(t, errno); /* perhaps of one before: then this one was not sent */
    transmit(t, bytes);
}

static void on_datagram(void *owner, struct view bytes)
{
    udp_target_send(owner, bytes);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    finish(owner, code, text);
}

const struct stream_events udp_target_events = {.on_datagram = on_datagram, .on_reset = on_reset};
