/* Moves bytes between an application's descriptors and a stream, as far as both take them, and
 * turns the end of one into the same kind of end of the other. */
#include "forward/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fifo.h"
#include "forward/http_request.h"
#include "net/socket.h"

struct endpoint {
    struct io in, out; /* a socket uses `in` for both directions */
    bool is_socket, is_unix;
    bool last_kept; /* is_unix: the last byte that was read is in the kernel's queue still */
    int in_flags, out_flags; /* of a pair, to be put back */
    struct loop *loop;
    struct stream *stream;
    struct fifo unread; /* read from the application before: goes first */
    bool limited;
    struct http_body body; /* limited: of the application's bytes these go to the stream, and its
                              end when there are others */
    struct deferred burial;
    endpoint_ended *ended;
    void *arg;
};

static struct io *out_of(struct endpoint *e)
{
    return e->is_socket ? &e->in : &e->out;
}

static void bury(struct deferred *burial)
{
    struct endpoint *e = container_of(burial, struct endpoint, burial);
    fifo_clear(&e->unread);
    free(e);
}

/* Other processes may share the descriptors of a pair, and did not ask for O_NONBLOCK. */
static void restore_flags(const struct endpoint *e)
{
    fcntl(e->in.fd, F_SETFL, e->in_flags);
    fcntl(e->out.fd, F_SETFL, e->out_flags);
}

