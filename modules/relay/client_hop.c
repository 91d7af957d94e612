/* The kind of a client's hop. */
#include "relay/client_hop.h"

#include "base/log.h"
#include "net/descriptors.h"
#include "relay/connect.h"
#include "relay/desk.h"
#include "relay/heads.h"
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

static bool read_head(struct peer *peer, struct view body)
{
    return may_speak(peer, MESSAGE_HEAD) && heads_read_of_user(peer, body);
}

static struct log_fields fields_of(const struct peer *peer, const char *event)
{
    return (struct log_fields){
        .event = event, .user = peer->user->config->name, .address = peer->address};
}

static void on_ended(struct peer *peer, const char *why)
{
    struct log_fields f = fields_of(peer, "hop_ended");
    f.reason = why;
    log_caused_event(&peer->relay->log, peer->user->public_key, loop_now(peer->relay->loop),
                     LOG_DEBUG, &f, "user %s from %s ended: %s", f.user, peer->address, why);
    listing_unwatch(peer);
    if (peer->pending)
        pending_client_gone(peer->pending);
}

static const struct peer_message messages[] = {
    {MESSAGE_LIST, read_list},
    {MESSAGE_WATCH, read_watch},
    {MESSAGE_CONNECT, read_connect},
    {MESSAGE_HEAD, read_head},
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
    struct log_fields f;
    if (!has_room(u, peer)) {
        hop_bye(&peer->driver.hop, CODE_FULL, "too many connections of this user are open", 1);
        return;
    }
    peer->kind = &client_hop;
    peer_belongs_to_user(peer, u);
    heads_greet(peer);
    f = fields_of(peer, "hop_connected");
    log_caused_event(&peer->relay->log, u->public_key, loop_now(peer->relay->loop), LOG_INFO, &f,
                     "user %s connected from %s", f.user, peer->address);
}
