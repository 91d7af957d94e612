#include "relay/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "net/socket.h"
#include "relay/peer.h"
#include "relay/server.h"

/* As long as systems have it: a flood must not fill it between two rounds. */
#define LISTEN_BACKLOG 4096
#define ACCEPTS_AN_EVENT 64
#define SHORTAGE_PAUSE_US (100 * CLOCK_US_PER_MS)
#define SHORTAGE_LOG_US (60 * CLOCK_US_PER_S)

struct listener {
    struct io io;
    struct relay *relay;
};

static struct peer *peer_of_member(struct crowd_member *m)
{
    return container_of(m, struct peer, waiting);
}

/* Ends whoever stands in the way. */
static void make_way(struct crowd_member *m)
{
    if (m)
        peer_bye(peer_of_member(m), CODE_FULL, "its place was needed for a newer connection", 0);
}

static void take(struct relay *r, int fd, const struct address *address)
{
    uint8_t source[SOURCE_BYTES];
    address_source(source, address);
    if (!crowd_allows(&r->acceptor.crowd, source, loop_now(r->loop))) {
        close(fd);
        return;
    }
    make_way(crowd_in_the_way(&r->acceptor.crowd, CROWD_SILENT, source));
    peer_accept(r, fd, address, source);
}

void acceptor_handshake(struct relay *r, struct peer *peer)
{
    struct crowd *crowd = &r->acceptor.crowd;
    make_way(crowd_in_the_way(crowd, CROWD_HANDSHAKE, crowd_source(&peer->waiting)));
    crowd_advance(crowd, &peer->waiting);
    socket_set_carrier(peer->carrier.io.fd); /* not before: a stranger is worth few system calls */
}

void acceptor_not_authentic(struct relay *r, struct peer *peer)
{
    struct crowd *crowd = &r->acceptor.crowd;
    make_way(crowd_in_the_way(crowd, CROWD_SILENT, crowd_source(&peer->waiting)));
    crowd_retreat(crowd, &peer->waiting);
}

static void log_shortage(struct acceptor *a, uint64_t now_us)
{
    if (a->shortage_us == 0 || now_us - a->shortage_us >= SHORTAGE_LOG_US) {
        log_error("short of descriptors or memory for new connections: %s; raise the limit of open "
                  "files (LimitNOFILE=)",
                  strerror(errno));
        a->shortage_us = now_us;
    }
}

/* Descriptors or memory are short. True: the oldest silent connection has given its own back.
 * False: there was none; accepting pauses, for the connection that waits would wake the loop for
 * ever. */
static bool meet_shortage(struct relay *r)
{
    struct acceptor *a = &r->acceptor;
    uint64_t now = loop_now(r->loop);
    struct crowd_member *oldest = crowd_oldest(&a->crowd, CROWD_SILENT);
    log_shortage(a, now);
    if (oldest) {
        make_way(oldest);
        return true;
    }
    timer_set(r->loop, &a->resume, now + SHORTAGE_PAUSE_US);
    return false;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_connection(struct io *io)
{
    struct relay *r = container_of(io, struct listener, io)->relay;
    struct address address;
    for (int i = 0; i < ACCEPTS_AN_EVENT; i++) {
        int fd = socket_accept(io->fd, &address);
        if (fd >= 0) {
            take(r, fd, &address);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            io_read_drained(io);
            break;
        } else if (is_shortage(errno)) {
            if (!meet_shortage(r))
                return;
        } /* else that one connection failed before it was accepted */
    }
    io_want_read(io);
}

static void on_resume(struct timer *timer)
{
    struct acceptor *a = container_of(timer, struct acceptor, resume);
    for (size_t i = 0; i < a->listener_count; i++)
        io_want_read(&a->listeners[i].io);
}

static bool listen_on(struct relay *r, const struct address *address, struct error *e)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address bound;
    int fd = socket_listen(address, LISTEN_BACKLOG, e);
    if (fd < 0)
        return false;
    struct listener *listener = &r->acceptor.listeners[r->acceptor.listener_count];
    *listener = (struct listener){.io = {.on_read = on_connection}, .relay = r};
    if (!io_add(r->loop, &listener->io, fd)) {
        error_set(e, FAILURE_NETWORK, "cannot watch a listening socket: %s", strerror(errno));
        close(fd);
        return false;
    }
    r->acceptor.listener_count++;
    io_want_read(&listener->io);
    address_to_text(text, address_of_socket(&bound, fd, false) ? &bound : address);
    log_info("listening on %s", text);
    return true;
}

void acceptor_init(struct relay *r)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    crowd_init(&r->acceptor.crowd, hash_key);
    r->acceptor.resume.on_fire = on_resume;
}

bool acceptor_start(struct relay *r, struct error *e)
{
    r->acceptor.listeners = calloc(r->config.listen_count, sizeof(struct listener));
    if (!r->acceptor.listeners)
        return error_set(e, FAILURE_OTHER, "no memory");
    for (size_t i = 0; i < r->config.listen_count; i++)
        if (!listen_on(r, &r->config.listen[i], e))
            return false;
    return true;
}

void acceptor_stop(struct relay *r)
{
    struct acceptor *a = &r->acceptor;
    for (size_t i = 0; i < a->listener_count; i++) {
        int fd = a->listeners[i].io.fd;
        io_remove(&a->listeners[i].io);
        close(fd);
    }
    a->listener_count = 0;
    timer_cancel(r->loop, &a->resume);
}

void acceptor_free(struct relay *r)
{
    free(r->acceptor.listeners);
    r->acceptor.listeners = NULL;
    crowd_free(&r->acceptor.crowd);
}
