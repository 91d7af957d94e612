/* The kind of an agent's circuit hops: parking, and the answers to OFFERs. */
#include "relay/circuit_hop.h"

#include "base/clock.h"
#include "base/log.h"
#include "relay/desk.h"
#include "relay/offer.h"
#include "relay/peer.h"

#define PARKED_MAX 4

/* A parked hop that opened so long before its agent's control hop ended was parked beside that one,
 * and is most likely as dead; a newer one may be the first of the agent's return. */
#define PARKED_BESIDE_US (5 * CLOCK_US_PER_S)

#define DIALLED_IDLE_US (60 * CLOCK_US_PER_S)

static struct peer *peer_of_parked(struct list *link)
{
    return container_of(link, struct peer, parked);
}

/* Harmless when it is not parked. */
static void unpark(struct peer *peer)
{
    if (list_linked(&peer->parked)) {
        list_remove(&peer->parked);
        peer->agent->hops.parked_count--;
    }
}

/* It waits for an OFFER; of too many the oldest goes. */
static void park(struct peer *peer)
{
    struct known_agent *a = peer->agent;
    if (a->hops.parked_count >= PARKED_MAX) {
        peer_bye(peer_of_parked(a->hops.parked.next), CODE_DONE,
                 "newer hops of the same key are parked", 0);
    }
    list_append(&a->hops.parked, &peer->parked);
    a->hops.parked_count++;
    if (peer->driver.hop.initiator) {
        /* Nobody asked for it to stay: it was dialled for a CONNECT that was refused. */
        hop_driver_set_deadline(&peer->driver, loop_now(peer->relay->loop) + DIALLED_IDLE_US);
    }
    pending_way_came(a);
}

struct peer *circuit_hop_take_parked(struct known_agent *a)
{
    if (list_empty(&a->hops.parked))
        return NULL;
    struct peer *newest = peer_of_parked(a->hops.parked.prev);
    unpark(newest);
    return newest;
}

void circuit_hops_end_old(struct known_agent *a, uint64_t now_us)
{
    list_each (link, &a->hops.parked) {
        struct peer *peer = peer_of_parked(link);
        if (peer->driver.hop.opened_us + PARKED_BESIDE_US < now_us)
            peer_bye(peer, CODE_DONE, "parked beside a control hop that has ended", 0);
    }
}

/* INFO of an agent that was dialled. */
static bool read_info(struct peer *peer, struct view body)
{
    struct info info;
    uint16_t unsupported = 0;
    if (!info_decode(&info, body, &unsupported))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed INFO");
    presence_set_info(&peer->agent->presence, &info);
    return true;
}

static bool read_refuse(struct peer *peer, struct view body)
{
    if (!offer_read_refuse(peer, body))
        return false;
    park(peer);
    return true;
}

static void on_ended(struct peer *peer, const char *why)
{
    log_caused(&peer->relay->log, peer->agent->public_key, loop_now(peer->relay->loop), LOG_DEBUG,
               "circuit hop of agent %s from %s ended: %s", peer->agent->name, peer->address, why);
    unpark(peer);
    if (peer->pending)
        pending_hop_lost(peer->pending, why);
}

static void on_detached(struct peer *peer)
{
    offer_join(peer->pending);
}

static const struct peer_message messages[] = {
    {MESSAGE_INFO, read_info},
    {MESSAGE_ACCEPT, offer_read_accept},
    {MESSAGE_REFUSE, read_refuse},
};

static const struct peer_kind circuit_hop = {
    .on_ended = on_ended,
    .on_detached = on_detached,
    .messages = messages,
    .message_count = sizeof messages / sizeof *messages,
};

void circuit_hop_came(struct peer *peer, struct known_agent *a)
{
    peer->kind = &circuit_hop;
    peer_belongs_to_agent(peer, a);
    if (peer->offer == 0)
        park(peer);
    else if (!offer_hop_came(a, peer->offer, peer))
        hop_bye(&peer->driver.hop, CODE_TICKET, "the offer of this ticket is over", 0);
}

/* ---- Dialled by the relay. ---- */

static void on_open(struct hop *h, const struct info *info)
{
    struct peer *peer = peer_of(h);
    (void)info;
    offer_on_hop(peer->pending, peer, PENDING_DIALLED);
}

static const struct hop_handler dialled_handler = {.on_open = on_open,
                                                   .on_message = peer_read_message};

bool circuit_hop_dial(struct pending *p, struct carrier *carrier, const struct address *address,
                      struct error *e)
{
    struct relay *r = p->relay;
    uint64_t now = loop_now(r->loop);
    struct peer *peer = peer_new(r, address, &circuit_hop);
    if (!peer) {
        carrier_close(carrier);
        return error_no_memory(e);
    }
    peer_belongs_to_agent(peer, p->agent);
    peer->driver.deadline_us = now + HANDSHAKE_S * CLOCK_US_PER_S;
    hop_start(&peer->driver.hop, &r->party, &dialled_handler, ROLE_RELAY, p->agent->public_key,
              NULL, now);
    if (!peer_open(peer, carrier, e))
        return false;
    carrier_set_options(carrier);
    pending_set_hop(p, peer);
    pending_set_state(p, PENDING_GREETING);
    return true;
}
