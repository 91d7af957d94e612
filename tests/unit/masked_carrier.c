/* A carrier whose bytes are masked on the socket, and wait in buffers of its own both ways. */
#include "masked_carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AHEAD_BYTES 20000
#define GIVEN_BYTES 777 /* of a read at most */
#define BEHIND_BYTES 9000

struct masked {
    struct carrier carrier;
    uint64_t read, written; /* bytes unmasked, masked */
    uint8_t ahead[AHEAD_BYTES];
    size_t ahead_start, ahead_end;
    uint8_t behind[BEHIND_BYTES]; /* masked, not sent */
    size_t behind_len;
    bool ending;
};

uint8_t masked_carrier_mask(uint64_t i)
{
    return (uint8_t)(0x5a + i * 7);
}

static struct masked *masked_of(struct carrier *c)
{
    return container_of(c, struct masked, carrier);
}

/* As much of what is behind as the socket takes; the loop is asked for the rest. */
static bool send_behind(struct masked *m)
{
    while (m->behind_len > 0) {
        ssize_t n = send(m->carrier.io.fd, m->behind, m->behind_len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            io_write_blocked(m->carrier.out);
            io_want_write(m->carrier.out);
        }
        if (n < 0)
            return false;
        m->behind_len -= (size_t)n;
        memmove(m->behind, m->behind + n, m->behind_len);
    }
    if (m->ending)
        shutdown(m->carrier.io.fd, SHUT_WR);
    return true;
}

static ssize_t masked_read(struct carrier *c, void *data, size_t len)
{
    struct masked *m = masked_of(c);
    if (m->ahead_start == m->ahead_end) {
        ssize_t n = recv(c->io.fd, m->ahead, sizeof m->ahead, 0);
        if (n < 0 && errno == EAGAIN)
            io_read_drained(&c->io);
        if (n <= 0)
            return n;
        for (ssize_t i = 0; i < n; i++)
            m->ahead[i] ^= masked_carrier_mask(m->read++);
        m->ahead_start = 0;
        m->ahead_end = (size_t)n;
    }
    size_t given = m->ahead_end - m->ahead_start;
    given = given < GIVEN_BYTES ? given : GIVEN_BYTES;
    given = given < len ? given : len;
    memcpy(data, m->ahead + m->ahead_start, given);
    m->ahead_start += given;
    return (ssize_t)given;
}

static ssize_t masked_write(struct carrier *c, const void *data, size_t len)
{
    struct masked *m = masked_of(c);
    const uint8_t *bytes = data;
    if (m->behind_len > 0 && !send_behind(m))
        return -1;
    size_t taken = 0;
    for (; taken < len && taken < sizeof m->behind; taken++)
        m->behind[taken] = bytes[taken] ^ masked_carrier_mask(m->written++);
    m->behind_len = taken;
    return send_behind(m) || errno == EAGAIN ? (ssize_t)taken : -1;
}

/* Its own bytes first, then its user's. */
static void on_write(struct io *io)
{
    struct carrier *c = container_of(io, struct carrier, io);
    if (send_behind(masked_of(c)) || errno != EAGAIN)
        carrier_writable(c);
}

static void masked_end(struct carrier *c)
{
    struct masked *m = masked_of(c);
    m->ending = true;
    send_behind(m);
}

static void masked_set_options(struct carrier *c)
{
    (void)c;
}

static void masked_close(struct carrier *c)
{
    send_behind(masked_of(c));
    close(c->io.fd);
    free(masked_of(c));
}

static const struct carrier_kind masked = {
    .read = masked_read,
    .write = masked_write,
    .end = masked_end,
    .set_options = masked_set_options,
    .close = masked_close,
};

struct carrier *masked_carrier_new(int fd)
{
    struct masked *m = calloc(1, sizeof *m);
    if (!m) {
        close(fd);
        return NULL;
    }
    carrier_init(&m->carrier, &masked, fd);
    m->carrier.io.on_write = on_write;
    return &m->carrier;
}
