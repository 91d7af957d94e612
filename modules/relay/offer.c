/* OFFERs, and the consequences of their answers. Tickets are made and compared here. */
#include "relay/offer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "relay/desk.h"
#include "relay/junction.h"
#include "relay/peer.h"

#define OFFER_BODY_BYTES                                                         \
    (TICKET_BYTES + 2 + NAME_MAX_BYTES + KEY_BYTES + 2 + ADDRESS_MAX_BYTES + 2 + \
     SESSION_MESSAGE1_MAX)

/* A new OFFER: its number and its ticket. The encoded body, 0 if it does not fit. */
static size_t write_offer(struct pending *p, uint8_t body[OFFER_BODY_BYTES])
{
    struct offer m = {
        .user = view_of_string(p->user->config->name),
        .user_address = view_of_string(p->client->address),
        .message1 = view_of(p->message1, p->message1_len),
    };
    p->offer = ++p->relay->last_offer;
    p->offered_us = loop_now(p->relay->loop);
    random_bytes(p->ticket, sizeof p->ticket);
    memcpy(m.ticket, p->ticket, sizeof m.ticket);
    memcpy(m.user_key, p->user->public_key, sizeof m.user_key);
    size_t len = offer_encode(&m, body, OFFER_BODY_BYTES);
    wipe(&m, sizeof m);
    return len;
}

static void send_offer(struct pending *p, struct peer *to)
{
    uint8_t body[OFFER_BODY_BYTES];
    size_t len = write_offer(p, body);
    if (len == 0) {
        hop_fail(&to->driver.hop, CODE_INTERNAL, "OFFER could not be encoded");
        hop_driver_update(&to->driver);
        return;
    }
    peer_send(to, MESSAGE_OFFER, view_of(body, len));
    wipe(body, sizeof body);
}

void offer_on_hop(struct pending *p, struct peer *hop, enum pending_state state)
{
    pending_set_hop(p, hop);
    pending_set_state(p, state);
    send_offer(p, hop);
    hop_quiet_begin(&hop->driver.hop);
    hop_driver_set_deadline(&hop->driver, CLOCK_NEVER);
}

void offer_with_ticket(struct pending *p, struct peer *control)
{
    pending_set_state(p, PENDING_TICKET);
    send_offer(p, control);
}

void offer_withdraw_unanswered(struct known_agent *a)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->state == PENDING_PARKED || (p->state == PENDING_TICKET && !p->hop))
            pending_withdraw(p);
    }
}

static struct pending *find_ticket(const struct known_agent *a, const uint8_t ticket[TICKET_BYTES])
{
    for (struct list *link = a->pendings.next; link != &a->pendings; link = link->next) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->state == PENDING_TICKET && bytes_equal_secret(p->ticket, ticket, TICKET_BYTES))
            return p;
    }
    return NULL;
}

struct pending *offer_by_ticket(const struct known_agent *a, const uint8_t ticket[TICKET_BYTES],
                                uint64_t now_us)
{
    struct pending *p = find_ticket(a, ticket);
    bool valid = p && !p->hop && now_us - p->offered_us <= TICKET_S * CLOCK_US_PER_S;
    return valid ? p : NULL;
}

bool offer_hop_came(struct known_agent *a, uint64_t offer, struct peer *hop)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->offer == offer && p->state == PENDING_TICKET && !p->hop) {
            pending_set_hop(p, hop);
            hop_quiet_begin(&hop->driver.hop);
            return true;
        }
    }
    return false;
}

/* True if ACCEPT or REFUSE may come on this circuit hop. */
static bool offered_on(const struct peer *hop)
{
    return hop->pending && hop->pending->state != PENDING_GREETING &&
           hop->pending->state != PENDING_ACCEPTED;
}

/* False: the client's hop has failed, its end follows. */
static bool send_connected(struct peer *client, struct view message2)
{
    struct hop *h = &client->driver.hop;
    if (h->partial_len > 0) /* would be a broken record in the circuit */
        hop_fail(h, CODE_PROTOCOL, "something was sent behind CONNECT");
    bool sent = hop_send(h, MESSAGE_CONNECTED, message2);
    if (!sent)
        hop_driver_update(&client->driver);
    return sent;
}

bool offer_read_accept(struct peer *hop, struct view body)
{
    struct view message2;
    struct hop *h = &hop->driver.hop;
    struct pending *p = hop->pending;
    if (!offered_on(hop))
        return hop_fail(h, CODE_PROTOCOL, "ACCEPT without an OFFER");
    if (!message2_decode(&message2, body))
        return hop_fail(h, CODE_PROTOCOL, "malformed ACCEPT");
    if (!send_connected(p->client, message2)) {
        pending_release_hop(p);
        return hop_fail(h, CODE_NETWORK, "the client has gone");
    }
    pending_set_state(p, PENDING_ACCEPTED);
    hop_detach(h);
    return true;
}

void offer_join(struct pending *p)
{
    struct peer *client = p->client, *hop = pending_release_hop(p);
    client->pending = NULL;
    p->client = NULL;
    hop_detach(&client->driver.hop);
    junction_join(p, peer_take(client), peer_take(hop));
    pending_joined(p);
}

/* An agent's REFUSE goes on to the client as it is. */
static void pass_refusal(struct pending *p, const struct refusal *m)
{
    struct refusal refused = *m;
    if (refused.code == CODE_OK)
        refused.code = CODE_DENIED;
    pending_refuse_as(p, &refused);
}

bool offer_read_refuse(struct peer *hop, struct view body)
{
    struct refusal m;
    struct hop *h = &hop->driver.hop;
    if (!offered_on(hop))
        return hop_fail(h, CODE_PROTOCOL, "REFUSE without an OFFER");
    struct pending *p = hop->pending;
    if (!refuse_decode(&m, body) || !bytes_equal_secret(m.ticket, p->ticket, TICKET_BYTES))
        return hop_fail(h, CODE_PROTOCOL, "malformed REFUSE");
    pending_release_hop(p);
    hop_quiet_end(h, loop_now(p->relay->loop));
    pass_refusal(p, &m);
    return true;
}

bool offer_read_refuse_on_control(struct peer *control, struct view body)
{
    struct refusal m;
    if (!refuse_decode(&m, body))
        return hop_fail(&control->driver.hop, CODE_PROTOCOL, "malformed REFUSE");
    struct pending *p = find_ticket(control->agent, m.ticket);
    if (p)
        pass_refusal(p, &m);
    else
        log_caused(&control->relay->log, control->agent->public_key, loop_now(control->relay->loop),
                   LOG_DEBUG, "agent %s: REFUSE for an offer that is over", control->agent->name);
    return true;
}
