#include "relay/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/socket.h"
#include "relay/callhome.h"
#include "relay/connect.h"
#include "relay/server.h"
#include "relay/worker.h"

static struct peer *peer_of_driver(struct hop_driver *c)
{
    return (struct peer *)(void *)c;
}

/* Takes the peer out of everything that knows it. */
static void unregister(struct peer *peer, const char *why)
{
    if (peer->waiting.source && peer->driver.hop.mac1_valid)
        crowd_count_failure(&peer->waiting, loop_now(peer->relay->loop));
    crowd_leave(&peer->relay->acceptor.crowd, &peer->waiting);
    if (peer->job) {
        hello_job_forget(peer->job);
        peer->job = NULL;
    }
    switch ((enum peer_kind)peer->kind) {
    case PEER_NEW:
        log_debug("connection from %s ended: %s", peer->address, why);
        break;
    case PEER_CLIENT:
        log_debug("user %s from %s ended: %s", peer->user->config->name, peer->address, why);
        list_remove(&peer->place);
        listing_unwatch(peer);
        if (peer->pending)
            pending_client_gone(peer->pending);
        break;
    case PEER_CONTROL:
        callhome_control_gone(peer, why);
        break;
    case PEER_CIRCUIT:
        log_debug("circuit hop of agent %s from %s ended: %s", peer->agent->name, peer->address,
                  why);
        callhome_unpark(peer);
        if (peer->pending)
            pending_hop_lost(peer->pending, why);
        break;
    }
}

static void free_deferred(struct deferred *d)
{
    free(container_of(d, struct peer, deferred));
}

static void free_after_round(struct peer *peer)
{
    list_remove(&peer->all);
    peer->deferred.run = free_deferred;
    loop_defer(peer->relay->loop, &peer->deferred);
}

static void on_ended(struct hop_driver *c)
{
    struct peer *peer = peer_of_driver(c);
    const struct hop *h = &c->hop;
    unregister(peer, h->error.code ? h->error.text : "closed");
    hop_driver_close(c);
    free_after_round(peer);
}

static void on_detached(struct hop_driver *c, struct view rest)
{
    pending_join(peer_of_driver(c)->pending, rest);
}

static struct peer *peer_new(struct relay *r, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->relay = r;
    peer->driver.on_ended = on_ended;
    peer->driver.on_detached = on_detached;
    list_init(&peer->place);
    list_init(&peer->watching);
    address_to_text(text, address);
    snprintf(peer->address, sizeof peer->address, "%.*s", PEER_ADDRESS_BYTES - 1, text);
    list_append(&r->peers, &peer->all);
    return peer;
}

void peer_accept(struct relay *r, int fd, const struct address *address,
                 const uint8_t source[SOURCE_BYTES])
{
    uint64_t now = loop_now(r->loop);
    struct peer *peer = peer_new(r, address);
    if (!peer) {
        close(fd);
        return;
    }
    hop_listen(&peer->driver.hop, &r->party, &peer_handler, ROLE_RELAY, now);
    peer->driver.deadline_us = now + SILENT_S * CLOCK_US_PER_S;
    if (!crowd_enter(&r->acceptor.crowd, &peer->waiting, source) ||
        !hop_driver_open(&peer->driver, r->loop, fd)) {
        log_error("connection from %s: no memory or descriptors", peer->address);
        crowd_leave(&r->acceptor.crowd, &peer->waiting);
        hop_free(&peer->driver.hop);
        list_remove(&peer->all);
        free(peer);
        close(fd);
    }
}

struct peer *peer_dial(struct relay *r, int fd, const struct address *address, struct pending *p,
                       struct error *e)
{
    uint64_t now = loop_now(r->loop);
    struct peer *peer = peer_new(r, address);
    if (!peer) {
        close(fd);
        error_set(e, FAILURE_OTHER, "no memory");
        return NULL;
    }
    struct hop *h = &peer->driver.hop;
    peer->kind = PEER_CIRCUIT;
    peer->agent = p->agent;
    peer->pending = p;
    peer->driver.deadline_us = now + HANDSHAKE_S * CLOCK_US_PER_S;
    socket_set_carrier(fd);
    if (hop_start(h, &r->party, &peer_handler, ROLE_RELAY, p->agent->public_key, NULL, now) &&
        hop_driver_open(&peer->driver, r->loop, fd))
        return peer;
    error_set(e, FAILURE_OTHER, "%s", h->error.code ? h->error.text : strerror(errno));
    hop_free(h);
    list_remove(&peer->all);
    free(peer);
    close(fd);
    return NULL;
}

bool peer_send(struct peer *peer, enum message_type type, struct view body)
{
    bool sent = hop_send(&peer->driver.hop, type, body);
    hop_driver_update(&peer->driver);
    return sent;
}

void peer_bye(struct peer *peer, enum code code, const char *text, uint32_t retry_s)
{
    hop_bye(&peer->driver.hop, code, text, retry_s);
    unregister(peer, text);
    hop_driver_close(&peer->driver);
    free_after_round(peer);
}

int peer_take(struct peer *peer, struct fifo *unsent)
{
    int fd = hop_driver_take(&peer->driver, unsent);
    if (peer->kind == PEER_CLIENT) {
        list_remove(&peer->place);
        listing_unwatch(peer);
    }
    free_after_round(peer);
    return fd;
}
