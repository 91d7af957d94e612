/* What the relay does with HELLO, the opening of a hop, and each control message. */
#include "base/clock.h"
#include "base/log.h"
#include "relay/callhome.h"
#include "relay/connect.h"
#include "relay/peer.h"
#include "relay/server.h"
#include "relay/worker.h"

static struct peer *peer_of(struct hop *h)
{
    return (struct peer *)(void *)hop_driver_of(h);
}

static void refuse(struct welcome *answer, enum code code, const char *text)
{
    answer->code = (uint16_t)code;
    answer->text = view_of_string(text);
}

static void welcome(struct welcome *answer, const char *name)
{
    answer->code = CODE_OK;
    answer->name = view_of_string(name);
}

static void hello_of_client(const struct directory *d, const struct hop *h, struct welcome *answer)
{
    const struct user *u = directory_user_by_key(d, h->peer_key);
    if (u)
        welcome(answer, u->config->name);
    else if (directory_agent_by_key(d, h->peer_key))
        refuse(answer, CODE_WRONG_ROLE, "this key is an agent's, not a user's");
    else
        refuse(answer, CODE_UNKNOWN_KEY, "this key is not in the relay's configuration");
}

/* Notes the OFFER that a ticket belongs to. False: to none that is still good. */
static bool note_ticket(struct peer *peer, const struct agent *a, const struct hello *hello)
{
    if (hello->role != ROLE_AGENT_CIRCUIT || bytes_are_zero(hello->ticket, TICKET_BYTES))
        return true;
    const struct pending *p = pending_by_ticket(a, hello->ticket, loop_now(peer->relay->loop));
    peer->offer = p ? p->offer : 0;
    return p != NULL;
}

static void hello_of_agent(const struct directory *d, struct hop *h, const struct hello *hello,
                           struct welcome *answer)
{
    const struct agent *a = directory_agent_by_key(d, h->peer_key);
    if (!a && directory_user_by_key(d, h->peer_key))
        refuse(answer, CODE_WRONG_ROLE, "this key is a user's, not an agent's");
    else if (!a)
        refuse(answer, CODE_UNKNOWN_KEY, "this key is not in the relay's configuration");
    else if (!note_ticket(peer_of(h), a, hello))
        refuse(answer, CODE_TICKET, "the ticket is unknown, used or too old");
    else
        welcome(answer, a->name);
}

static bool on_first_message(struct hop *h, struct view message)
{
    struct peer *peer = peer_of(h);
    struct relay *r = peer->relay;
    acceptor_handshake(r, peer);
    hop_driver_set_deadline(&peer->driver, loop_now(r->loop) + HANDSHAKE_S * CLOCK_US_PER_S);
    return workers_read_hello(peer, message);
}

static void on_not_authentic(struct hop *h)
{
    struct peer *peer = peer_of(h);
    acceptor_not_authentic(peer->relay, peer);
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *answer)
{
    const struct relay *r = peer_of(h)->relay;
    if (hello->role == ROLE_CLIENT)
        hello_of_client(&r->directory, h, answer);
    else if (hello->role == ROLE_RELAY)
        refuse(answer, CODE_WRONG_ROLE, "a relay does not connect to a relay");
    else
        hello_of_agent(&r->directory, h, hello, answer);
}

static bool has_room(const struct user *u)
{
    unsigned count = 0;
    list_each (link, &u->peers)
        count++;
    return count < HOPS_PER_USER;
}

static void open_client(struct peer *peer)
{
    struct hop *h = &peer->driver.hop;
    struct user *u = directory_user_by_key(&peer->relay->directory, h->peer_key);
    if (!u) {
        hop_bye(h, CODE_REVOKED, "this key is no longer in the relay's configuration", 0);
        return;
    }
    if (!has_room(u)) {
        hop_bye(h, CODE_FULL, "too many connections of this user are open", 1);
        return;
    }
    peer->kind = PEER_CLIENT;
    peer->user = u;
    list_append(&u->peers, &peer->place);
    log_info("user %s connected from %s", u->config->name, peer->address);
}

static void open_circuit_hop(struct peer *peer, struct agent *a)
{
    peer->kind = PEER_CIRCUIT;
    peer->agent = a;
    if (peer->offer == 0)
        callhome_park(peer);
    else if (!pending_hop_came(a, peer->offer, peer))
        hop_bye(&peer->driver.hop, CODE_TICKET, "the offer of this ticket is over", 0);
}

static void open_agent(struct peer *peer, const struct info *info)
{
    struct hop *h = &peer->driver.hop;
    struct agent *a = directory_agent_by_key(&peer->relay->directory, h->peer_key);
    if (!a)
        hop_bye(h, CODE_REVOKED, "this key is no longer in the relay's configuration", 0);
    else if (h->peer_role == ROLE_AGENT)
        callhome_control_came(peer, a, info);
    else
        open_circuit_hop(peer, a);
}

static void on_open(struct hop *h, const struct info *info)
{
    struct peer *peer = peer_of(h);
    crowd_leave(&peer->relay->acceptor.crowd, &peer->waiting);
    hop_driver_set_deadline(&peer->driver, CLOCK_NEVER);
    if (h->initiator)
        pending_dialled(peer->pending);
    else if (h->peer_role == ROLE_CLIENT)
        open_client(peer);
    else
        open_agent(peer, info);
}

/* INFO of an agent that was dialled. */
static bool read_info(struct peer *peer, struct view body)
{
    struct info info;
    uint16_t unsupported = 0;
    if (!info_decode(&info, body, &unsupported))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed INFO");
    if (!peer->agent->control) {
        directory_set_info(peer->agent, &info);
        listing_changed(peer->relay, peer->agent);
    }
    return true;
}

static bool read_refuse(struct peer *peer, struct view body)
{
    if (!pending_refuse_on_hop(peer, body))
        return false;
    callhome_park(peer);
    return true;
}

static const struct {
    uint8_t kind, type;
    bool (*read)(struct peer *peer, struct view body);
} messages[] = {
    {PEER_CLIENT, MESSAGE_LIST, listing_answer},
    {PEER_CLIENT, MESSAGE_WATCH, listing_watch},
    {PEER_CLIENT, MESSAGE_CONNECT, pending_begin},
    {PEER_CONTROL, MESSAGE_REFUSE, pending_refuse_on_control},
    {PEER_CONTROL, MESSAGE_CALL, callhome_call},
    {PEER_CIRCUIT, MESSAGE_INFO, read_info},
    {PEER_CIRCUIT, MESSAGE_ACCEPT, pending_accept},
    {PEER_CIRCUIT, MESSAGE_REFUSE, read_refuse},
};

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct peer *peer = peer_of(h);
    if (peer->kind == PEER_CLIENT && peer->pending)
        return hop_fail(h, CODE_PROTOCOL, "%s while a CONNECT is under way", message_name(type));
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        if (messages[i].kind == peer->kind && messages[i].type == type)
            return messages[i].read(peer, body);
    return hop_fail(h, CODE_PROTOCOL, "%s was not expected here", message_name(type));
}

const struct hop_handler peer_handler = {
    .on_first_message = on_first_message,
    .on_not_authentic = on_not_authentic,
    .on_hello = on_hello,
    .on_open = on_open,
    .on_message = on_message,
};
