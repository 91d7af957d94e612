/* Chooses the way that a CONNECT goes to its agent. A further way is one more step of ways_try. */
#include "relay/ways.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/circuit_hop.h"
#include "relay/desk.h"
#include "relay/offer.h"
#include "relay/peer.h"

#define RETRY_S 1

static void log_way(const struct pending *p, const char *way)
{
    struct log_fields f = pending_fields(p, "circuit_asked");
    f.address = p->client->address;
    log_caused_event(&p->relay->log, p->user->public_key, loop_now(p->relay->loop), LOG_INFO, &f,
                     "circuit %s: user %s to agent %s, %s", p->label, f.user, f.agent, way);
}

static void log_dialling(const struct pending *p)
{
    char way[HOST_TEXT_BYTES + 32];
    const struct host_port *to = &p->agent->config->dial;
    snprintf(way, sizeof way, strchr(to->host, ':') ? "dialling [%s]:%u" : "dialling %s:%u",
             to->host, to->port);
    log_way(p, way);
}

static void refuse(struct pending *p, const struct address *address, const char *why)
{
    char at[ADDRESS_TEXT_BYTES] = "", text[TEXT_MAX_BYTES / 2];
    if (address->len > 0)
        address_to_text(at, address);
    snprintf(text, sizeof text, "%s: %s", at[0] ? at : p->agent->config->dial.host, why);
    pending_refuse_unreachable(p, text);
}

static void dialled(struct carrier_dial *d, enum dial_result result, struct carrier *carrier,
                    const struct address *address, const char *text)
{
    struct pending *p = container_of(d, struct pending, dial);
    struct error e = {0};
    if (result != DIAL_OK)
        refuse(p, address, text);
    else if (!circuit_hop_dial(p, carrier, address, &e))
        refuse(p, address, e.text);
}

static void dial(struct pending *p)
{
    const struct host_port *to = &p->agent->config->dial;
    log_dialling(p);
    p->dial.done = dialled;
    if (carrier_dial_start(&p->dial, p->relay->loop, to->host, to->port,
                           CONNECT_WAIT_S * CLOCK_US_PER_S))
        pending_set_state(p, PENDING_DIALLING);
    else
        pending_refuse(p, CODE_INTERNAL, NO_MEMORY_TEXT, RETRY_S);
}

void ways_try(struct pending *p)
{
    struct known_agent *a = p->agent;
    struct peer *hop = circuit_hop_take_parked(a);
    if (hop) {
        log_way(p, "over a connection kept ready");
        offer_on_hop(p, hop, PENDING_PARKED);
    } else if (a->hops.control) {
        log_way(p, "over a new connection");
        offer_with_ticket(p, a->hops.control);
    } else if (a->config->has_dial) {
        dial(p);
    } else {
        log_way(p, "waiting for the agent");
    }
}
