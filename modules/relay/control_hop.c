/* The kind of an agent's control hop. An agent has one; the newest counts. */
#include "relay/control_hop.h"

#include <string.h>

#include "audit/note.h"
#include "base/log.h"
#include "base/text.h"
#include "relay/circuit_hop.h"
#include "relay/desk.h"
#include "relay/heads.h"
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

/* ---- Calls for help. ---- */

/* An agent's calls have so many entries of their own at once, and one in so many seconds later. */
#define CALL_NOTES_BURST 128
#define CALL_NOTE_S 10

static void note_call(struct peer *peer, const struct log_fields *f)
{
    struct relay *r = peer->relay;
    const struct audit_entry like = {.event = f->event, .agent = f->agent, .by = "agent"};
    if (rate_charge(&peer->agent->call_notes, loop_now(r->loop), 1, CALL_NOTES_BURST * CALL_NOTE_S,
                    CALL_NOTE_S))
        audit_note(r->audit, f, &(struct audit_entry){.by = like.by});
    else
        audit_counts_add_like(&r->counts, &like);
}

/* The same call, if it is among these: what may change is its age and who has taken it. */
static const struct told_call *find_call(const struct told_calls *calls, const struct told_call *c)
{
    for (size_t i = 0; i < calls->count; i++)
        if (calls->all[i].number == c->number && calls->all[i].severity == c->severity &&
            view_equal(calls->all[i].text, c->text))
            return &calls->all[i];
    return NULL;
}

static void log_call(struct peer *peer, const struct told_call *call, const struct told_call *was)
{
    struct log_rates *log = &peer->relay->log;
    const struct known_agent *a = peer->agent;
    struct log_fields f = fields_of(peer, a, "call");
    uint64_t now = loop_now(peer->relay->loop);
    char text[TEXT_MAX_BYTES + 1], user[NAME_TEXT_BYTES];
    text_clean(text, sizeof text, call->text);
    text_clean(user, sizeof user, call->taken_by);
    f.severity = call->severity;
    f.reason = text;
    if (!was) {
        log_caused_event(log, a->public_key, now, LOG_INFO, &f,
                         "agent %s calls for help, severity %u: %s", a->name, call->severity, text);
        note_call(peer, &f);
    }
    if (!*user || (was && view_equal(was->taken_by, call->taken_by)))
        return;
    f.event = "call_taken";
    f.user = user;
    log_caused_event(log, a->public_key, now, LOG_INFO, &f,
                     "agent %s: user %s has taken the call: %s", a->name, user, text);
    note_call(peer, &f);
}

/* A call is over, others stand. */
static void log_call_over(struct peer *peer, const struct told_call *call)
{
    const struct known_agent *a = peer->agent;
    struct log_fields f = fields_of(peer, a, "call_over");
    char text[TEXT_MAX_BYTES + 1];
    text_clean(text, sizeof text, call->text);
    f.severity = call->severity;
    f.reason = text;
    log_caused_event(&peer->relay->log, a->public_key, loop_now(peer->relay->loop), LOG_INFO, &f,
                     "agent %s: a call of severity %u is over: %s", a->name, call->severity, text);
    note_call(peer, &f);
}

/* Says what is new, and what has ended. */
static void log_calls(struct peer *peer, const struct told_calls *old, const struct told_calls *new)
{
    const struct known_agent *a = peer->agent;
    struct log_fields f = fields_of(peer, a, "call_over");
    for (size_t i = 0; i < new->count; i++)
        log_call(peer, &new->all[i], find_call(old, &new->all[i]));
    for (size_t i = 0; i<old->count &&new->count> 0; i++)
        if (!find_call(new, &old->all[i]))
            log_call_over(peer, &old->all[i]);
    if (old->count == 0 || new->count > 0)
        return;
    log_caused_event(&peer->relay->log, a->public_key, loop_now(peer->relay->loop), LOG_INFO, &f,
                     "agent %s no longer calls for help", a->name);
    note_call(peer, &f);
}

static bool read_call(struct peer *peer, struct view body)
{
    struct call call;
    struct told_calls old, new = {0};
    struct presence *p = &peer->agent->presence;
    uint64_t now = loop_now(peer->relay->loop);
    if (!call_decode(&call, body))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed CALL");
    if (peer->agent->hops.control != peer)
        return true;
    presence_calls(p, &old, now);
    new.count = call.severity > 0;
    new.all[0] = (struct told_call){.severity = call.severity, .text = call.text};
    log_calls(peer, &old, &new);
    return presence_set_call(p, &call, now) ||
           hop_fail(&peer->driver.hop, CODE_INTERNAL, NO_MEMORY_TEXT);
}

static bool read_calls(struct peer *peer, struct view body)
{
    struct calls calls;
    struct told_calls old, new;
    uint8_t heard[4];
    struct presence *p = &peer->agent->presence;
    uint64_t now = loop_now(peer->relay->loop);
    if (!calls_decode(&calls, body) || !told_calls_decode(&new, calls.calls))
        return hop_fail(&peer->driver.hop, CODE_PROTOCOL, "malformed CALLS");
    if (peer->agent->hops.control != peer)
        return true;
    presence_calls(p, &old, now);
    log_calls(peer, &old, &new);
    if (!presence_set_calls(p, calls.calls, now))
        return hop_fail(&peer->driver.hop, CODE_INTERNAL, NO_MEMORY_TEXT);
    store_be32(heard, calls.revision);
    return hop_send(&peer->driver.hop, MESSAGE_HEARD, view_of(heard, sizeof heard));
}

/* ---- The hop. ---- */

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
    circuit_hops_end_old(a, now);
}

static const struct peer_message messages[] = {
    {MESSAGE_REFUSE, offer_read_refuse_on_control},
    {MESSAGE_CALL, read_call},
    {MESSAGE_CALLS, read_calls},
    {MESSAGE_HEAD, heads_read_of_agent},
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
