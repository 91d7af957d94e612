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

#define SHORTAGE_LOG_US (60 * CLOCK_US_PER_S)

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

static void take(void *owner, int fd, const struct address *address)
{
    struct relay *r = owner;
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
    socket_set_carrier(peer->driver.io.fd); /* not before: a stranger is worth few system calls */
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

/* The oldest silent connection gives its descriptor and memory back. */
static bool on_shortage(void *owner)
{
    struct relay *r = owner;
    struct crowd_member *oldest = crowd_oldest(&r->acceptor.crowd, CROWD_SILENT);
    log_shortage(&r->acceptor, loop_now(r->loop));
    make_way(oldest);
    return oldest != NULL;
}

static const struct door_events door_events = {.take = take, .on_shortage = on_shortage};

static bool listen_on(struct relay *r, const struct address *address, struct error *e)
{
    char text[ADDRESS_TEXT_BYTES];
    struct door *door = &r->acceptor.doors[r->acceptor.door_count];
    if (!door_open(door, r->loop, address, DOOR_BACKLOG, &door_events, r, e))
        return false;
    r->acceptor.door_count++;
    door_go(door);
    address_to_text(text, &door->bound);
    log_info("listening on %s", text);
    return true;
}

void acceptor_init(struct relay *r)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    crowd_init(&r->acceptor.crowd, hash_key);
}

bool acceptor_start(struct relay *r, struct error *e)
{
    r->acceptor.doors = calloc(r->config.listen.count, sizeof *r->acceptor.doors);
    if (!r->acceptor.doors)
        return error_set(e, FAILURE_OTHER, "no memory");
    for (size_t i = 0; i < r->config.listen.count; i++)
        if (!listen_on(r, &r->config.listen.items[i], e))
            return false;
    return true;
}

void acceptor_stop(struct relay *r)
{
    struct acceptor *a = &r->acceptor;
    for (size_t i = 0; i < a->door_count; i++)
        door_close(&a->doors[i]);
    a->door_count = 0;
}

void acceptor_free(struct relay *r)
{
    free(r->acceptor.doors);
    r->acceptor.doors = NULL;
    crowd_free(&r->acceptor.crowd);
}
