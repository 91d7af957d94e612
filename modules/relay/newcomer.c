/* The kind that a hop has until it is open. Here it is decided what it becomes. */
#include "relay/newcomer.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/keys.h"
#include "relay/circuit_hop.h"
#include "relay/client_hop.h"
#include "relay/control_hop.h"
#include "relay/desk.h"
#include "relay/hello.h"
#include "relay/offer.h"
#include "relay/peer.h"
#include "relay/visitors.h"

/* ---- The crowd. ---- */

/* Ends whoever stands in the way. */
static void make_way(struct crowd_member *m)
{
    if (m) {
        peer_bye(container_of(m, struct peer, waiting), CODE_FULL,
                 "its place was needed for a newer connection", 0);
    }
}

/* It has sent a valid first message: it is counted as a handshake, and another may go for it. */
static void advance(struct peer *peer)
{
    struct crowd *crowd = &peer->relay->crowd;
    make_way(crowd_in_the_way(crowd, CROWD_HANDSHAKE, crowd_source(&peer->waiting)));
    crowd_advance(crowd, &peer->waiting);
}

/* It was not authentic: it is counted as a silent one again, and another may go for it. */
static void retreat(struct peer *peer)
{
    struct crowd *crowd = &peer->relay->crowd;
    make_way(crowd_in_the_way(crowd, CROWD_SILENT, crowd_source(&peer->waiting)));
    crowd_retreat(crowd, &peer->waiting);
}

bool newcomer_end_oldest(struct relay *r)
{
    struct crowd_member *oldest = crowd_oldest(&r->crowd, CROWD_SILENT);
    make_way(oldest);
    return oldest != NULL;
}

static void on_ended(struct peer *peer, const char *why)
{
    struct relay *r = peer->relay;
    uint8_t party[LOG_PARTY_BYTES];
    struct log_fields f = {.event = "hop_ended", .address = peer->address, .reason = why};
    crowd_party(party, &peer->waiting, loop_now(r->loop));
    log_caused_event(&r->log, party, loop_now(r->loop), LOG_DEBUG, &f,
                     "connection from %s ended: %s", peer->address, why);
    crowd_failed(&r->crowd, &peer->waiting, loop_now(r->loop));
    crowd_leave(&r->crowd, &peer->waiting);
    if (peer->job) {
        hello_job_forget(peer->job);
        peer->job = NULL;
    }
}

static const struct peer_kind newcomer = {.on_ended = on_ended};

/* ---- HELLO. ---- */

static void refuse_hello(struct welcome *welcome, enum code code, const char *text)
{
    welcome->code = code;
    welcome->text = view_of_string(text);
}

static void let_in(struct welcome *welcome, const char *name)
{
    welcome->code = CODE_OK;
    welcome->name = view_of_string(name);
}

/* Of a key that the configuration does not have. */
static void hello_of_visitor(struct peer *peer, const struct hello *hello, struct welcome *welcome)
{
    const char *why;
    const struct known_user *u =
        visitors_admit(peer->relay, peer->driver.hop.peer_key, hello->permit, peer->vouched, &why);
    if (u)
        let_in(welcome, u->config->name);
    else
        refuse_hello(welcome, CODE_DENIED, why);
}

static void hello_of_client(struct peer *peer, const struct hello *hello, struct welcome *welcome)
{
    const struct directory *d = &peer->relay->directory;
    const uint8_t *key = peer->driver.hop.peer_key;
    const struct known_user *u = directory_user_by_key(d, key);
    if (u && !u->visit)
        let_in(welcome, u->config->name);
    else if (directory_agent_by_key(d, key))
        refuse_hello(welcome, CODE_WRONG_ROLE, "this key is an agent's, not a user's");
    else if (hello->permit.len > 0 && peer->relay->config.authority_count > 0)
        hello_of_visitor(peer, hello, welcome);
    else
        refuse_hello(welcome, CODE_UNKNOWN_KEY, "this key is not in the relay's configuration");
}

/* Notes the OFFER that a ticket belongs to. False: to none that is still good. */
static bool note_ticket(struct peer *peer, const struct known_agent *a, const struct hello *hello)
{
    if (hello->role != ROLE_AGENT_CIRCUIT || bytes_are_zero(hello->ticket, TICKET_BYTES))
        return true;
    const struct pending *p = offer_by_ticket(a, hello->ticket, loop_now(peer->relay->loop));
    peer->offer = p ? p->offer : 0;
    return p != NULL;
}

static void hello_of_agent(const struct directory *d, struct hop *h, const struct hello *hello,
                           struct welcome *welcome)
{
    const struct known_agent *a = directory_agent_by_key(d, h->peer_key);
    if (!a && directory_user_by_key(d, h->peer_key))
        refuse_hello(welcome, CODE_WRONG_ROLE, "this key is a user's, not an agent's");
    else if (!a)
        refuse_hello(welcome, CODE_UNKNOWN_KEY, "this key is not in the relay's configuration");
    else if (!note_ticket(peer_of(h), a, hello))
        refuse_hello(welcome, CODE_TICKET, "the ticket is unknown, used or too old");
    else
        let_in(welcome, a->name);
}

