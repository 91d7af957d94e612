/* From a relay's address to a circuit: a hop, LIST and CONNECT in one write, the session's
 * handshake through the relay. It decides nothing about another try. */
#include "client/reach.h"

#include <errno.h>
#include <stdio.h>

#include "audit/exchange.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "client/permit.h"
#include "session/session.h"

#define ANSWER_S (CONNECT_WAIT_S + 5)
#define IMPATIENT_S 4 /* for an agent that is listed as online, when another relay is left */

static struct reach *reach_of(struct hop *h)
{
    return container_of(outgoing_of(h), struct reach, hop);
}

/* Tells the owner once, from the end of the round. */
static void finish(struct reach *r)
{
    if (r->finished)
        return;
    r->finished = true;
    loop_defer(r->hop.loop, &r->result);
}

static bool fail(struct reach *r, enum code code, const char *text)
{
    wire_error_set(&r->outcome.error, code, "%s", text);
    finish(r);
    return false;
}

static bool fail_as_peer_says(struct reach *r, enum code code, struct view text, uint32_t retry_s)
{
    char clean[TEXT_MAX_BYTES + 1];
    text_clean(clean, sizeof clean, text);
    r->outcome.retry_s = retry_s < REFUSAL_RETRY_MAX_S ? retry_s : REFUSAL_RETRY_MAX_S;
    return fail(r, code ? code : CODE_PROTOCOL, clean[0] ? clean : code_text(code));
}

static void set_limit(struct reach *r, unsigned seconds)
{
    hop_driver_set_deadline(&r->hop.driver, loop_now(r->hop.loop) + seconds * CLOCK_US_PER_S);
}

static void send_list(struct reach *r)
{
    uint8_t body[QUERY_MAX_BYTES + 2];
    size_t len = query_encode(view_of_string(r->request.agent), body, sizeof body);
    hop_send(&r->hop.driver.hop, MESSAGE_LIST, view_of(body, len));
}

/* NULL: empty. */
static struct view view_of_text(const char *text)
{
    return view_of_string(text ? text : "");
}

/* While the relay computes its answer. */
static void make_message1(struct outgoing *o)
{
    struct reach *r = container_of(o, struct reach, hop);
    struct session_hello hello = {.version = PROTOCOL_VERSION,
                                  .agent = view_of_string(r->request.agent)};
    uint8_t payload[SESSION_HELLO_MAX];
    size_t n;
    session_fill_hello(r->request.session, &hello);
    if (bytes_are_zero(hello.session_id, sizeof hello.session_id)) {
        hello.reason = view_of_text(r->request.reason);
        hello.emergency = view_of_text(r->request.emergency);
    }
    if (r->request.permit)
        hello.permit = client_permit_whole(r->request.permit);
    r->number = hello.circuit;
    n = session_hello_encode(&hello, payload, sizeof payload);
    if (!handshake_start(&r->noise, handshake_preferred_suite(false), PURPOSE_SESSION,
                         r->request.party->own, r->request.agent_key, NULL, view_of(payload, n),
                         r->message1, &r->message1_len)) {
        fail(r, CODE_UNKNOWN_KEY, "the agent's public key cannot be used");
        return;
    }
    circuit_label(r->label, view_of(r->message1, r->message1_len));
    hash_name(r->circuit, view_of(r->message1, r->message1_len));
}

/* Of the audit: what this side has written so far. */
static void send_head(struct reach *r)
{
    uint8_t head[SIGNED_HEAD_BYTES];
    if (audit_last_head(r->request.audit, head))
        hop_send(&r->hop.driver.hop, MESSAGE_HEAD, view_of(head, sizeof head));
}

