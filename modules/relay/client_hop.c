/* The kind of a client's hop. */
#include "relay/client_hop.h"

#include "base/log.h"
#include "net/descriptors.h"
#include "relay/connect.h"
#include "relay/desk.h"
#include "relay/listing.h"
#include "relay/peer.h"
#include "relay/pending.h"

/* The quiet rule: between CONNECT and its answer nothing may come. */
static bool may_speak(struct peer *peer, enum message_type type)
{
    return !peer->pending || hop_fail(&peer->driver.hop, CODE_PROTOCOL,
                                      "%s while a CONNECT is under way", message_name(type));
}

static bool read_list(struct peer *peer, struct view body)
{
    return may_speak(peer, MESSAGE_LIST) && listing_answer(peer, body);
}

static bool read_watch(struct peer *peer, struct view body)
{
    return may_speak(peer, MESSAGE_WATCH) && listing_watch(peer, body);
}

static bool read_connect(struct peer *peer, struct view body)
{
    return may_speak(peer, MESSAGE_CONNECT) && connect_read(peer, body);
}

static void on_ended(struct peer *peer, const char *why)
{
    log_caused(&peer->relay->log, peer->user->public_key, loop_now(peer->relay->loop), LOG_DEBUG,
               "user %s from %s ended: %s", peer->user->config->name, peer->address, why);
    listing_unwatch(peer);
    if (peer->pending)
        pending_client_gone(peer->pending);
}

static const struct peer_message messages[] = {
    {MESSAGE_LIST, read_list},
    {MESSAGE_WATCH, read_watch},
    {MESSAGE_CONNECT, read_connect},
};

static const struct peer_kind client_hop = {
    .on_ended = on_ended,
    .on_taken = listing_unwatch,
    .messages = messages,
    .message_count = sizeof messages / sizeof *messages,
};

/* Also of descriptors: the last ones are for users who have few. */
static bool has_room(const struct known_user *u, const struct peer *peer)
{
    unsigned count = 0;
    list_each (link, &u->hops)
        count++;
    return count < HOPS_PER_USER && (count + 2 * u->circuit_count < DESCRIPTORS_KEPT_PER_USER ||
                                     !descriptor_is_scarce(peer->driver.carrier->io.fd));
}

void client_hop_came(struct peer *peer, struct known_user *u)
{
    if (!has_room(u, peer)) {
        hop_bye(&peer->driver.hop, CODE_FULL, "too many connections of this user are open", 1);
        return;
    }
    peer->kind = &client_hop;
    peer_belongs_to_user(peer, u);
    log_caused(&peer->relay->log, u->public_key, loop_now(peer->relay->loop), LOG_INFO,
               "user %s connected from %s", u->config->name, peer->address);
}
