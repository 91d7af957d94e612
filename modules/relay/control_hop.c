/* The kind of an agent's control hop. An agent has one; the newest counts. */
#include "relay/control_hop.h"

#include "base/log.h"
#include "relay/circuit_hop.h"
#include "relay/desk.h"
#include "relay/offer.h"
#include "relay/peer.h"

static struct log_fields fields_of(const struct peer *peer, const struct known_agent *a,
                                   const char *event)
{
    return (struct log_fields){.event = event, .agent = a->name, .address = peer->address};
}

static void replace(struct known_agent *a, const struct peer *newer)
{
    struct peer *older = a->hops.control;
    struct log_fields f;
    uint64_t now = loop_now(newer->relay->loop);
    a->hops.control = NULL; /* the older one's end is not the agent's */
    if (presence_replaced(&a->presence, now)) {
        f = fields_of(newer, a, "agent_duplicate");
        log_caused_event(
            &newer->relay->log, a->public_key, now, LOG_WARNING, &f,
            "agent %s: two agents with its key take turns (now from %s, before from %s): "
            "is it running twice, or was its key copied?",
            a->name, newer->address, older->address);
    }
    peer_bye(older, CODE_REPLACED, "another agent with the same key has connected", 0);
    circuit_hops_end_old(a, now);
}

static bool read_call(struct peer *peer, struct view body)
{
    struct call call;
    struct known_agent *a = peer->agent;
    if (!call_decode(&call, body))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed CALL");
    uint64_t now = loop_now(peer->relay->loop);
    if (a->hops.control != peer || !presence_call(&a->presence, &call, now))
        return true;
    struct log_fields f = fields_of(peer, a, a->presence.severity > 0 ? "call" : "call_over");
    f.severity = a->presence.severity;
    f.reason = a->presence.call_text;
    if (a->presence.severity > 0)
        log_caused_event(&peer->relay->log, a->public_key, now, LOG_INFO, &f,
                         "agent %s calls for help, severity %u: %s", a->name, a->presence.severity,
                         a->presence.call_text ? a->presence.call_text : "");
    else
        log_caused_event(&peer->relay->log, a->public_key, now, LOG_INFO, &f,
                         "agent %s no longer calls for help", a->name);
    return true;
}

static void on_ended(struct peer *peer, const char *why)
{
    struct known_agent *a = peer->agent;
    if (a->hops.control != peer) /* it was replaced */
        return;
    a->hops.control = NULL;
    uint64_t now = loop_now(peer->relay->loop);
    struct log_fields f = fields_of(peer, a, "agent_offline");
    f.reason = why;
    log_caused_event(&peer->relay->log, a->public_key, now, LOG_INFO, &f, "agent %s offline: %s",
                     a->name, why);
    presence_left(&a->presence, now);
}

static const struct peer_message messages[] = {
    {MESSAGE_REFUSE, offer_read_refuse_on_control},
    {MESSAGE_CALL, read_call},
};

static const struct peer_kind control_hop = {
    .on_ended = on_ended,
    .messages = messages,
    .message_count = sizeof messages / sizeof *messages,
};

void control_hop_came(struct peer *peer, struct known_agent *a, const struct info *info)
{
    peer->kind = &control_hop;
    peer_belongs_to_agent(peer, a);
    if (a->hops.control)
        replace(a, peer);
    a->hops.control = peer;
    uint64_t now = loop_now(peer->relay->loop);
    presence_came(&a->presence, info, now);
    struct log_fields f = fields_of(peer, a, "agent_online");
    log_caused_event(&peer->relay->log, a->public_key, now, LOG_INFO, &f, "agent %s online from %s",
                     a->name, peer->address);
    offer_withdraw_unanswered(a);
    pending_way_came(a);
}
