/* A UDP socket of the client, and a stream for each key that its user gives datagrams. A flow
 * ends when it was idle for a while. */
#include "forward/udp_local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/table.h"
#include "net/socket.h"
#include "wire/limits.h"

#define LARGEST_BYTES 65536      /* no UDP datagram has as many */
#define BUDGET_BYTES (32U << 10) /* of one event: half of what a session lets wait */
#define COST_BYTES 256           /* of one datagram, beside its own */
#define IDLE_US (DATAGRAM_IDLE_S * CLOCK_US_PER_S)

struct udp_local {
    struct io io;
    struct timer idle; /* of the flow at the front of by_use */
    struct loop *loop;
    struct session *session;
    struct table flows; /* by key */
    struct list by_use; /* the one idle longest first */
    struct failures *failures;
    struct address bound;
    const struct udp_local_events *events;
    void *owner;
};

/* A key with its stream. */
struct flow {
    struct table_entry entry;
    uint8_t key[UDP_KEY_BYTES];
    struct udp_local *local;
    struct stream *stream;
    struct list use;
    uint64_t used_us;
    char target[TARGET_MAX_BYTES + 1];
};

static void touch(struct flow *f)
{
    f->used_us = loop_now(f->local->loop);
    list_move(&f->local->by_use, &f->use);
}

static void flow_free(struct flow *f)
{
    table_remove(&f->local->flows, &f->entry);
    list_remove(&f->use);
    free(f);
}

static void flow_end(struct flow *f, enum reset_code code, const char *text)
{
    stream_reset(f->stream, code, text);
    flow_free(f);
}

static void on_idle(struct timer *timer)
{
    struct udp_local *l = container_of(timer, struct udp_local, idle);
    uint64_t now = loop_now(l->loop);
    list_each (link, &l->by_use) {
        struct flow *f = container_of(link, struct flow, use);
        if (now - f->used_us < IDLE_US) {
            timer_set(l->loop, timer, f->used_us + IDLE_US);
            return;
        }
        flow_end(f, RESET_TIMEOUT, "no datagram for a while");
    }
}

static void on_datagram(void *owner, struct view bytes)
{
    struct flow *f = owner;
    touch(f);
    f->local->events->answer(f->local->owner, f->key, bytes);
}

/* The application is told nothing: its next datagram tries again. */
static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct flow *f = owner;
    struct udp_local *l = f->local;
    if (code != RESET_TIMEOUT)
        failures_log(l->failures, loop_now(l->loop), f->target, code, text);
    flow_free(f);
}

static const struct stream_events flow_events = {.on_datagram = on_datagram, .on_reset = on_reset};

static struct flow *flow_new(struct udp_local *l, const uint8_t key[UDP_KEY_BYTES],
                             const char *target)
{
    struct flow *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->local = l;
    list_init(&f->use);
    memcpy(f->key, key, UDP_KEY_BYTES);
    snprintf(f->target, sizeof f->target, "%s", target);
    f->stream = stream_open(l->session, target, &flow_events, f);
    if (!f->stream)
        failures_note_full(l->failures, loop_now(l->loop), l->session);
    if (!f->stream || !table_insert(&l->flows, &f->entry)) {
        if (f->stream)
            stream_reset(f->stream, RESET_INTERNAL, NO_MEMORY_TEXT);
        free(f);
        return NULL;
    }
    return f;
}

/* NULL: there can be no stream now. */
static struct flow *flow_of(struct udp_local *l, const uint8_t key[UDP_KEY_BYTES],
                            const char *target)
{
    struct table_entry *found = table_find(&l->flows, key);
    if (found)
        return container_of(found, struct flow, entry);
    if (l->flows.count >= UDP_STREAMS_MAX)
        flow_end(container_of(l->by_use.next, struct flow, use), RESET_LIMIT,
                 "too many streams of a UDP socket");
    return flow_new(l, key, target);
}

void udp_local_send(struct udp_local *l, const void *key, size_t key_len, const char *target,
                    struct view bytes)
{
    uint8_t whole[UDP_KEY_BYTES] = {0};
    struct flow *f;
    if (!l->session || key_len > sizeof whole)
        return;
    memcpy(whole, key, key_len);
    f = flow_of(l, whole, target);
    if (!f)
        return;
    touch(f);
    if (!l->idle.set)
        timer_set(l->loop, &l->idle, f->used_us + IDLE_US);
    stream_send_datagram(f->stream, bytes);
}

void udp_local_reply(struct udp_local *l, const struct address *to, struct view bytes)
{
    sendto(l->io.fd, bytes.data, bytes.len, MSG_NOSIGNAL, (const struct sockaddr *)&to->storage,
           to->len);
}

static void on_read(struct io *io)
{
    struct udp_local *l = container_of(io, struct udp_local, io);
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
        l->events->take(l->owner, &from, view_of(bytes, (size_t)n));
    }
    io_want_read(io);
}

static bool start(struct udp_local *l, int fd, struct error *e)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    table_init(&l->flows, UDP_KEY_BYTES,
               (ptrdiff_t)offsetof(struct flow, key) - (ptrdiff_t)offsetof(struct flow, entry),
               hash_key);
    list_init(&l->by_use);
    l->io.on_read = on_read;
    l->idle.on_fire = on_idle;
    if (!address_of_socket(&l->bound, fd, false) || !io_add(l->loop, &l->io, fd))
        return error_set(e, FAILURE_OTHER, "cannot receive datagrams: %s", system_text(errno));
    io_want_read(&l->io);
    return true;
}

struct udp_local *udp_local_new(struct loop *loop, const struct address *listen,
                                const struct udp_local_events *events, void *owner,
                                struct failures *failures, struct error *e)
{
    struct udp_local *l;
    int fd = socket_bind_datagram(listen, e);
    if (fd < 0)
        return NULL;
    l = calloc(1, sizeof *l);
    if (!l) {
        error_no_memory(e);
        close(fd);
        return NULL;
    }
    l->loop = loop;
    l->events = events;
    l->owner = owner;
    l->failures = failures;
    if (start(l, fd, e))
        return l;
    close(fd);
    free(l);
    return NULL;
}

void udp_local_set_session(struct udp_local *l, struct session *s)
{
    l->session = s;
}

const struct address *udp_local_bound(const struct udp_local *l)
{
    return &l->bound;
}

void udp_local_free(struct udp_local *l)
{
    if (!l)
        return;
    list_each (link, &l->by_use)
        flow_end(container_of(link, struct flow, use), RESET_BY_TARGET,
                 "the application has ended");
    io_remove(&l->io);
    timer_cancel(l->loop, &l->idle);
    table_free(&l->flows);
    close(l->io.fd);
    free(l);
}
