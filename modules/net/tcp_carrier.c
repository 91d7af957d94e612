/* A carrier that is a socket as it is. */
#include "net/tcp_carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

/* A short read has emptied the socket: the next bytes make a new edge, and no call is spent on
 * EAGAIN. But after a hang-up the end is still to be read, and it makes no edge of its own. */
static ssize_t tcp_read(struct carrier *c, void *data, size_t len)
{
    ssize_t n;
    do
        n = recv(c->io.fd, data, len, 0);
    while (n < 0 && errno == EINTR);
    bool emptied = n < 0 ? errno == EAGAIN : n > 0 && (size_t)n < len && !c->io.hung_up;
    if (emptied)
        io_read_drained(&c->io);
    return n;
}

static ssize_t tcp_write(struct carrier *c, const void *data, size_t len)
{
    ssize_t n;
    do
        n = send(c->io.fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        io_write_blocked(c->out);
    return n;
}

static void tcp_end(struct carrier *c)
{
    shutdown(c->io.fd, SHUT_WR);
}

static void tcp_set_options(struct carrier *c)
{
    socket_set_carrier(c->io.fd);
}

static void tcp_close(struct carrier *c)
{
    close(c->io.fd);
    free(c);
}

static const struct carrier_kind tcp = {
    .read = tcp_read,
    .write = tcp_write,
    .end = tcp_end,
    .set_options = tcp_set_options,
    .close = tcp_close,
};

struct carrier *tcp_carrier_new(int fd)
{
    struct carrier *c = malloc(sizeof *c);
    if (!c) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    carrier_init(c, &tcp, fd);
    c->raw_in = c->raw_out = fd;
    return c;
}
