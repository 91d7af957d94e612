#include "relay/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "net/dial.h"
#include "relay/circuit.h"
#include "relay/peer.h"
#include "relay/server.h"

#define OFFER_BODY_BYTES                                                         \
    (TICKET_BYTES + 2 + NAME_MAX_BYTES + KEY_BYTES + 2 + ADDRESS_MAX_BYTES + 2 + \
     SESSION_MESSAGE1_MAX)
#define REFUSED_BODY_BYTES (2 + 2 + TEXT_MAX_BYTES + 2 + SESSION_MESSAGE2_MAX)
#define RETRY_S 1

const char *pending_state_name(enum pending_state state)
{
    static const char *const names[] = {
        [PENDING_WAITING] = "waiting for the agent",
        [PENDING_PARKED] = "offered on a parked hop",
        [PENDING_TICKET] = "offered with a ticket",
        [PENDING_DIALLING] = "dialling",
        [PENDING_GREETING] = "shaking hands",
        [PENDING_DIALLED] = "offered on the dialled hop",
        [PENDING_ACCEPTED] = "accepted",
    };
    return names[state];
}

static void set_state(struct pending *p, enum pending_state state)
{
    if (p->state != state) {
        log_debug("circuit %s: %s -> %s", p->id, pending_state_name(p->state),
                  pending_state_name(state));
        p->state = state;
    }
}

static void log_way(const struct pending *p, const char *way)
{
    log_info("circuit %s: user %s to agent %s, %s", p->id, p->user->config->name, p->agent->name,
             way);
}

/* Takes a hop off it, without ending the hop. */
static struct peer *release_hop(struct pending *p)
{
    struct peer *hop = p->hop;
    if (hop) {
        hop->pending = NULL;
        p->hop = NULL;
    }
    return hop;
}

/* Takes back what is under way at the agent. A hop on which an OFFER is not answered ends: an
 * ACCEPT could still come there. */
static void drop_way(struct pending *p)
{
    struct peer *hop = release_hop(p);
    if (hop)
        peer_bye(hop, CODE_TIMEOUT, "the offer made on it is over", 0);
    if (p->dial) {
        dial_cancel(p->dial);
        p->dial = NULL;
    }
    p->offer = 0;
}

static void withdraw(struct pending *p)
{
    drop_way(p);
    set_state(p, PENDING_WAITING);
}

/* Ends it; the client's hop is an ordinary one again. */
static void end(struct pending *p)
{
    drop_way(p);
    if (p->client) {
        struct hop *h = &p->client->driver.hop;
        p->client->pending = NULL;
        hop_quiet_end(h, loop_now(p->relay->loop));
        hop_driver_update(&p->client->driver);
    }
    timer_cancel(p->relay->loop, &p->timer);
    list_remove(&p->all);
    list_remove(&p->of_agent);
    p->pair->pending--;
    wipe(p->ticket, sizeof p->ticket);
    free(p);
}

static void send_refused(struct peer *client, const struct refusal *m)
{
    uint8_t body[REFUSED_BODY_BYTES];
    size_t len = refused_encode(m, body, sizeof body);
    if (len == 0) {
        hop_fail(&client->driver.hop, CODE_INTERNAL, "REFUSED could not be encoded");
        hop_driver_update(&client->driver);
        return;
    }
    peer_send(client, MESSAGE_REFUSED, view_of(body, len));
}

static void refuse(struct pending *p, const struct refusal *m)
{
    char text[256];
    if (text_clean(text, sizeof text, m->text) == 0)
        snprintf(text, sizeof text, "%s", code_text(m->code));
    log_info("circuit %s: refused: %s", p->id, text);
    send_refused(p->client, m);
    end(p);
}

void pending_refuse(struct pending *p, enum code code, const char *text, uint16_t retry_s)
{
    struct refusal m = {.code = (uint16_t)code, .text = view_of_string(text), .retry_s = retry_s};
    refuse(p, &m);
}

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

/* Offers it on a circuit hop, which is quiet until the answer. */
static void offer_on(struct pending *p, struct peer *hop, enum pending_state state)
{
    p->hop = hop;
    hop->pending = p;
    set_state(p, state);
    send_offer(p, hop);
    hop_quiet_begin(&hop->driver.hop);
    hop_driver_set_deadline(&hop->driver, CLOCK_NEVER);
}

static struct peer *take_parked(struct agent *a)
{
    if (list_empty(&a->parked))
        return NULL;
    /* The newest is the one most likely to be alive. */
    struct peer *hop = container_of(a->parked.prev, struct peer, place);
    list_remove(&hop->place);
    a->parked_count--;
    return hop;
}

static void refuse_offline(struct pending *p, const char *why)
{
    char text[TEXT_MAX_BYTES / 2];
    snprintf(text, sizeof text, "the relay could not reach agent %s: %s", p->agent->name, why);
    pending_refuse(p, CODE_OFFLINE, text, RETRY_S);
}

