/* Calling home: opens, parks and renews the hops at a relay. OFFERs are answered in
 * agent/answer.c. */
#include "agent/uplink.h"

#include <stdlib.h>
#include <string.h>

#include "agent/answer.h"
#include "agent/call_teller.h"
#include "agent/changes.h"
#include "audit/exchange.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "hop/backoff.h"
#include "hop/outgoing.h"

#define PROBE_US (3 * CLOCK_US_PER_S)
#define HOP_AGE_US (HOP_MAX_AGE_S * CLOCK_US_PER_S)

struct control {
    struct outgoing hop;
    struct uplink *uplink;
    bool informed; /* the relay's INFO is here */
};

/* A hop for a circuit: parked, or with a ticket. One with a ticket has an answer first, then an
 * attachment and a hop. */
struct circuit_hop {
    struct outgoing hop;
    struct uplink *uplink;
    struct list place;             /* parked; or on none */
    struct offer_work work;        /* with a ticket */
    struct answer *answer;         /* to its OFFER; NULL: none in progress */
    struct attachment *attachment; /* with a ticket: the circuit that it becomes */
    struct fifo message2;          /* with a ticket: the body of ACCEPT */
    unsigned renewal;              /* the uplink's, when it was begun */
};

struct uplink {
    struct agent *agent;
    struct agent_relay relay;
    struct control *control; /* the current one, or NULL */
    struct control *next;    /* being opened */
    struct control *old;     /* replaced, until the relay says that the current one is there */
    struct list parked;
    struct offers offers; /* those of the control hop; circuit hops with a ticket work on them */
    struct timer retry, renew, park_again;
    struct call_teller calls;
    unsigned renewal;  /* the number of the last one: hops parked before it are replaced */
    bool renewing;     /* the control hop is replaced once the next hop is parked */
    uint64_t again_us; /* when the relay last saw a control hop after another one; 0: never */
    struct backoff backoff, park_backoff;
    struct rate told_heads, heard_heads;  /* of the own audit, and of the relay's */
    uint8_t told_head[SIGNED_HEAD_BYTES]; /* the last one */
    bool came;                            /* a control hop was open */
    bool settled;                         /* it was online for DUPLICATE_SETTLED_S at a time */
    unsigned replaced; /* by another agent with the same key, one time soon after the other */
};

static const struct hop_handler control_handler, circuit_handler;

static void start_control(struct uplink *u);
static void park(struct uplink *u);
static void work_on_offers(struct uplink *u);

static struct outgoing_request request_to(struct uplink *u, const struct hop_handler *handler,
                                          enum role role)
{
    return (struct outgoing_request){
        .host = u->relay.address.host,
        .port = u->relay.address.port,
        .party = &u->agent->party,
        .handler = handler,
        .role = role,
        .peer_key = u->relay.public_key,
    };
}

static struct control *control_of(struct hop *h)
{
    return container_of(outgoing_of(h), struct control, hop);
}

static struct circuit_hop *circuit_hop_of(struct hop *h)
{
    return container_of(outgoing_of(h), struct circuit_hop, hop);
}

/* ---- Circuit hops. ---- */

static void circuit_hop_free(struct circuit_hop *c)
{
    struct uplink *u = c->uplink;
    if (c->answer)
        answer_cancel(c->answer);
    if (c->attachment)
        attachment_drop(c->attachment);
    outgoing_close(&c->hop);
    fifo_clear(&c->message2);
    list_remove(&c->place);
    offers_end(&u->offers, &c->work);
    free(c);
}

/* The time for which a hop that has ended was open. */
static uint64_t worked_us(const struct outgoing *o)
{
    return o->open ? loop_now(o->loop) - o->driver.hop.opened_us + 1 : 0;
}

