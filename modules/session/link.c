#include "session/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"

#define BUDGET_BYTES (1U << 20) /* of one event, then the others have their turn */

static struct link *link_of_io(struct io *io)
{
    return container_of(io, struct link, io);
}

static void set_timer(struct link *link)
{
    timer_set(link->loop, &link->timer, circuit_deadline(&link->circuit));
}

/* Tells the owner once something has changed; the link may be gone afterwards. */
static void settle(struct link *link)
{
    struct session *s = link->circuit.session;
    enum session_state state = s ? session_state(s) : SESSION_ENDED;
    if (link->circuit.failed.code || state == SESSION_CLOSED || state == SESSION_ENDED)
        link->on_change(link);
    else
        set_timer(link);
}

static void network_failed(struct link *link, const char *what)
{
    circuit_fail(&link->circuit, CODE_NETWORK, what);
}

/* Writes bytes; how many, 0 when the socket takes none now. */
static size_t write_some(struct link *link, struct view bytes)
{
    ssize_t n = send(link->io.fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (n >= 0) {
        link->bytes_written += (uint64_t)n;
        return (size_t)n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        io_write_blocked(&link->io);
    else if (errno != EINTR)
        network_failed(link, strerror(errno));
    return 0;
}

static bool write_first(struct link *link)
{
    while (link->first.bytes) {
        size_t n = write_some(link, fifo_front(&link->first));
        if (!n)
            return false;
        fifo_drop(&link->first, n);
    }
    return true;
}

void link_flush(struct link *link)
{
    size_t budget = BUDGET_BYTES;
    uint64_t now = loop_refresh_now(link->loop);
    if (!io_can_write(&link->io) || !write_first(link)) {
        io_want_write(&link->io);
        return;
    }
    while (budget > 0) {
        struct view out = circuit_output(&link->circuit, now);
        size_t n = out.len ? write_some(link, out) : 0;
        circuit_written(&link->circuit, n);
        if (!out.len || link->circuit.failed.code)
            return;
        if (n < out.len)
            break;
        budget -= n < budget ? n : budget;
    }
    io_want_write(&link->io);
}

static void on_write(struct io *io)
{
    struct link *link = link_of_io(io);
    link_flush(link);
    settle(link);
}

static void on_read(struct io *io)
{
    struct link *link = link_of_io(io);
    size_t budget = BUDGET_BYTES;
    while (budget > 0 && !link->circuit.failed.code && link->circuit.session &&
           session_state(link->circuit.session) != SESSION_ENDED) {
        size_t room;
        uint8_t *space = circuit_input_space(&link->circuit, &room);
        ssize_t n = recv(io->fd, space, room, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            io_read_drained(io);
            break;
        }
        if (n <= 0) {
            network_failed(link, n ? strerror(errno) : "the connection was closed");
            break;
        }
        link->bytes_read += (uint64_t)n;
        circuit_input(&link->circuit, (size_t)n, loop_now(link->loop));
        budget -= (size_t)n < budget ? (size_t)n : budget;
        if ((size_t)n < room && !io->hung_up) {
            io_read_drained(io); /* a short read: the next bytes make a new edge */
            break;
        }
    }
    io_want_read(io);
    settle(link);
}

static void on_fire(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, timer);
    circuit_tick(&link->circuit, loop_now(link->loop));
    settle(link);
}

static void on_deferred(struct deferred *deferred)
{
    struct link *link = container_of(deferred, struct link, flush);
    link_flush(link);
    settle(link);
}

bool link_open(struct link *link, struct loop *loop, int fd, struct fifo *unsent, struct view rest)
{
    link->loop = loop;
    link->io.on_read = on_read;
    link->io.on_write = on_write;
    link->timer.on_fire = on_fire;
    link->flush.run = on_deferred;
    if (!io_add(loop, &link->io, fd)) {
        link->loop = NULL; /* nothing to close */
        return false;
    }
    link->first = *unsent;
    fifo_init(unsent);
    while (rest.len) {
        size_t room;
        uint8_t *space = circuit_input_space(&link->circuit, &room);
        size_t n = rest.len < room ? rest.len : room;
        memcpy(space, rest.data, n);
        circuit_input(&link->circuit, n, loop_now(loop));
        rest = view_of(rest.data + n, rest.len - n);
    }
    io_want_read(&link->io);
    timer_set(loop, &link->timer, loop_now(loop)); /* looks at what the rest has brought */
    link_wake(link);
    return true;
}

void link_wake(struct link *link)
{
    if (link->loop)
        loop_defer(link->loop, &link->flush);
}

/* All but the socket, which is the caller's. */
static int link_release(struct link *link)
{
    int fd = link->io.fd;
    loop_undefer(&link->flush);
    io_remove(&link->io);
    timer_cancel(link->loop, &link->timer);
    circuit_free(&link->circuit);
    fifo_clear(&link->first);
    *link = (struct link){.on_change = link->on_change};
    return fd;
}

void link_close(struct link *link)
{
    if (link->loop)
        close(link_release(link));
}

void link_part(struct link *link, struct partings *partings)
{
    struct fifo unsent = {0};
    struct view out;
    if (!link->loop)
        return;
    unsent = link->first;
    fifo_init(&link->first);
    while ((out = circuit_output(&link->circuit, loop_now(link->loop))).len &&
           fifo_append(&unsent, out.data, out.len))
        circuit_written(&link->circuit, out.len);
    partings_add(partings, link_release(link), &unsent);
}