static void log_refused(struct peer *peer, const struct welcome *welcome)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    uint8_t party[LOG_PARTY_BYTES];
    struct relay *r = peer->relay;
    const struct hop *h = &peer->driver.hop;
    uint64_t now = loop_now(r->loop);
    char reason[TEXT_MAX_BYTES + 1];
    struct log_fields f = {.event = "hop_refused",
                           .key = fingerprint,
                           .address = peer->address,
                           .code = welcome->code,
                           .reason = reason};
    snprintf(reason, sizeof reason, "%.*s", (int)welcome->text.len,
             (const char *)welcome->text.data);
    key_fingerprint(fingerprint, h->peer_key);
    crowd_party(party, &peer->waiting, now);
    log_caused_event(&r->log, party, now, LOG_WARNING, &f, "refused %s at %s, key %s: %s",
                     role_name(h->peer_role), peer->address, fingerprint, reason);
    audit_counts_add(&r->counts, f.event, f.code);
}

static bool on_first_message(struct hop *h, struct view message)
{
    struct peer *peer = peer_of(h);
    advance(peer);
    hello_read(peer, message);
    return true;
}

static void on_not_authentic(struct hop *h)
{
    retreat(peer_of(h));
}

static void on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    struct peer *peer = peer_of(h);
    const struct relay *r = peer->relay;
    hop_driver_set_deadline(&peer->driver, loop_now(r->loop) + HANDSHAKE_S * CLOCK_US_PER_S);
    if (hello->role == ROLE_CLIENT)
        hello_of_client(peer, hello, welcome);
    else if (hello->role == ROLE_RELAY)
        refuse_hello(welcome, CODE_WRONG_ROLE, "a relay does not connect to a relay");
    else
        hello_of_agent(&r->directory, h, hello, welcome);
    if (welcome->code == CODE_OK)
        carrier_set_options(peer->driver.carrier); /* not before: a stranger is worth few calls */
    else
        log_refused(peer, welcome);
}

/* ---- Open. ---- */

static void end_revoked(struct hop *h)
{
    hop_bye(h, CODE_REVOKED, "this key is no longer in the relay's configuration", 0);
}

static void open_client(struct peer *peer)
{
    struct hop *h = &peer->driver.hop;
    struct known_user *u = directory_user_by_key(&peer->relay->directory, h->peer_key);
    if (!u) {
        end_revoked(h);
        return;
    }
    client_hop_came(peer, u);
    visitors_opened(peer, u);
}

static void open_agent(struct peer *peer, const struct info *info)
{
    struct hop *h = &peer->driver.hop;
    struct known_agent *a = directory_agent_by_key(&peer->relay->directory, h->peer_key);
    if (!a)
        end_revoked(h);
    else if (h->peer_role == ROLE_AGENT)
        control_hop_came(peer, a, info);
    else
        circuit_hop_came(peer, a);
}

static void on_open(struct hop *h, const struct info *info)
{
    struct peer *peer = peer_of(h);
    crowd_opened(&peer->relay->crowd, &peer->waiting, loop_now(peer->relay->loop));
    hop_driver_set_deadline(&peer->driver, CLOCK_NEVER);
    if (h->peer_role == ROLE_CLIENT)
        open_client(peer);
    else
        open_agent(peer, info);
}

static const struct hop_handler newcomer_handler = {
    .on_first_message = on_first_message,
    .on_not_authentic = on_not_authentic,
    .on_hello = on_hello,
    .on_open = on_open,
    .on_message = peer_read_message,
};

/* ---- Accepted. ---- */

static void begin(struct relay *r, struct carrier *carrier, const struct address *address,
                  const uint8_t source[SOURCE_BYTES])
{
    static const uint8_t strangers[LOG_PARTY_BYTES];
    struct error e = {0};
    uint64_t now = loop_now(r->loop);
    struct peer *peer = peer_new(r, address, &newcomer);
    if (!peer) {
        carrier_close(carrier);
        return;
    }
    hop_listen(&peer->driver.hop, &r->party, &newcomer_handler, ROLE_RELAY, now);
    peer->driver.deadline_us = now + SILENT_S * CLOCK_US_PER_S;
    if (!peer_open(peer, carrier, &e)) {
        log_caused(&r->log, strangers, now, LOG_ERROR, "connection: %s", e.text);
    } else if (!crowd_enter(&r->crowd, &peer->waiting, source)) {
        log_caused(&r->log, strangers, now, LOG_ERROR, "connection from %s: " NO_MEMORY_TEXT,
                   peer->address);
        peer_bye(peer, CODE_INTERNAL, NO_MEMORY_TEXT, 0);
    }
}

void newcomer_take(struct relay *r, struct carrier *carrier, const struct address *address)
{
    uint8_t source[SOURCE_BYTES];
    address_source(source, address);
    make_way(crowd_in_the_way(&r->crowd, CROWD_SILENT, source));
    begin(r, carrier, address, source);
}
