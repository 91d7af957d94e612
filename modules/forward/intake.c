#include "forward/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/socket.h"

#define BACKLOG 1024
#define ACCEPTS_A_ROUND 64
#define RETRY_US (100 * CLOCK_US_PER_MS) /* without descriptors or memory */

struct intake {
    struct io io;
    struct timer retry;
    struct loop *loop;
    const struct intake_events *events;
    void *owner;
    bool going;
    struct address bound;
    char text[ADDRESS_TEXT_BYTES];
};

/* False: wait before the next. */
static bool accept_one(struct intake *a)
{
    struct address peer;
    int fd = socket_accept(a->io.fd, &peer);
    if (fd >= 0) {
        if (!address_is_loopback(&a->bound))
            socket_avoid_pacing(fd); /* the application may be on this machine all the same */
        a->events->take(a->owner, fd, &peer);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        io_read_drained(&a->io);
        io_want_read(&a->io);
        return false;
    }
    log_warning("cannot accept on %s: %s", a->text, strerror(errno));
    timer_set(a->loop, &a->retry, loop_now(a->loop) + RETRY_US);
    return false;
}

static void on_read(struct io *io)
{
    struct intake *a = container_of(io, struct intake, io);
    for (int i = 0; i < ACCEPTS_A_ROUND; i++)
        if (!a->going || !a->events->may_take(a->owner) || !accept_one(a))
            return;
    io_want_read(io);
}

static void on_retry(struct timer *timer)
{
    struct intake *a = container_of(timer, struct intake, retry);
    if (a->going)
        io_want_read(&a->io);
}

/* Hops and circuits keep the last descriptors for themselves. */
static int open_listener(const struct address *listen, struct error *e)
{
    int fd = socket_listen(listen, BACKLOG, e);
    if (fd < 0 || !socket_is_scarce(fd))
        return fd;
    error_set(e, FAILURE_OTHER,
              "no descriptor is left to listen with; raise the limit of open files");
    close(fd);
    socket_remove_file(listen);
    return -1;
}

struct intake *intake_new(struct loop *loop, const struct address *listen,
                          const struct intake_events *events, void *owner, struct error *e)
{
    struct intake *a = calloc(1, sizeof *a);
    int fd = a ? open_listener(listen, e) : -1;
    if (!a || fd < 0) {
        error_set(e, FAILURE_OTHER, "out of memory");
        free(a);
        return NULL;
    }
    a->loop = loop;
    a->events = events;
    a->owner = owner;
    a->io.on_read = on_read;
    a->retry.on_fire = on_retry;
    if (!address_of_socket(&a->bound, fd, false) || !io_add(loop, &a->io, fd)) {
        error_set(e, FAILURE_OTHER, "cannot listen: %s", strerror(errno));
        close(fd);
        free(a);
        return NULL;
    }
    socket_set_application(fd, &a->bound);
    address_to_text(a->text, &a->bound);
    return a;
}

void intake_go(struct intake *a)
{
    a->going = true;
    io_want_read(&a->io);
}

void intake_stop(struct intake *a)
{
    a->going = false;
    io_stop_read(&a->io);
}

const char *intake_address(const struct intake *a)
{
    return a->text;
}

const struct address *intake_bound(const struct intake *a)
{
    return &a->bound;
}

void intake_free(struct intake *a)
{
    if (!a)
        return;
    io_remove(&a->io);
    timer_cancel(a->loop, &a->retry);
    close(a->io.fd);
    socket_remove_file(&a->bound);
    free(a);
}