static void circuit_hop_ended(struct outgoing *o)
{
    struct circuit_hop *c = container_of(o, struct circuit_hop, hop);
    struct uplink *u = c->uplink;
    bool ticketed = c->message2.bytes > 0;
    uint64_t worked = worked_us(o);
    log_caused(&u->agent->log, u->relay.public_key, loop_now(o->loop), LOG_DEBUG,
               "%s: circuit hop ended: %s", o->address, hop_error(&o->driver.hop)->text);
    circuit_hop_free(c);
    if (ticketed) {
        work_on_offers(u);
        return;
    }
    timer_set(u->agent->loop, &u->park_again,
              loop_now(u->agent->loop) + backoff_next(&u->park_backoff, worked));
}

/* Moves the hop's carrier to the circuit and frees the hop. */
static void become_circuit(struct circuit_hop *c, struct attachment *t)
{
    struct carrier *carrier = hop_driver_take(&c->hop.driver);
    c->attachment = NULL;
    circuit_hop_free(c);
    attachment_attach(t, carrier);
}

/* Only a hop with a ticket is detached in its handler. */
static void circuit_hop_detached(struct outgoing *o)
{
    struct circuit_hop *c = container_of(o, struct circuit_hop, hop);
    struct uplink *u = c->uplink;
    become_circuit(c, c->attachment);
    work_on_offers(u);
}

static bool is_old(const struct circuit_hop *c)
{
    return c->renewal != c->uplink->renewal;
}

/* Ends old parked hops once a newer one is parked; one on which an OFFER is being answered ends
 * after that. */
static void end_replaced(struct uplink *u)
{
    bool replaced = false;
    list_each (link, &u->parked) {
        const struct circuit_hop *c = container_of(link, struct circuit_hop, place);
        replaced = replaced || (c->hop.open && !is_old(c));
    }
    list_each (link, &u->parked) {
        struct circuit_hop *c = container_of(link, struct circuit_hop, place);
        if (replaced && is_old(c) && !c->answer)
            circuit_hop_free(c);
    }
}

static void parked(struct uplink *u)
{
    end_replaced(u);
    if (u->renewing)
        start_control(u);
}

static void circuit_on_open(struct hop *h, const struct info *info)
{
    struct circuit_hop *c = circuit_hop_of(h);
    size_t len = c->message2.bytes;
    struct agent *a = c->uplink->agent;
    (void)info;
    outgoing_opened(&c->hop);
    if (len)
        hop_send(h, MESSAGE_ACCEPT, view_of(fifo_front_whole(&c->message2, len), len));
    log_caused(&a->log, h->peer_key, loop_now(a->loop), LOG_DEBUG, "%s: a circuit hop is %s",
               c->hop.address, len ? "open for its ticket" : "parked");
    if (!len)
        parked(c->uplink);
}

/* The OFFER that arrived on a parked hop is answered. */
static void parked_answered(void *owner, const struct answer_result *result)
{
    struct circuit_hop *c = owner;
    struct uplink *u = c->uplink;
    c->answer = NULL;
    if (answer_tell(u->agent, &c->hop.driver.hop, result)) {
        become_circuit(c, result->attachment);
        park(u);
        return;
    }
    hop_driver_update(&c->hop.driver);
    end_replaced(u);
}

static bool circuit_on_message(struct hop *h, unsigned type, struct view body)
{
    struct circuit_hop *c = circuit_hop_of(h);
    bool ticketed = c->message2.bytes > 0;
    if (type == MESSAGE_OFFER && ticketed)
        return hop_fail(h, CODE_PROTOCOL, "an OFFER came on a hop that answers one");
    if (type == MESSAGE_OFFER)
        return answer_take_offer(c->uplink->agent, h, body, &c->answer, parked_answered, c);
    /* ACCEPT has been sent: the relay's INFO is the last record before the circuit's bytes. */
    if (type == MESSAGE_INFO && ticketed)
        hop_detach(h);
    return true;
}

static const struct hop_handler circuit_handler = {.on_open = circuit_on_open,
                                                   .on_message = circuit_on_message};

