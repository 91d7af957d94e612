/* The life of a hop of the relay, whatever its kind. */
#include "relay/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/desk.h"

static struct peer *peer_of_driver(struct hop_driver *d)
{
    return container_of(d, struct peer, driver);
}

static void free_deferred(struct deferred *d)
{
    free(container_of(d, struct peer, deferred));
}

/* Nobody finds it any more; it is freed after the round. */
static void leave(struct peer *peer)
{
    list_remove(&peer->of_party);
    list_remove(&peer->all);
    peer->deferred.run = free_deferred;
    loop_defer(peer->relay->loop, &peer->deferred);
}

static void end(struct peer *peer, const char *why)
{
    peer->kind->on_ended(peer, why);
    hop_driver_close(&peer->driver);
    leave(peer);
}

static void on_ended(struct hop_driver *d)
{
    end(peer_of_driver(d), hop_error(&d->hop)->text);
}

static void on_detached(struct hop_driver *d)
{
    struct peer *peer = peer_of_driver(d);
    peer->kind->on_detached(peer);
}

struct peer *peer_new(struct relay *r, const struct address *address, const struct peer_kind *kind)
{
    char text[ADDRESS_TEXT_BYTES];
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->relay = r;
    peer->kind = kind;
    peer->driver.on_ended = on_ended;
    peer->driver.on_detached = on_detached;
    list_init(&peer->of_party);
    list_init(&peer->watching);
    list_init(&peer->parked);
    address_to_text(text, address);
    snprintf(peer->address, sizeof peer->address, "%.*s", PEER_ADDRESS_BYTES - 1, text);
    list_append(&r->peers, &peer->all);
    return peer;
}

bool peer_open(struct peer *peer, struct carrier *carrier, struct error *e)
{
    struct hop *h = &peer->driver.hop;
    if (h->state == HOP_ENDED) {
        carrier_close(carrier);
        error_set(e, FAILURE_OTHER, "%s", hop_error(h)->text);
    } else if (hop_driver_open(&peer->driver, peer->relay->loop, carrier)) {
        return true;
    } else {
        error_set(e, FAILURE_OTHER, "%s", system_text(errno));
    }
    hop_free(h);
    list_remove(&peer->of_party);
    list_remove(&peer->all);
    free(peer);
    return false;
}

void peer_belongs_to_user(struct peer *peer, struct known_user *u)
{
    peer->user = u;
    list_append(&u->hops, &peer->of_party);
}

void peer_belongs_to_agent(struct peer *peer, struct known_agent *a)
{
    peer->agent = a;
    list_append(&a->hops.all, &peer->of_party);
}

bool peer_read_message(struct hop *h, unsigned type, struct view body)
{
    struct peer *peer = peer_of(h);
    for (size_t i = 0; i < peer->kind->message_count; i++)
        if (peer->kind->messages[i].type == type)
            return peer->kind->messages[i].read(peer, body);
    return hop_fail(h, CODE_PROTOCOL, "%s was not expected here", message_name(type));
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
    end(peer, text);
}

struct carrier *peer_take(struct peer *peer)
{
    struct carrier *carrier = hop_driver_take(&peer->driver);
    if (peer->kind->on_taken)
        peer->kind->on_taken(peer);
    leave(peer);
    return carrier;
}