static void take_head(struct reach *r, struct view body)
{
    const uint8_t *key = r->request.relay->public_key;
    char relay[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(relay, key);
    audit_take_head(r->request.audit, r->request.heads,
                    &(struct audit_entry){.relay = relay, .by = "relay"}, key, body);
}

static void send_connect(struct reach *r)
{
    uint8_t body[sizeof r->message1 + NAME_MAX_BYTES + 2];
    struct connect connect = {.agent = view_of_string(r->request.agent),
                              .message1 = view_of(r->message1, r->message1_len)};
    size_t len = connect_encode(&connect, body, sizeof body);
    hop_send(&r->hop.driver.hop, MESSAGE_CONNECT, view_of(body, len));
    hop_quiet_begin(&r->hop.driver.hop);
}

static void on_open(struct hop *h, const struct info *info)
{
    struct reach *r = reach_of(h);
    (void)info;
    outgoing_opened(&r->hop);
    if (r->finished)
        return; /* without message 1 there is nothing to ask for */
    log_debug("relay %s: connected, asking for agent %s", r->hop.relay, r->request.agent);
    r->outcome.answered = true;
    set_limit(r, ANSWER_S);
    /* LIST goes with CONNECT in one write: its answer comes first, and shows the key the relay has
     * for the agent. */
    send_head(r);
    send_list(r);
    send_connect(r);
}

static bool show_keys_differ(struct reach *r)
{
    char ours[FINGERPRINT_TEXT_BYTES], theirs[FINGERPRINT_TEXT_BYTES];
    char text[sizeof r->outcome.error.text];
    key_fingerprint(ours, r->request.agent_key);
    key_fingerprint(theirs, r->listed_key);
    snprintf(text, sizeof text, "agent %s has another key here, %s, than the known one, %s",
             r->request.agent, theirs, ours);
    r->outcome.keys_differ = true;
    return fail(r, CODE_UNKNOWN_KEY, text);
}

static bool take_agent(struct reach *r, struct view body)
{
    struct agent_entry entry;
    uint16_t unsupported;
    if (!agent_entry_decode(&entry, body, &unsupported))
        return hop_fail(&r->hop.driver.hop, CODE_PROTOCOL, "malformed list from the relay");
    if (!view_equal(entry.name, view_of_string(r->request.agent)))
        return true;
    memcpy(r->listed_key, entry.public_key, sizeof r->listed_key);
    r->listed_offline = entry.state == AGENT_OFFLINE;
    if (r->request.hurried && (entry.state == AGENT_ONLINE || entry.state == AGENT_DUPLICATE))
        set_limit(r, IMPATIENT_S);
    if (memcmp(r->listed_key, r->request.agent_key, KEY_BYTES) != 0)
        return show_keys_differ(r);
    return true;
}

/* The list is complete; CONNECT waits if the agent is not there. */
static bool take_end(struct reach *r, struct view body)
{
    (void)body;
    r->listed = true;
    if (!r->listed_offline)
        return true;
    if (r->request.impatient)
        return fail(r, CODE_OFFLINE, "the agent is offline there");
    if (r->request.waits)
        r->request.waits(r->request.arg);
    return true;
}

/* Reads the agent's message 2: only its answer counts. */
static bool read_message2(struct reach *r, struct view message2)
{
    struct session_welcome welcome;
    uint8_t payload[SESSION_MESSAGE2_MAX];
    size_t len;
    uint16_t unsupported;
    if (!noise_read(&r->noise, message2, payload, &len))
        return fail(r, CODE_BAD_HANDSHAKE, "the answer is not from the agent with the known key");
    r->outcome.by_agent = true; /* what is wrong from here on */
    if (!session_welcome_decode(&welcome, view_of(payload, len), &unsupported))
        return fail(r, CODE_PROTOCOL, "malformed answer from the agent");
    if (welcome.code)
        return fail_as_peer_says(r, welcome.code, welcome.text, 0);
    if (welcome.version == 0 || welcome.version > PROTOCOL_VERSION)
        return fail(r, CODE_VERSION, "the agent answers with an unknown protocol version");
    if (!session_take_welcome(r->request.session, &welcome) ||
        !noise_split(&r->noise, &r->send, &r->receive))
        return fail(r, CODE_PROTOCOL, "the agent's answer does not fit the session");
    r->told_position = welcome.receive_position;
    r->outcome.by_agent = false;
    return true;
}

static bool take_connected(struct reach *r, struct view body)
{
    struct view message2;
    if (!message2_decode(&message2, body))
        return hop_fail(&r->hop.driver.hop, CODE_PROTOCOL, "malformed answer from the relay");
    if (!read_message2(r, message2))
        return false;
    r->accepted = true;
    hop_detach(&r->hop.driver.hop);
    return true;
}

static bool take_refused(struct reach *r, struct view body)
{
    struct refusal refusal;
    if (!refused_decode(&refusal, body))
        return hop_fail(&r->hop.driver.hop, CODE_PROTOCOL, "malformed refusal from the relay");
    if (refusal.message2.len && read_message2(r, refusal.message2))
        return fail(r, CODE_PROTOCOL, "the relay refuses a circuit that the agent has accepted");
    return fail_as_peer_says(r, refusal.code, refusal.text, refusal.retry_s);
}

/* A relay answers in order: LIST by AGENT and END, then CONNECT. The agent's key has so been
 * compared before anything else that the relay says counts. */
static const struct answer {
    unsigned type;
    bool listed; /* it comes when the list is complete */
    bool (*take)(struct reach *r, struct view body);
} answers[] = {
    {MESSAGE_AGENT, false, take_agent},
    {MESSAGE_END, false, take_end},
    {MESSAGE_CONNECTED, true, take_connected},
    {MESSAGE_REFUSED, true, take_refused},
};

static bool on_message(struct hop *h, unsigned type, struct view body)
{
    struct reach *r = reach_of(h);
    if (type == MESSAGE_HEAD)
        take_head(r, body);
    if (r->finished || type == MESSAGE_INFO || type == MESSAGE_HEAD)
        return true;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i].type == type && answers[i].listed == r->listed)
            return answers[i].take(r, body) || r->finished;
    return hop_fail(h, CODE_PROTOCOL, "%s out of turn", message_name(type));
}