/* A circuit hop, not yet opened. NULL without memory. */
static struct circuit_hop *circuit_hop_new(struct uplink *u)
{
    struct circuit_hop *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->uplink = u;
    c->renewal = u->renewal;
    list_init(&c->place);
    return c;
}

/* ticket: NULL to park it. False without memory. */
static bool open_circuit_hop(struct circuit_hop *c, const uint8_t *ticket)
{
    struct uplink *u = c->uplink;
    struct outgoing_request request = request_to(u, &circuit_handler, ROLE_AGENT_CIRCUIT);
    request.ticket = ticket;
    request.on_ended = circuit_hop_ended;
    request.on_detached = circuit_hop_detached;
    return outgoing_start(&c->hop, u->agent->loop, &request);
}

/* Parks a hop unless one that is not old is parked or being opened. */
static void park(struct uplink *u)
{
    struct circuit_hop *c;
    if (!u->control || u->agent->stopping)
        return;
    list_each (link, &u->parked)
        if (!is_old(container_of(link, struct circuit_hop, place)))
            return;
    c = circuit_hop_new(u);
    if (c && open_circuit_hop(c, NULL)) {
        list_append(&u->parked, &c->place);
        return;
    }
    free(c);
    timer_set(u->agent->loop, &u->park_again, loop_now(u->agent->loop) + CLOCK_US_PER_S);
}

static void on_park_again(struct timer *timer)
{
    park(container_of(timer, struct uplink, park_again));
}

/* Opens the hop for an OFFER that was accepted. */
static bool open_for_ticket(struct circuit_hop *c, const struct answer_result *result)
{
    c->attachment = result->attachment; /* from here on it goes with the hop */
    return fifo_append(&c->message2, result->message2.data, result->message2.len) &&
           open_circuit_hop(c, result->offer->ticket);
}

