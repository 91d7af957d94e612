#include "net/parting.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct parting {
    struct io io;
    struct timer limit;
    struct deferred burial;
    struct list place;
    struct partings *set;
    struct fifo unsent;
};

static void bury(struct deferred *burial)
{
    free(container_of(burial, struct parting, burial));
}

static void end(struct parting *p)
{
    io_remove(&p->io);
    timer_cancel(p->set->loop, &p->limit);
    list_remove(&p->place);
    p->set->count--;
    fifo_clear(&p->unsent);
    close(p->io.fd);
    p->burial.run = bury;
    loop_defer(p->set->loop, &p->burial);
}

static void on_limit(struct timer *timer)
{
    end(container_of(timer, struct parting, limit));
}

static void on_read(struct io *io)
{
    uint8_t thrown_away[16384];
    ssize_t n = recv(io->fd, thrown_away, sizeof thrown_away, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        end(container_of(io, struct parting, io));
        return;
    }
    if (n < 0 && errno != EINTR)
        io_read_drained(io);
    io_want_read(io);
}

static void on_write(struct io *io)
{
    struct parting *p = container_of(io, struct parting, io);
    while (p->unsent.bytes) {
        struct view front = fifo_front(&p->unsent);
        ssize_t n = send(io->fd, front.data, front.len, MSG_NOSIGNAL);
        if (n > 0) {
            fifo_drop(&p->unsent, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            io_write_blocked(io);
            io_want_write(io);
            return;
        } else if (errno != EINTR) {
            return; /* on_read sees what is wrong */
        }
    }
    shutdown(io->fd, SHUT_WR);
}

void partings_init(struct partings *p, struct loop *loop)
{
    p->loop = loop;
    p->count = 0;
    list_init(&p->all);
}

void partings_add(struct partings *set, int fd, struct fifo *unsent)
{
    struct parting *p = calloc(1, sizeof *p);
    if (!p || !io_add(set->loop, &p->io, fd)) {
        fifo_clear(unsent);
        close(fd);
        free(p);
        return;
    }
    p->set = set;
    p->unsent = *unsent;
    fifo_init(unsent);
    p->io.on_read = on_read;
    p->io.on_write = on_write;
    p->limit.on_fire = on_limit;
    list_append(&set->all, &p->place);
    if (++set->count > PARTINGS_MAX)
        end(container_of(set->all.next, struct parting, place));
    timer_set(set->loop, &p->limit, loop_now(set->loop) + PARTING_S * CLOCK_US_PER_S);
    io_want_read(&p->io);
    on_write(&p->io); /* the loop may be about to stop */
}

void partings_free(struct partings *p)
{
    while (p->loop && !list_empty(&p->all))
        end(container_of(p->all.next, struct parting, place));
}
