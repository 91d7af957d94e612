#include "hop/carrier.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"

#define READ_BYTES 65536
#define READS_AN_EVENT 4

static bool hop_reads(const struct hop *h)
{
    return h->state != HOP_READING && h->state != HOP_SILENT && h->state != HOP_DETACHED &&
           h->state != HOP_ENDED;
}

/* Writes what stands in out until it is empty or the socket takes no more. An error is kept for
 * when reading has come to the end: what the peer said before it closed is still to be read. */
static void write_out(struct carrier *c)
{
    struct fifo *out = &c->hop.out;
    while (out->bytes > 0) {
        struct view front = fifo_front(out);
        ssize_t n = send(c->io.fd, front.data, front.len, MSG_NOSIGNAL);
        if (n >= 0) {
            fifo_drop(out, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            io_write_blocked(&c->io);
            return;
        } else if (errno != EINTR) {
            c->write_error = errno;
            fifo_clear(out);
        }
    }
}

static uint64_t next_deadline(const struct carrier *c)
{
    uint64_t due = hop_deadline(&c->hop);
    if (c->hop.state == HOP_DETACHED)
        return CLOCK_NEVER;
    return c->deadline_us < due ? c->deadline_us : due;
}

/* Asks the loop for what the state needs next. An end is told from the timer, so never inside a
 * call of the owner. */
static void arm(struct carrier *c)
{
    if (c->hop.state == HOP_ENDED) {
        io_stop_read(&c->io);
        io_stop_write(&c->io);
        if (!c->closing) {
            c->closing = true;
            timer_set(c->loop, &c->timer, loop_now(c->loop));
        }
        return;
    }
    if (c->hop.out.bytes > 0)
        io_want_write(&c->io);
    if (hop_reads(&c->hop) && c->hop.out.bytes < CARRIER_OUT_MAX)
        io_want_read(&c->io);
    else
        io_stop_read(&c->io);
    timer_set(c->loop, &c->timer, next_deadline(c));
}

void carrier_update(struct carrier *c)
{
    if (!c->loop)
        return;
    write_out(c);
    arm(c);
}

/* The end of what comes from the socket: 0 bytes, or an error. */
static void read_ended(struct carrier *c, ssize_t n)
{
    int error = n < 0 ? errno : c->write_error;
    if (error)
        hop_fail(&c->hop, CODE_NETWORK, "the connection failed: %s", strerror(error));
    else
        hop_fail(&c->hop, CODE_NETWORK, "the connection was closed");
}

static void on_read(struct io *io)
{
    static _Thread_local uint8_t scratch[READ_BYTES];
    struct carrier *c = container_of(io, struct carrier, io);
    for (int i = 0; i < READS_AN_EVENT && hop_reads(&c->hop); i++) {
        ssize_t n = read(io->fd, scratch, sizeof scratch);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            io_read_drained(io);
            break;
        }
        if (n <= 0) {
            read_ended(c, n);
            break;
        }
        size_t used = hop_input(&c->hop, scratch, (size_t)n, loop_now(c->loop));
        if (c->hop.state == HOP_DETACHED && c->on_detached) {
            c->on_detached(c, view_of(scratch + used, (size_t)n - used));
            return; /* the carrier may be gone */
        }
        if (c->hop.out.bytes >= CARRIER_OUT_MAX)
            break;
    }
    carrier_update(c);
}

static void on_write(struct io *io)
{
    carrier_update(container_of(io, struct carrier, io));
}

/* The owner's limit has passed: the state says what was waited for. */
static void fail_deadline(struct carrier *c)
{
    struct hop *h = &c->hop;
    if (h->state == HOP_WAIT_HELLO || h->state == HOP_SILENT) {
        hop_fail(h, CODE_TIMEOUT, "no valid first message came in time");
    } else if (h->state == HOP_WAIT_WELCOME) {
        hop_fail(h, CODE_TIMEOUT,
                 "the %s did not answer the handshake in time; is its public key the right one?",
                 role_name(h->peer_role));
    } else if (h->state == HOP_WAIT_FIRST) {
        hop_fail(h, CODE_TIMEOUT, "the handshake was not completed in time");
    } else {
        hop_fail(h, CODE_TIMEOUT, "the time for it is over");
    }
}

static void on_timer(struct timer *timer)
{
    struct carrier *c = container_of(timer, struct carrier, timer);
    uint64_t now = loop_now(c->loop);
    if (c->hop.state == HOP_DETACHED)
        return;
    hop_tick(&c->hop, now);
    if (now >= c->deadline_us)
        fail_deadline(c);
    if (c->hop.state != HOP_ENDED) {
        carrier_update(c);
        return;
    }
    c->closing = true;
    write_out(c);
    io_stop_read(&c->io);
    io_stop_write(&c->io);
    c->on_ended(c); /* the carrier may be gone */
}

bool carrier_open(struct carrier *c, struct loop *loop, int fd)
{
    c->io = (struct io){.on_read = on_read, .on_write = on_write};
    c->timer = (struct timer){.on_fire = on_timer};
    if (!io_add(loop, &c->io, fd))
        return false;
    c->loop = loop;
    c->closing = c->handed_over = false;
    c->write_error = 0;
    if (c->deadline_us == 0)
        c->deadline_us = CLOCK_NEVER;
    carrier_update(c);
    return true;
}

void carrier_set_deadline(struct carrier *c, uint64_t deadline_us)
{
    c->deadline_us = deadline_us;
    if (c->loop)
        arm(c);
}

/* Out of the loop: no callback comes any more. */
static int leave_loop(struct carrier *c)
{
    int fd = c->io.fd;
    io_remove(&c->io);
    timer_cancel(c->loop, &c->timer);
    c->loop = NULL;
    return fd;
}

int carrier_take(struct carrier *c, struct fifo *unsent)
{
    *unsent = c->hop.out;
    fifo_init(&c->hop.out);
    c->handed_over = true;
    int fd = leave_loop(c);
    hop_free(&c->hop);
    return fd;
}

void carrier_close(struct carrier *c)
{
    if (c->loop) {
        write_out(c);
        close(leave_loop(c));
    }
    hop_free(&c->hop);
}