/* An OFFER of the control hop, which is still the same, is answered. */
static void ticket_answered(void *owner, const struct answer_result *result)
{
    struct circuit_hop *c = owner;
    struct uplink *u = c->uplink;
    struct hop *control = &u->control->hop.driver.hop;
    c->answer = NULL;
    if (result->attachment && open_for_ticket(c, result))
        return;
    if (result->attachment)
        answer_refuse(control, result->offer, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    else
        answer_send_refusal(control, result);
    circuit_hop_free(c);
    work_on_offers(u);
}

/* Begins to answer an OFFER of the control hop. */
static void answer_for_ticket(struct uplink *u, struct kept_offer *kept)
{
    struct circuit_hop *c = circuit_hop_new(u);
    if (c && (c->answer = answer_begin(u->agent, kept, ticket_answered, c)) != NULL) {
        offers_begin(&u->offers, &c->work, &kept->offer);
        return;
    }
    free(c);
    answer_refuse(&u->control->hop.driver.hop, &kept->offer, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    kept_offer_free(kept);
}

/* Takes OFFERs that wait while there is a place to work on one. */
static void work_on_offers(struct uplink *u)
{
    uint64_t now = loop_now(u->agent->loop);
    struct kept_offer *kept;
    while (u->control && (kept = offers_next(&u->offers)) != NULL) {
        if (now - kept->came_us < TICKET_S * CLOCK_US_PER_S) {
            answer_for_ticket(u, kept);
            continue;
        }
        answer_refuse(&u->control->hop.driver.hop, &kept->offer, CODE_FULL, "the agent is busy");
        kept_offer_free(kept);
    }
    if (u->control)
        hop_driver_update(&u->control->hop.driver);
}

static bool take_control_offer(struct uplink *u, struct hop *h, struct view body)
{
    struct kept_offer *kept = answer_read_offer(u->agent, h, body), *lost;
    if (!kept)
        return h->state == HOP_OPEN;
    lost = offers_wait(&u->offers, kept);
    if (lost) {
        answer_refuse(h, &lost->offer, CODE_FULL, "the agent is busy");
        kept_offer_free(lost);
    }
    work_on_offers(u);
    return h->state == HOP_OPEN;
}

/* The control hop has ended: the relay makes unanswered OFFERs again. */
static void forget_offers(struct uplink *u)
{
    offers_clear(&u->offers);
    list_each (link, &u->offers.working) {
        struct circuit_hop *c = container_of(link, struct circuit_hop, work.place);
        if (c->answer)
            circuit_hop_free(c);
    }
}

/* ---- The control hop. ---- */

static void control_free(struct control *c)
{
    if (!c)
        return;
    if (c->hop.open)
        hop_bye(&c->hop.driver.hop, CODE_SHUTDOWN, "disconnected", 0);
    outgoing_close(&c->hop);
    free(c);
}

void uplink_tell_calls(struct uplink *u)
{
    call_teller_tell(&u->calls);
}

void uplink_tell_head(struct uplink *u, struct view head)
{
    struct control *c = u->control;
    if (!c || !c->informed || head.len != sizeof u->told_head ||
        memcmp(u->told_head, head.data, head.len) == 0 ||
        !rate_charge(&u->told_heads, loop_now(u->agent->loop), 1,
                     (AUDIT_HEAD_BURST - 1) * AUDIT_HEAD_S, AUDIT_HEAD_S))
        return;
    memcpy(u->told_head, head.data, head.len);
    hop_send(&c->hop.driver.hop, MESSAGE_HEAD, head);
    hop_driver_update(&c->hop.driver);
}

/* The relay's head. */
static bool read_head(struct control *c, struct view body)
{
    struct uplink *u = c->uplink;
    char relay[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(relay, u->relay.public_key);
    audit_take_head(u->agent->audit, &u->heard_heads,
                    &(struct audit_entry){.relay = relay, .by = "relay"}, u->relay.public_key,
                    body);
    return true;
}

static bool read_info(struct control *c, struct view body)
{
    struct info info;
    uint16_t unsupported;
    c->informed = info_decode(&info, body, &unsupported);
    if (c->informed)
        call_teller_begin(&c->uplink->calls, &c->hop.driver, info.flags & INFO_FLAG_CALLS);
    audit_want_head(c->uplink->agent->audit);
    return true;
}

void uplink_probe(struct uplink *u)
{
    if (!u->control)
        return;
    hop_probe(&u->control->hop.driver.hop, loop_now(u->agent->loop), PROBE_US);
    hop_driver_update(&u->control->hop.driver);
}

static void end_old(struct uplink *u)
{
    if (u->old) {
        outgoing_close(&u->old->hop);
        free(u->old);
        u->old = NULL;
    }
}

static void control_on_open(struct hop *h, const struct info *info)
{
    struct control *c = control_of(h);
    struct uplink *u = c->uplink;
    struct loop *loop = u->agent->loop;
    struct control *old = u->control;
    struct log_fields f = {.event = "agent_online"};
    (void)info;
    outgoing_opened(&c->hop);
    u->control = c;
    u->next = NULL;
    u->renewing = false;
    call_teller_lose(&u->calls);
    forget_offers(u);
    if (u->came)
        u->again_us = loop_now(loop);
    u->came = true;
    end_old(u);
    u->old = old;
    f.relay = c->hop.relay;
    f.agent = h->peer_name;
    log_caused_event(&u->agent->log, u->relay.public_key, loop_now(loop), LOG_INFO, &f,
                     "online at relay %s as %s", c->hop.relay, h->peer_name);
    timer_set(loop, &u->renew, loop_now(loop) + HOP_AGE_US);
    park(u);
}

static bool control_on_message(struct hop *h, unsigned type, struct view body)
{
    struct control *c = control_of(h);
    if (c == c->uplink->old)
        return true; /* the relay makes its OFFERs again on the current one */
    if (type == MESSAGE_OFFER)
        return take_control_offer(c->uplink, h, body);
    if (type == MESSAGE_HEARD)
        return call_teller_read_heard(&c->uplink->calls, body);
    if (type == MESSAGE_HEAD)
        return read_head(c, body);
    end_old(c->uplink); /* INFO: the relay has replaced it */
    return type != MESSAGE_INFO || read_info(c, body);
}

static const struct hop_handler control_handler = {.on_open = control_on_open,
                                                   .on_message = control_on_message};

static uint64_t doubled(unsigned seconds, unsigned times, unsigned most)
{
    return (uint64_t)seconds * CLOCK_US_PER_S << (times < most ? times : most);
}

/* An agent that was online for a while comes back soon; so does any that is replaced for the first
 * time: what replaced it may be what was left of an earlier connection of its own. One that is
 * replaced again, and was never online for a while, is the second of two and gives way. Both wait
 * longer each time, so that they do not replace each other without end. */
static uint64_t wait_as_duplicate(struct uplink *u, const struct outgoing *o)
{
    uint64_t online = worked_us(o), wait;
    struct log_fields f = {
        .event = "agent_duplicate", .agent = u->agent->config.name, .relay = o->relay};
    bool newcomer;
    u->settled = u->settled || online >= DUPLICATE_SETTLED_S * CLOCK_US_PER_S;
    if (online >= DUPLICATE_WAIT_S * CLOCK_US_PER_S)
        u->replaced = 0;
    newcomer = !u->settled && u->replaced > 0;
    wait = newcomer ? doubled(DUPLICATE_WAIT_S, u->replaced - 1, 2)
                    : doubled(DUPLICATE_RETURN_S, u->replaced, 5);
    u->replaced++;
    if (newcomer)
        log_caused_event(
            &u->agent->log, u->relay.public_key, loop_now(o->loop), LOG_ERROR, &f,
            "another agent with this agent's key is online at relay %s: stop one of them, "
            "or give it a key of its own ('spx key new FILE')",
            o->relay);
    return wait;
}

/* The shortest wait that the relay asks for, or that another agent with the same key requires. */
static uint64_t least_wait(struct uplink *u, const struct outgoing *o)
{
    const struct hop *h = &o->driver.hop;
    return o->open && hop_error(h)->code == CODE_REPLACED ? wait_as_duplicate(u, o)
                                                          : h->retry_s * CLOCK_US_PER_S;
}

static void log_control_ended(struct uplink *u, const struct outgoing *o, uint64_t wait_us)
{
    struct log_rates *log = &u->agent->log;
    const uint8_t *relay = u->relay.public_key;
    uint64_t now = loop_now(o->loop);
    const struct hop *h = &o->driver.hop;
    const struct wire_error *error = hop_error(h);
    struct log_fields f = {.event = o->open              ? "agent_offline"
                                    : h->refused_by_peer ? "hop_refused"
                                                         : "hop_failed",
                           .agent = u->agent->config.name,
                           .relay = o->relay,
                           .code = error->code,
                           .reason = error->text};
    char when[32], text[OUTGOING_REFUSAL_BYTES];
    text_wait(when, wait_us);
    outgoing_refusal_text(text, o);
    if (o->open)
        log_caused_event(log, relay, now, LOG_WARNING, &f, "lost relay %s: %s; retrying %s",
                         o->relay, error->text, when);
    else if (h->refused_by_peer)
        log_caused_event(log, relay, now, LOG_WARNING, &f, "%s; retrying %s", text, when);
    else
        log_caused_event(log, relay, now, LOG_WARNING, &f, "%s; retrying %s", error->text, when);
}

static void control_ended(struct outgoing *o)
{
    struct control *c = container_of(o, struct control, hop);
    struct uplink *u = c->uplink;
    struct loop *loop = u->agent->loop;
    uint64_t wait, least;
    if (c == u->old) {
        end_old(u);
        return;
    }
    wait = backoff_next(&u->backoff, worked_us(o));
    least = least_wait(u, o);
    if (wait < least)
        wait = least;
    log_control_ended(u, o, wait);
    if (c == u->control) {
        u->control = NULL;
        end_old(u);
        forget_offers(u);
        call_teller_lose(&u->calls);
        if (u->agent->calls)
            u->agent->on_calls_heard(u->agent);
    } else {
        u->next = NULL;
    }
    outgoing_close(&c->hop);
    free(c);
    if (!u->control || !u->next)
        timer_set(loop, &u->retry, loop_now(loop) + wait);
}

static void start_control(struct uplink *u)
{
    struct outgoing_request request = request_to(u, &control_handler, ROLE_AGENT);
    struct control *c = u->next ? NULL : calloc(1, sizeof *c);
    if (u->next)
        return;
    request.on_ended = control_ended;
    if (c && outgoing_start(&c->hop, u->agent->loop, &request)) {
        log_caused(&u->agent->log, u->relay.public_key, loop_now(u->agent->loop), LOG_DEBUG,
                   "connecting to relay %s", c->hop.relay);
        c->uplink = u;
        u->next = c;
        return;
    }
    free(c);
    timer_set(u->agent->loop, &u->retry, loop_now(u->agent->loop) + CLOCK_US_PER_S);
}

static void on_retry(struct timer *timer)
{
    start_control(container_of(timer, struct uplink, retry));
}

/* The hops have reached their maximum age, or tell labels that are old. The parked one is replaced
 * first: the relay closes hops parked well before a control hop that replaces another. */
static void on_renew(struct timer *timer)
{
    struct uplink *u = container_of(timer, struct uplink, renew);
    u->renewal++;
    u->renewing = true;
    park(u);
}

struct uplink *uplink_new(struct agent *a, const struct agent_relay *relay)
{
    struct uplink *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->agent = a;
    u->relay = *relay;
    u->retry.on_fire = on_retry;
    u->renew.on_fire = on_renew;
    u->park_again.on_fire = on_park_again;
    call_teller_init(&u->calls, a);
    list_init(&u->parked);
    offers_init(&u->offers);
    start_control(u);
    return u;
}

/* Not soon after another control hop: the relay would take them for two agents with one key. Those
 * that are still to be opened tell the labels anyway. */
void uplink_tell_labels(struct uplink *u)
{
    uint64_t now = loop_now(u->agent->loop);
    uint64_t due = u->again_us ? u->again_us + (DUPLICATE_WAIT_S + 1) * CLOCK_US_PER_S : now;
    if (u->control && !u->next && !u->renewing)
        timer_set(u->agent->loop, &u->renew, due > now ? due : now);
}

bool uplink_is_online(const struct uplink *u)
{
    return u->control != NULL;
}

struct uplink_facts uplink_facts_of(const struct uplink *u)
{
    struct uplink_facts f = {.relay = &u->relay, .online = u->control != NULL};
    if (u->control) {
        f.since_us = u->control->hop.driver.hop.opened_us;
        f.rtt_us = u->control->hop.driver.hop.rtt_us;
    }
    return f;
}

bool uplink_is_at(const struct uplink *u, const struct agent_relay *relay)
{
    return changes_same_relay(&u->relay, relay);
}

bool uplink_has_heard(const struct uplink *u, uint32_t revision)
{
    return call_teller_has_heard(&u->calls, revision);
}

const char *uplink_relay(const struct uplink *u)
{
    return u->control ? u->control->hop.relay : "";
}

void uplink_free(struct uplink *u)
{
    struct loop *loop = u->agent->loop;
    offers_clear(&u->offers);
    list_each (link, &u->parked)
        circuit_hop_free(container_of(link, struct circuit_hop, place));
    list_each (link, &u->offers.working)
        circuit_hop_free(container_of(link, struct circuit_hop, work.place));
    control_free(u->control);
    control_free(u->next);
    control_free(u->old);
    timer_cancel(loop, &u->retry);
    timer_cancel(loop, &u->renew);
    timer_cancel(loop, &u->park_again);
    call_teller_end(&u->calls);
    free(u);
}