/* Takes bytes off the queue of a UNIX socket that were read before. */
static void take_off(int fd, size_t len)
{
    uint8_t unused[4096];
    while (len > 0) {
        ssize_t n = recv(fd, unused, len < sizeof unused ? len : sizeof unused, 0);
        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}

/* A UNIX socket knows no reset, but its peer gets ECONNRESET when it is closed with bytes unread.
 * So the last byte stays in the queue, until the next ones come or the end is clean. As readv. */
static ssize_t read_keeping_last(struct endpoint *e, struct iovec *piece, int pieces)
{
    struct msghdr message = {.msg_iov = piece, .msg_iovlen = (size_t)pieces};
    int queued = 0;
    ssize_t n;
    if (ioctl(e->in.fd, FIONREAD, &queued) != 0)
        return -1;
    if (queued <= (int)e->last_kept) {
        errno = EAGAIN;
        return e->in.hung_up ? 0 : -1;
    }
    take_off(e->in.fd, e->last_kept);
    n = recvmsg(e->in.fd, &message, MSG_PEEK);
    e->last_kept = n > 0;
    if (n > 0)
        take_off(e->in.fd, (size_t)n - 1);
    return n;
}

static void close_clean(struct endpoint *e)
{
    take_off(e->in.fd, e->last_kept);
    socket_close_clean(e->in.fd);
}

/* Closes (with a reset unless it ended cleanly), tells the owner, frees at the end of the round. */
static void finish(struct endpoint *e, enum reset_code code, const char *text)
{
    io_remove(&e->in);
    io_remove(&e->out);
    if (e->is_socket && code)
        socket_close_reset(e->in.fd);
    else if (e->is_socket)
        close_clean(e);
    else
        restore_flags(e);
    e->stream = NULL;
    if (e->ended)
        e->ended(e->arg, code, text);
    loop_defer(e->loop, &e->burial);
}

/* The application's side failed while something was done, which is said of a pair. */
static void fail(struct endpoint *e, const char *doing, int error)
{
    struct stream *st = e->stream;
    char text[128];
    snprintf(text, sizeof text, "%s%s", e->is_socket ? "" : doing, system_text(error));
    if (st)
        stream_reset(st, RESET_BY_TARGET, text);
    finish(e, RESET_BY_APPLICATION, text);
}

static void on_readable(struct io *io)
{
    struct endpoint *e = container_of(io, struct endpoint, in);
    int error = 0;
    socklen_t len = sizeof error;
    if (!e->stream)
        return;
    /* A reset shows even while the stream has no credit to read on. */
    if (io->hung_up && e->is_socket &&
        getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
        fail(e, "", error);
    else
        stream_readable(e->stream);
}

static void on_writable(struct io *io)
{
    struct endpoint *e = container_of(io, struct endpoint, out);
    if (e->stream)
        stream_writable(e->stream);
}

static void on_socket_writable(struct io *io)
{
    struct endpoint *e = container_of(io, struct endpoint, in);
    if (e->stream)
        stream_writable(e->stream);
}

static struct endpoint *new_endpoint(struct loop *loop, endpoint_ended *ended, void *arg)
{
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->loop = loop;
    e->ended = ended;
    e->arg = arg;
    e->in.fd = e->out.fd = -1;
    e->in.on_read = on_readable;
    e->in.on_write = on_socket_writable;
    e->out.on_write = on_writable;
    e->burial.run = bury;
    return e;
}

struct endpoint *endpoint_new(struct loop *loop, int fd, bool is_unix, endpoint_ended *ended,
                              void *arg)
{
    struct endpoint *e = new_endpoint(loop, ended, arg);
    if (e && !io_add(loop, &e->in, fd)) {
        free(e);
        return NULL;
    }
    if (e) {
        e->is_socket = true;
        e->is_unix = is_unix;
        io_presume_writable(&e->in); /* it is connected */
    }
    return e;
}

struct endpoint *endpoint_new_pair(struct loop *loop, int in, int out, endpoint_ended *ended,
                                   void *arg)
{
    struct endpoint *e = new_endpoint(loop, ended, arg);
    if (!e || !io_add(loop, &e->in, in) || !io_add(loop, &e->out, out)) {
        if (e)
            io_remove(&e->in);
        free(e);
        return NULL;
    }
    e->in_flags = fcntl(in, F_GETFL);
    e->out_flags = fcntl(out, F_GETFL);
    fcntl(in, F_SETFL, e->in_flags | O_NONBLOCK);
    fcntl(out, F_SETFL, e->out_flags | O_NONBLOCK);
    return e;
}

bool endpoint_unread(struct endpoint *e, struct view bytes)
{
    return fifo_append(&e->unread, bytes.data, bytes.len);
}

void endpoint_limit(struct endpoint *e, const struct http_body *body)
{
    e->limited = true;
    e->body = *body;
}

void endpoint_start(struct endpoint *e, struct stream *stream)
{
    e->stream = stream;
    io_want_read(&e->in);
    if (e->unread.bytes || e->body.surplus)
        stream_readable(stream);
}

void endpoint_start_accepted(struct endpoint *e, struct stream *stream)
{
    io_presume_readable(&e->in);
    endpoint_start(e, stream);
    stream_readable(stream);
}

void endpoint_drop(struct endpoint *e)
{
    e->ended = NULL;
    finish(e, RESET_INTERNAL, "");
}

static ssize_t pull_unread(struct endpoint *e, const struct iovec *piece)
{
    struct view front = fifo_front(&e->unread);
    size_t n = front.len < piece->iov_len ? front.len : piece->iov_len;
    memcpy(piece->iov_base, front.data, n);
    fifo_drop(&e->unread, n);
    return (ssize_t)n;
}

/* So many of n bytes that were read belong to the body. */
static ssize_t within_body(struct endpoint *e, const struct iovec *piece, ssize_t n)
{
    size_t left = (size_t)n, taken = 0, len = 0;
    for (; left > 0 && taken == (size_t)n - left; piece++, left -= len) {
        len = left < piece->iov_len ? left : piece->iov_len;
        taken += http_body_take(&e->body, view_of(piece->iov_base, len));
    }
    return taken > 0 ? (ssize_t)taken : STREAM_PULL_EOF;
}

static ssize_t pull(void *owner, struct iovec *piece, int pieces)
{
    struct endpoint *e = owner;
    size_t asked = 0;
    ssize_t n;
    if (e->unread.bytes)
        return pull_unread(e, piece);
    if (e->body.surplus)
        return STREAM_PULL_EOF;
    if (!io_can_read(&e->in)) {
        io_want_read(&e->in);
        return STREAM_PULL_NONE;
    }
    for (int i = 0; i < pieces; i++)
        asked += piece[i].iov_len;
    do
        n = e->is_unix ? read_keeping_last(e, piece, pieces) : readv(e->in.fd, piece, pieces);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return STREAM_PULL_EOF;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        io_read_drained(&e->in);
        io_want_read(&e->in);
        return STREAM_PULL_NONE;
    }
    if (n < 0) {
        fail(e, "cannot read standard input: ", errno);
        return STREAM_PULL_GONE;
    }
    if ((size_t)n < asked && e->is_socket && !e->in.hung_up && !e->in.urgent)
        io_read_drained(&e->in); /* a short read: the next bytes make a new edge */
    return e->limited ? within_body(e, piece, n) : n;
}

static size_t push(void *owner, const uint8_t *data, size_t len)
{
    struct endpoint *e = owner;
    struct io *out = out_of(e);
    size_t taken = 0;
    while (taken < len && io_can_write(out)) {
        ssize_t n = e->is_socket ? send(out->fd, data + taken, len - taken, MSG_NOSIGNAL)
                                 : write(out->fd, data + taken, len - taken);
        if (n >= 0) {
            taken += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            io_write_blocked(out);
        } else if (errno != EINTR) {
            fail(e, "cannot write to standard output: ", errno);
            return 0;
        }
    }
    if (taken < len)
        io_want_write(out);
    return taken;
}

static void on_eof(void *owner)
{
    struct endpoint *e = owner;
    if (e->is_socket) {
        shutdown(e->in.fd, SHUT_WR);
        return;
    }
    io_remove(&e->out);
    restore_flags(e);
    close(e->out.fd);
    fcntl(e->in.fd, F_SETFL, e->in_flags | O_NONBLOCK); /* they may be one open file */
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    finish(owner, code ? code : RESET_INTERNAL, text);
}

static void on_done(void *owner)
{
    finish(owner, 0, "");
}

const struct stream_events endpoint_events = {
    .pull = pull,
    .push = push,
    .on_eof = on_eof,
    .on_reset = on_reset,
    .on_done = on_done,
};
