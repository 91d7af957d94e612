/* Accepting. Who may come in, and what a connection is for, is the owner's affair. */
#include "net/door.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"

#define ACCEPTS_AN_EVENT 64
#define PAUSE_US (100 * CLOCK_US_PER_MS)

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Returns true when the next can be accepted in this event. */
static bool accept_one(struct door *d)
{
    struct address peer;
    int fd = socket_accept(d->io.fd, &peer);
    if (fd >= 0) {
        d->events->take(d->owner, fd, &peer);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        io_read_drained(&d->io);
        io_want_read(&d->io);
        return false;
    }
    if (!is_shortage(errno))
        return true; /* that one failed before it was accepted */
    if (d->events->on_shortage(d->owner))
        return true;
    timer_set(d->loop, &d->pause, loop_now(d->loop) + PAUSE_US);
    return false;
}

static void on_read(struct io *io)
{
    struct door *d = container_of(io, struct door, io);
    const struct door_events *events = d->events;
    for (int i = 0; i < ACCEPTS_AN_EVENT; i++)
        if (!d->going || (events->may_take && !events->may_take(d->owner)) || !accept_one(d))
            return;
    io_want_read(io);
}

static void on_pause_over(struct timer *timer)
{
    struct door *d = container_of(timer, struct door, pause);
    if (d->going)
        io_want_read(&d->io);
}

/* The path of its UNIX socket; "": it has none. */
static const char *path_of(const struct door *d)
{
    return address_is_unix(&d->bound) ? ((const struct sockaddr_un *)&d->bound.storage)->sun_path
                                      : "";
}

static void remember_file(struct door *d)
{
    struct stat st = {0};
    if (lstat(path_of(d), &st) == 0) {
        d->device = st.st_dev;
        d->inode = st.st_ino;
    }
}

bool door_is_file(const struct door *d, const char *path)
{
    struct stat st;
    return d->loop && d->inode && stat(path, &st) == 0 && st.st_dev == d->device &&
           st.st_ino == d->inode;
}

bool door_open(struct door *d, struct loop *loop, const struct address *listen, int backlog,
               const struct door_events *events, void *owner, struct error *e)
{
    int fd = socket_listen(listen, backlog, e);
    if (fd < 0)
        return false;
    *d = (struct door){.io = {.on_read = on_read},
                       .pause = {.on_fire = on_pause_over},
                       .events = events,
                       .owner = owner,
                       .backlog = backlog};
    if (!address_of_socket(&d->bound, fd, false) || !io_add(loop, &d->io, fd)) {
        error_set(e, FAILURE_OTHER, "cannot listen: %s", system_text(errno));
        close(fd);
        socket_remove_file(listen);
        return false;
    }
    d->loop = loop;
    remember_file(d);
    return true;
}

void door_go(struct door *d)
{
    d->going = true;
    if (!d->shut)
        io_want_read(&d->io);
}

void door_stop(struct door *d)
{
    d->going = false;
    if (!d->shut)
        io_stop_read(&d->io);
}

static void close_socket(struct door *d)
{
    io_remove(&d->io);
    timer_cancel(d->loop, &d->pause);
    close(d->io.fd);
    if (door_is_file(d, path_of(d)))
        socket_remove_file(&d->bound);
}

bool door_shut(struct door *d, struct error *e)
{
    if (d->shut)
        return true;
    close_socket(d);
    d->io.fd = socket_bind(&d->bound, e);
    if (d->io.fd < 0) {
        d->loop = NULL;
        return false;
    }
    remember_file(d);
    d->shut = true;
    d->going = false;
    return true;
}

/* Another program may have found its file, on which nobody listened, and have replaced it. */
static bool has_its_file(const struct door *d, struct error *e)
{
    const char *path = path_of(d);
    return !path[0] || door_is_file(d, path) ||
           error_set(e, FAILURE_NETWORK,
                     "cannot listen on unix:%s: another program has replaced it", path);
}

bool door_unshut(struct door *d, struct error *e)
{
    if (!d->shut)
        return true;
    if (!has_its_file(d, e) || !socket_begin_listening(d->io.fd, &d->bound, d->backlog, e))
        return false;
    if (!io_add(d->loop, &d->io, d->io.fd))
        return error_set(e, FAILURE_OTHER, "cannot listen: %s", system_text(errno));
    d->shut = false;
    return true;
}

void door_close(struct door *d)
{
    if (!d->loop)
        return;
    close_socket(d);
    d->loop = NULL;
}