static const struct hop_handler handler = {.on_open = on_open, .on_message = on_message};

static void on_ended(struct outgoing *o)
{
    struct reach *r = container_of(o, struct reach, hop);
    const struct hop *h = &o->driver.hop;
    const struct wire_error *error = hop_error(h);
    char text[OUTGOING_REFUSAL_BYTES];
    r->outcome.retry_s = h->retry_s;
    if (o->open && r->request.hurried && !r->listed_offline && error->code == CODE_TIMEOUT) {
        fail(r, CODE_TIMEOUT, "the agent does not answer there");
        return;
    }
    outgoing_refusal_text(text, o);
    fail(r, error->code, h->refused_by_peer && !o->open ? text : error->text);
}

static void on_detached(struct outgoing *o)
{
    struct reach *r = container_of(o, struct reach, hop);
    struct reach_request *q = &r->request;
    struct carrier *carrier = hop_driver_take(&o->driver);
    if (!circuit_init(&q->driver->circuit, q->session, &r->send, &r->receive, r->number,
                      r->told_position, loop_now(o->loop))) {
        carrier_close(carrier);
        fail(r, CODE_INTERNAL, NO_MEMORY_TEXT);
    } else if (!circuit_driver_open(q->driver, o->loop, carrier)) {
        fail(r, CODE_INTERNAL, system_text(errno));
        circuit_free(&q->driver->circuit);
    }
    finish(r);
}

static void tell(struct deferred *result)
{
    struct reach *r = container_of(result, struct reach, result);
    r->request.done(r->request.arg, r);
}

bool reach_start(struct reach *r, struct loop *loop, const struct reach_request *request)
{
    struct outgoing_request outgoing = {
        .host = request->relay->address.host,
        .port = request->relay->address.port,
        .party = request->party,
        .handler = &handler,
        .role = ROLE_CLIENT,
        .peer_key = request->relay->public_key,
        .on_ended = on_ended,
        .on_waiting = make_message1,
        .on_detached = on_detached,
    };
    *r = (struct reach){.request = *request};
    r->result.run = tell;
    return outgoing_start(&r->hop, loop, &outgoing);
}

bool reach_is_settled(const struct reach *r)
{
    return r->accepted || r->finished;
}

void reach_end(struct reach *r)
{
    loop_undefer(&r->result);
    outgoing_close(&r->hop);
    noise_wipe(&r->noise);
    cipher_wipe(&r->send);
    cipher_wipe(&r->receive);
}
