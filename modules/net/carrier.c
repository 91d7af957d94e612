/* The part that every kind of carrier shares: its place in a loop, and the bytes that its users
 * hand on to each other. Knows no kind. */
#include "net/carrier.h"

#include <errno.h>
#include <string.h>

static void on_read(struct io *io)
{
    struct carrier *c = container_of(io, struct carrier, io);
    c->user->on_read(c);
}

static void on_write(struct io *io)
{
    carrier_writable(container_of(io, struct carrier, io));
}

void carrier_writable(struct carrier *c)
{
    if (carrier_flush(c) || errno != EAGAIN)
        c->user->on_write(c); /* who meets the error */
    else
        carrier_want_write(c);
}

void carrier_init(struct carrier *c, const struct carrier_kind *kind, int fd)
{
    *c = (struct carrier){
        .kind = kind,
        .io = {.on_read = on_read, .on_write = on_write, .fd = fd},
        .out = &c->io,
        .raw_in = -1,
        .raw_out = -1,
    };
}

/* ---- Its place in a loop. ---- */

static bool add(struct carrier *c, struct loop *loop)
{
    if (!io_add(loop, &c->io, c->io.fd))
        return false;
    if (c->out == &c->io || io_add(loop, c->out, c->out->fd))
        return true;
    io_remove(&c->io);
    return false;
}

/* Bytes that could be read in the last loop can be in this one, whatever epoll sees: a kind
 * may have bytes in memory. */
bool carrier_enter(struct carrier *c, struct loop *loop, const struct carrier_user *user,
                   void *owner)
{
    if (!add(c, loop))
        return false;
    c->user = user;
    c->owner = owner;
    if (c->readable || c->unread.bytes > 0 || c->lost)
        io_presume_readable(&c->io);
    if (c->writable)
        io_presume_writable(c->out);
    carrier_want_write(c); /* what is unsent, or a kind has still to write, waits for no user */
    return true;
}

void carrier_leave(struct carrier *c)
{
    if (!c->io.loop)
        return;
    c->readable = carrier_can_read(c);
    c->writable = carrier_can_write(c);
    io_remove(&c->io);
    io_remove(c->out);
}

void carrier_close(struct carrier *c)
{
    if (!c)
        return;
    carrier_leave(c);
    fifo_clear(&c->unsent);
    fifo_clear(&c->unread);
    c->kind->close(c);
}

/* ---- Its bytes. ---- */

static ssize_t read_unread(struct carrier *c, void *data, size_t len)
{
    struct view front = fifo_front(&c->unread);
    size_t n = front.len < len ? front.len : len;
    memcpy(data, front.data, n);
    fifo_drop(&c->unread, n);
    return (ssize_t)n;
}

ssize_t carrier_read(struct carrier *c, void *data, size_t len)
{
    if (c->lost) {
        errno = c->lost;
        return -1;
    }
    if (c->unread.bytes > 0)
        return read_unread(c, data, len);
    return c->kind->read(c, data, len);
}

bool carrier_flush(struct carrier *c)
{
    while (c->unsent.bytes > 0) {
        struct view front = fifo_front(&c->unsent);
        ssize_t n = c->kind->write(c, front.data, front.len);
        if (n < 0)
            return false;
        fifo_drop(&c->unsent, (size_t)n);
    }
    return true;
}

ssize_t carrier_write(struct carrier *c, const void *data, size_t len)
{
    if (c->unsent.bytes > 0 && !carrier_flush(c))
        return -1;
    return c->kind->write(c, data, len);
}

void carrier_end(struct carrier *c)
{
    c->kind->end(c);
}

void carrier_set_options(struct carrier *c)
{
    c->kind->set_options(c);
}

void carrier_owe(struct carrier *c, struct fifo *bytes)
{
    fifo_move(&c->unsent, bytes);
}

void carrier_unread(struct carrier *c, struct view bytes)
{
    struct fifo unread = {0};
    if (bytes.len == 0)
        return;
    if (!fifo_append(&unread, bytes.data, bytes.len)) {
        c->lost = ENOMEM;
        c->raw_in = -1; /* what the kernel would move comes after them */
        return;
    }
    fifo_move(&unread, &c->unread);
    c->unread = unread;
}
