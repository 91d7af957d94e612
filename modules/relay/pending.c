/* The states and the end of a CONNECT under way. It knows no way to an agent. */
#include "relay/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "net/dial.h"
#include "relay/desk.h"
#include "relay/peer.h"

#define REFUSED_BODY_BYTES (2 + 2 + TEXT_MAX_BYTES + 2 + SESSION_MESSAGE2_MAX)
#define RETRY_S 1

static const char *state_name(enum pending_state state)
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

struct log_fields pending_fields(const struct pending *p, const char *event)
{
    return (struct log_fields){.event = event,
                               .circuit = p->label,
                               .user = p->user->config->name,
                               .agent = p->agent->name};
}

void pending_note(const struct pending *p, const struct log_fields *f, const char *by)
{
    char key[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(key, p->user->public_key);
    audit_note(p->relay->audit, f,
               &(struct audit_entry){.circuit = p->circuit, .key = key, .by = by});
}

void pending_set_state(struct pending *p, enum pending_state state)
{
    if (p->state != state) {
        log_caused(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_DEBUG,
                   "circuit %s: %s -> %s", p->label, state_name(p->state), state_name(state));
        p->state = state;
    }
}

void pending_set_hop(struct pending *p, struct peer *hop)
{
    p->hop = hop;
    hop->pending = p;
}

struct peer *pending_release_hop(struct pending *p)
{
    struct peer *hop = p->hop;
    if (hop) {
        hop->pending = NULL;
        p->hop = NULL;
    }
    return hop;
}

static void drop_way(struct pending *p)
{
    struct peer *hop = pending_release_hop(p);
    if (hop)
        peer_bye(hop, CODE_TIMEOUT, "the offer made on it is over", 0);
    carrier_dial_cancel(&p->dial);
    p->offer = 0;
}

void pending_withdraw(struct pending *p)
{
    drop_way(p);
    pending_set_state(p, PENDING_WAITING);
}

/* Ends it; the client's hop, if there still is one, is an ordinary one again. */
static void end(struct pending *p)
{
    drop_way(p);
    if (p->client) {
        p->client->pending = NULL;
        hop_quiet_end(&p->client->driver.hop, loop_now(p->relay->loop));
        hop_driver_update(&p->client->driver);
    }
    timer_cancel(p->relay->loop, &p->timer);
    list_remove(&p->all);
    list_remove(&p->of_agent);
    p->pair->pending--;
    wipe(p->ticket, sizeof p->ticket);
    free(p);
}

void pending_send_refused(struct peer *client, const struct refusal *m)
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

void pending_refuse_as(struct pending *p, const struct refusal *m)
{
    struct log_fields f = pending_fields(p, "circuit_refused");
    char text[256];
    if (text_clean(text, sizeof text, m->text) == 0)
        snprintf(text, sizeof text, "%s", code_text(m->code));
    f.code = m->code;
    f.reason = text;
    log_caused_event(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_INFO, &f,
                     "circuit %s: refused: %s", p->label, text);
    pending_note(p, &f, m->message2.len ? "agent" : "relay");
    pending_send_refused(p->client, m);
    end(p);
}

void pending_refuse(struct pending *p, enum code code, const char *text, uint16_t retry_s)
{
    struct refusal m = {.code = code, .text = view_of_string(text), .retry_s = retry_s};
    pending_refuse_as(p, &m);
}

void pending_refuse_unreachable(struct pending *p, const char *why)
{
    char text[TEXT_MAX_BYTES / 2];
    snprintf(text, sizeof text, "the relay cannot connect to agent %s: %s", p->agent->name, why);
    pending_refuse(p, CODE_OFFLINE, text, RETRY_S);
}

void pending_joined(struct pending *p)
{
    end(p);
}

static void on_timeout(struct timer *timer)
{
    struct pending *p = container_of(timer, struct pending, timer);
    if (p->state == PENDING_WAITING)
        pending_refuse(p, CODE_OFFLINE, "the agent is offline", RETRY_S);
    else
        pending_refuse(p, CODE_TIMEOUT, "the agent did not answer in time", RETRY_S);
}

struct pending *pending_new(struct peer *client, struct known_agent *a, struct pair *pair,
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
    circuit_label(p->label, message1);
    hash_name(p->circuit, message1);
    p->timer.on_fire = on_timeout;
    timer_set(r->loop, &p->timer, loop_now(r->loop) + CONNECT_WAIT_S * CLOCK_US_PER_S);
    list_append(&r->pendings, &p->all);
    list_append(&a->pendings, &p->of_agent);
    pair->pending++;
    client->pending = p;
    hop_quiet_begin(&client->driver.hop);
    return p;
}

void pending_way_came(struct known_agent *a)
{
    list_each (link, &a->pendings) {
        struct pending *p = container_of(link, struct pending, of_agent);
        if (p->state == PENDING_WAITING)
            p->try_ways(p);
    }
}

void pending_hop_lost(struct pending *p, const char *why)
{
    bool dialled = p->state == PENDING_GREETING || p->state == PENDING_DIALLED;
    pending_release_hop(p);
    if (dialled) {
        pending_refuse_unreachable(p, why);
        return;
    }
    log_caused(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_DEBUG,
               "circuit %s: the hop it was offered on has ended: %s", p->label, why);
    pending_withdraw(p);
    p->try_ways(p);
}

void pending_client_gone(struct pending *p)
{
    struct log_fields f = pending_fields(p, "circuit_refused");
    f.code = CODE_NETWORK;
    f.reason = "the client disconnected";
    log_caused_event(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_INFO, &f,
                     "circuit %s: refused: the client disconnected", p->label);
    pending_note(p, &f, "client");
    p->client = NULL;
    end(p);
}
