#include "forward/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exits.h"
#include "base/log.h"
#include "net/socket.h"

#define BACKLOG 1024
#define ACCEPTS_A_ROUND 64
#define RETRY_US (100 * CLOCK_US_PER_MS) /* without descriptors or memory */

struct listener {
    struct io io;
    struct timer retry;
    struct loop *loop;
    struct session *session;
    char target[TARGET_TEXT_BYTES];
    char address[ADDRESS_TEXT_BYTES];
};

/* What went wrong with one connection, for the user: the application sees only a reset. */
static void stream_ended(void *arg, unsigned code, const char *text)
{
    struct listener *l = arg;
    if (code)
        log_info("%s: %s%s%s", l->target, reset_code_text(code), text[0] ? ": " : "", text);
}

/* False: wait before the next. */
static bool accept_one(struct listener *l)
{
    struct address peer;
    struct endpoint *e;
    struct stream *st;
    int fd = socket_accept(l->io.fd, &peer);
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        io_read_drained(&l->io);
        io_want_read(&l->io);
        return false;
    }
    if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
        return true;
    if (fd < 0) {
        log_warning("cannot accept on %s: %s", l->address, strerror(errno));
        timer_set(l->loop, &l->retry, loop_now(l->loop) + RETRY_US);
        return false;
    }
    socket_set_application(fd);
    e = endpoint_new(l->loop, fd, stream_ended, l);
    if (!e) {
        socket_close_reset(fd);
        return true;
    }
    st = stream_open(l->session, l->target, &endpoint_events, e);
    if (!st) {
        endpoint_drop(e);
        return false;
    }
    endpoint_start(e, st);
    return true;
}

static void on_read(struct io *io)
{
    struct listener *l = container_of(io, struct listener, io);
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        /* Over the limit connections wait in the kernel; on_room brings us back. */
        if (!l->session || !session_may_open(l->session) || !accept_one(l))
            return;
    }
    io_want_read(io);
}

static void on_retry(struct timer *timer)
{
    listener_resume(container_of(timer, struct listener, retry));
}

struct listener *listener_new(struct loop *loop, const struct forward *forward, struct error *e)
{
    struct address bound;
    struct listener *l = calloc(1, sizeof *l);
    int fd = socket_listen(&forward->listen, BACKLOG, e);
    if (!l || fd < 0)
        goto fail;
    l->loop = loop;
    l->io.on_read = on_read;
    l->retry.on_fire = on_retry;
    target_to_text(l->target, &forward->target);
    if (!address_of_socket(&bound, fd, false) || !io_add(loop, &l->io, fd)) {
        error_set(e, EXIT_OTHER, "cannot listen: %s", strerror(errno));
        goto fail;
    }
    address_to_text(l->address, &bound);
    return l;
fail:
    if (fd >= 0)
        close(fd);
    free(l);
    return NULL;
}

void listener_set_session(struct listener *l, struct session *s)
{
    l->session = s;
    if (s)
        io_want_read(&l->io);
    else
        io_stop_read(&l->io);
}

void listener_resume(struct listener *l)
{
    if (l->session)
        io_want_read(&l->io);
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    io_remove(&l->io);
    timer_cancel(l->loop, &l->retry);
    close(l->io.fd);
    free(l);
}
