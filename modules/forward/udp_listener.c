#include "forward/udp_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exits.h"
#include "base/log.h"
#include "base/random.h"
#include "net/socket.h"

#define LARGEST_BYTES 65536      /* no UDP datagram has as many */
#define BUDGET_BYTES (32U << 10) /* of one event: half of what a session lets wait */
#define COST_BYTES 256           /* of one datagram, beside its own */
#define IDLE_US (DATAGRAM_IDLE_S * CLOCK_US_PER_S)
#define QUIET_US CLOCK_US_PER_S /* between two lines about streams that failed */

struct udp_listener {
    struct io io;
    struct timer idle; /* of the peer at the front of by_use */
    struct loop *loop;
    struct session *session;
    struct table peers; /* by address */
    struct list by_use; /* the one idle longest first */
    uint64_t quiet_until_us;
    char target[TARGET_TEXT_BYTES];
    char address[ADDRESS_TEXT_BYTES];
};

/* The table's key: family, port and address of IPv4 and IPv6, with zeros behind. */
#define PEER_KEY_BYTES sizeof(struct sockaddr_in6)

struct udp_peer {
    struct table_entry entry;
    struct address address;
    struct udp_listener *listener;
    struct stream *stream;
    struct list use;
    uint64_t used_us;
};

static void touch(struct udp_peer *p)
{
    p->used_us = loop_now(p->listener->loop);
    list_move(&p->listener->by_use, &p->use);
}

static void peer_free(struct udp_peer *p)
{
    table_remove(&p->listener->peers, &p->entry);
    list_remove(&p->use);
    free(p);
}

static void peer_end(struct udp_peer *p, enum reset_code code, const char *text)
{
    stream_reset(p->stream, code, text);
    peer_free(p);
}

static struct udp_peer *idle_longest(struct udp_listener *l)
{
    return list_empty(&l->by_use) ? NULL : container_of(l->by_use.next, struct udp_peer, use);
}

static void on_idle(struct timer *timer)
{
    struct udp_listener *l = container_of(timer, struct udp_listener, idle);
    uint64_t now = loop_now(l->loop);
    struct udp_peer *p;
    while ((p = idle_longest(l)) != NULL && now - p->used_us >= IDLE_US)
        peer_end(p, RESET_TIMEOUT, "no datagram for a while");
    if (p)
        timer_set(l->loop, timer, p->used_us + IDLE_US);
}

/* An answer; what the socket does not take is lost, as on any network. */
static void on_datagram(void *owner, struct view bytes)
{
    struct udp_peer *p = owner;
    touch(p);
    sendto(p->listener->io.fd, bytes.data, bytes.len, MSG_NOSIGNAL,
           (const struct sockaddr *)&p->address.storage, p->address.len);
}

/* The application is told nothing: its next datagram tries again. */
static void on_reset(void *owner, unsigned code, const char *text)
{
    struct udp_peer *p = owner;
    struct udp_listener *l = p->listener;
    uint64_t now = loop_now(l->loop);
    peer_free(p);
    if (code == RESET_TIMEOUT || now < l->quiet_until_us)
        return;
    l->quiet_until_us = now + QUIET_US;
    log_info("%s: %s%s%s", l->target, reset_code_text(code), text[0] ? ": " : "", text);
}

static const struct stream_events peer_events = {.on_datagram = on_datagram, .on_reset = on_reset};

static struct udp_peer *peer_new(struct udp_listener *l, const struct address *address)
{
    struct udp_peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->listener = l;
    p->address = *address;
    list_init(&p->use);
    p->stream = stream_open(l->session, l->target, &peer_events, p);
    if (!p->stream || !table_insert(&l->peers, &p->entry)) {
        if (p->stream)
            stream_reset(p->stream, RESET_INTERNAL, "out of memory");
        free(p);
        return NULL;
    }
    return p;
}

/* Who sent from this address, with a stream of the session; NULL: there can be none now. */
static struct udp_peer *peer_of(struct udp_listener *l, const struct address *address)
{
    struct table_entry *found = table_find(&l->peers, &address->storage);
    if (found)
        return container_of(found, struct udp_peer, entry);
    if (l->peers.count >= UDP_PEERS_MAX)
        peer_end(idle_longest(l), RESET_LIMIT, "too many peers");
    return peer_new(l, address);
}

static void take(struct udp_listener *l, const struct address *from, struct view bytes)
{
    struct udp_peer *p = l->session ? peer_of(l, from) : NULL;
    if (!p)
        return;
    touch(p);
    if (!l->idle.set)
        timer_set(l->loop, &l->idle, p->used_us + IDLE_US);
    stream_send_datagram(p->stream, bytes);
}

static void on_read(struct io *io)
{
    struct udp_listener *l = container_of(io, struct udp_listener, io);
    uint8_t bytes[LARGEST_BYTES];
    size_t done = 0;
    while (done < BUDGET_BYTES) {
        struct address from = {.len = sizeof from.storage};
        ssize_t n =
            recvfrom(io->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from.storage, &from.len);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            io_read_drained(io);
            break;
        }
        done += COST_BYTES;
        if (n < 0)
            continue; /* of an answer sent before */
        done += (size_t)n;
        take(l, &from, view_of(bytes, (size_t)n));
    }
    io_want_read(io);
}

static bool start(struct udp_listener *l, int fd, struct error *e)
{
    struct address bound;
    if (!address_of_socket(&bound, fd, false) || !io_add(l->loop, &l->io, fd))
        return error_set(e, EXIT_OTHER, "cannot receive datagrams: %s", strerror(errno));
    address_to_text(l->address, &bound);
    io_want_read(&l->io);
    return true;
}

struct udp_listener *udp_listener_new(struct loop *loop, const struct forward *forward,
                                      struct error *e)
{
    uint8_t hash_key[16];
    struct udp_listener *l;
    int fd = socket_bind_datagram(&forward->listen, e);
    if (fd < 0)
        return NULL;
    l = calloc(1, sizeof *l);
    if (!l) {
        error_set(e, EXIT_OTHER, "out of memory");
        close(fd);
        return NULL;
    }
    random_bytes(hash_key, sizeof hash_key);
    table_init(&l->peers, PEER_KEY_BYTES,
               (ptrdiff_t)offsetof(struct udp_peer, address.storage) -
                   (ptrdiff_t)offsetof(struct udp_peer, entry),
               hash_key);
    list_init(&l->by_use);
    l->loop = loop;
    l->io.on_read = on_read;
    l->idle.on_fire = on_idle;
    target_to_text(l->target, &forward->target);
    if (start(l, fd, e))
        return l;
    close(fd);
    free(l);
    return NULL;
}

void udp_listener_set_session(struct udp_listener *l, struct session *s)
{
    l->session = s;
}

const char *udp_listener_address(const struct udp_listener *l)
{
    return l->address;
}

void udp_listener_free(struct udp_listener *l)
{
    if (!l)
        return;
    io_remove(&l->io);
    timer_cancel(l->loop, &l->idle);
    table_free(&l->peers);
    close(l->io.fd);
    free(l);
}
