/* From a name to an open hop: a carrier is dialled, and a driver shakes hands over it. */
#include "hop/outgoing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/keys.h"

#define DIAL_S 15

static void failed(struct outgoing *o, enum code code, const char *text)
{
    hop_fail(&o->driver.hop, code, "cannot connect to relay %s: %s", o->relay, text);
    o->request.on_ended(o);
}

/* "relay.example.com (10.77.1.1:7443)", or the address alone if that was configured. */
static void name_relay(struct outgoing *o, const struct address *address)
{
    struct address literal;
    const struct outgoing_request *r = &o->request;
    snprintf(o->relay, sizeof o->relay, strchr(r->host, ':') ? "[%s]:%u" : "%s:%u", r->host,
             r->port);
    snprintf(o->address, sizeof o->address, "%.*s", (int)sizeof o->address - 1, o->relay);
    if (!address || address->len == 0)
        return;
    address_to_text(o->address, address);
    if (!address_from_literal(&literal, r->host, r->port))
        snprintf(o->relay, sizeof o->relay, "%s (%s)", r->host, o->address);
}

/* Replaces what the engine says by a text that names the relay and what to look at. */
static void set_error(struct outgoing *o, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_error(struct outgoing *o, enum code code, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    text_format(text, sizeof text, format, args);
    va_end(args);
    hop_explain(&o->driver.hop, code, "relay %s: %s", o->relay, text);
}

/* A responder that does not see its own key behind the first message says nothing, so no more can
 * be known. */
static void set_silent(struct outgoing *o, unsigned waited_s)
{
    char within[32] = "";
    if (waited_s > 0)
        snprintf(within, sizeof within, " within %u s", waited_s);
    set_error(
        o, CODE_TIMEOUT,
        "no answer to the handshake%s: check PublicKey in [Relay], or something other than an "
        "spx relay listens there",
        within);
}

/* Without an answer. A relay that gives none keeps the connection for SILENT_S by its own clock;
 * OpenSSL, for one, closes it at once. */
static void set_unanswered(struct outgoing *o, bool closed)
{
    uint64_t started_us = o->driver.deadline_us - HANDSHAKE_S * CLOCK_US_PER_S;
    uint64_t waited_us = loop_now(o->loop) - started_us;
    unsigned waited_s = (unsigned)((waited_us + CLOCK_US_PER_S / 2) / CLOCK_US_PER_S);
    if (!closed || waited_s >= SILENT_S / 2)
        set_silent(o, waited_s);
    else
        set_error(o, CODE_NETWORK,
                  "no answer to the handshake: %s: something other than an spx relay may listen "
                  "there, such as a TLS server",
                  hop_error(&o->driver.hop)->text);
}

/* Something has answered that cannot be the relay with this key. */
static void set_strange(struct outgoing *o)
{
    set_error(o, CODE_NETWORK, "%s: check Address in [Relay]", hop_error(&o->driver.hop)->text);
}

static void driver_ended(struct hop_driver *d)
{
    struct outgoing *o = container_of(d, struct outgoing, driver);
    enum code code = hop_error(&d->hop)->code;
    if (!o->open && !d->hop.refused_by_peer) {
        if (code == CODE_NETWORK || code == CODE_TIMEOUT)
            set_unanswered(o, code == CODE_NETWORK);
        else if (code == CODE_BAD_HANDSHAKE)
            set_strange(o);
    }
    o->request.on_ended(o);
}

static void driver_detached(struct hop_driver *d)
{
    struct outgoing *o = container_of(d, struct outgoing, driver);
    o->request.on_detached(o);
}

static enum code code_of(enum dial_result result)
{
    if (result == DIAL_TIMED_OUT)
        return CODE_TIMEOUT;
    return result == DIAL_INTERNAL ? CODE_INTERNAL : CODE_NETWORK;
}

static void dialled(struct carrier_dial *d, enum dial_result result, struct carrier *carrier,
                    const struct address *address, const char *text)
{
    struct outgoing *o = container_of(d, struct outgoing, dial);
    const struct outgoing_request *r = &o->request;
    name_relay(o, address);
    if (result != DIAL_OK) {
        failed(o, code_of(result), text);
        return;
    }
    if (o->driver.hop.state == HOP_ENDED) { /* the first message could not be written */
        carrier_close(carrier);
        o->request.on_ended(o);
        return;
    }
    o->driver.on_ended = driver_ended;
    if (r->on_detached)
        o->driver.on_detached = driver_detached;
    if (!hop_driver_open(&o->driver, o->loop, carrier)) {
        failed(o, CODE_INTERNAL, system_text(errno));
        return;
    }
    carrier_set_options(o->driver.carrier);
    hop_driver_set_deadline(&o->driver, loop_now(o->loop) + HANDSHAKE_S * CLOCK_US_PER_S);
    hop_driver_update(&o->driver);
    if (r->on_waiting)
        r->on_waiting(o);
}

bool outgoing_start(struct outgoing *o, struct loop *loop, const struct outgoing_request *request)
{
    *o = (struct outgoing){.loop = loop, .request = *request, .dial.done = dialled};
    memcpy(o->peer_key, request->peer_key, sizeof o->peer_key);
    if (request->ticket)
        memcpy(o->ticket, request->ticket, sizeof o->ticket);
    name_relay(o, NULL);
    o->running =
        carrier_dial_start(&o->dial, loop, request->host, request->port, DIAL_S * CLOCK_US_PER_S);
    if (o->running) /* computed while the connection is set up; an error is told when it is */
        hop_start(&o->driver.hop, request->party, request->handler, request->role, o->peer_key,
                  request->ticket ? o->ticket : NULL, loop_now(loop));
    return o->running;
}

void outgoing_opened(struct outgoing *o)
{
    o->open = true;
    hop_driver_set_deadline(&o->driver, CLOCK_NEVER);
}

void outgoing_refusal_text(char out[OUTGOING_REFUSAL_BYTES], const struct outgoing *o)
{
    const struct wire_error *e = hop_error(&o->driver.hop);
    int len = snprintf(out, OUTGOING_REFUSAL_BYTES, "refused by relay %s: %s", o->relay, e->text);
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    if (e->code != CODE_UNKNOWN_KEY)
        return;
    key_fingerprint(fingerprint, o->request.party->own->public_key);
    snprintf(out + len, OUTGOING_REFUSAL_BYTES - (size_t)len,
             ": %s, 'spx %s --check' shows the public key", fingerprint,
             o->request.role == ROLE_CLIENT ? "client" : "agent");
}

void outgoing_close(struct outgoing *o)
{
    if (!o->running)
        return;
    o->running = false;
    carrier_dial_cancel(&o->dial);
    hop_driver_close(&o->driver);
    wipe(o->ticket, sizeof o->ticket);
}