static void on_dialled(void *arg, enum dial_result result, int fd, const struct address *address,
                       const char *text)
{
    struct pending *p = arg;
    struct error e = {0};
    p->dial = NULL;
    if (result != DIAL_OK) {
        refuse_offline(p, text);
        return;
    }
    p->hop = peer_dial(p->relay, fd, address, p, &e);
    if (!p->hop) {
        refuse_offline(p, e.text);
        return;
    }
    set_state(p, PENDING_GREETING);
}

static void log_dialling(const struct pending *p)
{
    char way[HOST_TEXT_BYTES + 32];
    const struct host_port *to = &p->agent->config->dial;
    snprintf(way, sizeof way, strchr(to->host, ':') ? "dialling [%s]:%u" : "dialling %s:%u",
             to->host, to->port);
    log_way(p, way);
}

static void dial(struct pending *p)
{
    const struct host_port *to = &p->agent->config->dial;
    struct dial_request request = {
        .host = to->host,
        .port = to->port,
        .timeout_us = CONNECT_WAIT_S * CLOCK_US_PER_S,
        .done = on_dialled,
        .arg = p,
    };
    log_dialling(p);
    p->dial = dial_start(p->relay->loop, &request);
    if (p->dial)
        set_state(p, PENDING_DIALLING);
    else
        pending_refuse(p, CODE_INTERNAL, "the relay has no memory to dial the agent", RETRY_S);
}

/* Goes the best way to the agent that there is now; p may be gone then. */
static void try_ways(struct pending *p)
{
    struct agent *a = p->agent;
    struct peer *hop = take_parked(a);
    if (hop) {
        log_way(p, "offered on its parked hop");
        offer_on(p, hop, PENDING_PARKED);
    } else if (a->control) {
        log_way(p, "offered with a ticket");
        set_state(p, PENDING_TICKET);
        send_offer(p, a->control);
    } else if (a->config->has_dial) {
        dial(p);
    } else {
        log_way(p, "waiting for it");
    }
}

static void on_timeout(struct timer *timer)
{
    struct pending *p = container_of(timer, struct pending, timer);
    if (p->state == PENDING_WAITING)
        pending_refuse(p, CODE_OFFLINE, "the agent is offline", RETRY_S);
    else
        pending_refuse(p, CODE_TIMEOUT, "the agent did not answer in time", RETRY_S);
}

static struct pending *pending_new(struct peer *client, struct agent *a, struct pair *pair,
                                   struct view message1)
{
    struct relay *r = client->relay;
    struct pending *p = calloc(1, sizeof *p + message1.len);
    if (!p)
        return NULL;
    p->relay = r;
    p->client = client;
    p->user = client->user;
    p->agent = a;
    p->pair = pair;
    p->message1_len = message1.len;
    memcpy(p->message1, message1.data, message1.len);
    circuit_label(p->id, message1);
    p->timer.on_fire = on_timeout;
    timer_set(r->loop, &p->timer, loop_now(r->loop) + CONNECT_WAIT_S * CLOCK_US_PER_S);
    list_append(&r->pendings, &p->all);
    list_append(&a->pendings, &p->of_agent);
    pair->pending++;
    client->pending = p;
    hop_quiet_begin(&client->driver.hop);
    return p;
}

static bool refuse_at_once(struct peer *client, enum code code, const char *text)
{
    struct refusal m = {.code = (uint16_t)code, .text = view_of_string(text), .retry_s = RETRY_S};
    log_debug("user %s: CONNECT refused: %s", client->user->config->name, text);
    send_refused(client, &m);
    return true;
}

bool pending_begin(struct peer *client, struct view body)
{
    struct connect m;
    struct relay *r = client->relay;
    if (!connect_decode(&m, body))
        return hop_fail(&client->driver.hop, CODE_PROTOCOL, "malformed CONNECT");
    struct agent *a = directory_agent_for(&r->directory, client->user, m.agent);
    if (!a) {
        return refuse_at_once(client, CODE_NO_AGENT,
                              "no agent of this name is known here, or not to you");
    }
    struct pair *pair = directory_pair(&r->directory, client->user, a);
    if (!pair)
        return refuse_at_once(client, CODE_INTERNAL, "the relay has no memory left");
    if (pair->pending >= PENDING_PER_USER_AGENT)
        return refuse_at_once(client, CODE_FULL, "too many connects to this agent are under way");
    if (!rate_take(&pair->connects, loop_now(r->loop), CONNECT_RATE_PER_S, CONNECT_BURST))
        return refuse_at_once(client, CODE_FULL, "too many connects to this agent in a short time");
    struct pending *p = pending_new(client, a, pair, m.message1);
    if (!p)
        return refuse_at_once(client, CODE_INTERNAL, "the relay has no memory left");
    try_ways(p);
    return true;
}

void pending_parked_came(struct agent *a)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->state == PENDING_WAITING)
            try_ways(p);
    }
}

void pending_control_came(struct agent *a)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        bool unanswered = p->state == PENDING_PARKED || (p->state == PENDING_TICKET && !p->hop);
        if (unanswered)
            withdraw(p);
    }
    pending_parked_came(a);
}

static struct pending *find_ticket(const struct agent *a, const uint8_t ticket[TICKET_BYTES])
{
    for (struct list *link = a->pendings.next; link != &a->pendings; link = link->next) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->state == PENDING_TICKET && bytes_equal_secret(p->ticket, ticket, TICKET_BYTES))
            return p;
    }
    return NULL;
}

struct pending *pending_by_ticket(const struct agent *a, const uint8_t ticket[TICKET_BYTES],
                                  uint64_t now_us)
{
    struct pending *p = find_ticket(a, ticket);
    bool valid = p && !p->hop && now_us - p->offered_us <= TICKET_S * CLOCK_US_PER_S;
    return valid ? p : NULL;
}

bool pending_hop_came(struct agent *a, uint64_t offer, struct peer *hop)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->offer == offer && p->state == PENDING_TICKET && !p->hop) {
            p->hop = hop;
            hop->pending = p;
            hop_quiet_begin(&hop->driver.hop);
            return true;
        }
    }
    return false;
}

void pending_dialled(struct pending *p)
{
    offer_on(p, p->hop, PENDING_DIALLED);
}

/* Whether ACCEPT or REFUSE may come on this circuit hop. */
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

bool pending_accept(struct peer *hop, struct view body)
{
    struct view message2;
    struct hop *h = &hop->driver.hop;
    struct pending *p = hop->pending;
    if (!offered_on(hop))
        return hop_fail(h, CODE_PROTOCOL, "ACCEPT without an OFFER");
    if (!message2_decode(&message2, body))
        return hop_fail(h, CODE_PROTOCOL, "malformed ACCEPT");
    if (!send_connected(p->client, message2)) {
        release_hop(p);
        return hop_fail(h, CODE_NETWORK, "the client has gone");
    }
    set_state(p, PENDING_ACCEPTED);
    hop_detach(h);
    return true;
}

void pending_join(struct pending *p, struct view rest)
{
    struct circuit_parts parts = {.then[SIDE_CLIENT] = rest};
    struct peer *client = p->client, *hop = release_hop(p);
    client->pending = NULL;
    p->client = NULL;
    hop_detach(&client->driver.hop);
    parts.fd[SIDE_CLIENT] = peer_take(client, &parts.first[SIDE_CLIENT]);
    parts.fd[SIDE_AGENT] = peer_take(hop, &parts.first[SIDE_AGENT]);
    relay_circuit_join(p, &parts);
    end(p);
}

/* An agent's REFUSE goes on to the client as it is. */
static void pass_refusal(struct pending *p, const struct refusal *m)
{
    struct refusal refused = *m;
    if (refused.code == CODE_OK)
        refused.code = CODE_DENIED;
    refuse(p, &refused);
}

bool pending_refuse_on_hop(struct peer *hop, struct view body)
{
    struct refusal m;
    struct hop *h = &hop->driver.hop;
    if (!offered_on(hop))
        return hop_fail(h, CODE_PROTOCOL, "REFUSE without an OFFER");
    struct pending *p = hop->pending;
    if (!refuse_decode(&m, body) || !bytes_equal_secret(m.ticket, p->ticket, TICKET_BYTES))
        return hop_fail(h, CODE_PROTOCOL, "malformed REFUSE");
    release_hop(p);
    hop_quiet_end(h, loop_now(p->relay->loop));
    pass_refusal(p, &m);
    return true;
}

bool pending_refuse_on_control(struct peer *control, struct view body)
{
    struct refusal m;
    if (!refuse_decode(&m, body))
        return hop_fail(&control->driver.hop, CODE_PROTOCOL, "malformed REFUSE");
    struct pending *p = find_ticket(control->agent, m.ticket);
    if (p)
        pass_refusal(p, &m);
    else
        log_debug("agent %s: REFUSE for an offer that is over", control->agent->name);
    return true;
}

void pending_hop_lost(struct pending *p, const char *why)
{
    bool dialled = p->state == PENDING_GREETING || p->state == PENDING_DIALLED;
    release_hop(p);
    if (dialled) {
        refuse_offline(p, why);
        return;
    }
    log_debug("circuit %s: the hop it was offered on has ended: %s", p->id, why);
    withdraw(p);
    try_ways(p);
}

void pending_client_gone(struct pending *p)
{
    log_info("circuit %s: refused: the client has gone", p->id);
    p->client = NULL;
    end(p);
}
