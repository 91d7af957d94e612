/* Answers to OFFERs, for every kind of hop that carries them. The decisions themselves are made
 * elsewhere: the policy in policy.h, the sessions in service.h. */
#include "agent/answer.h"

#include <stdlib.h>

#include "agent/policy.h"
#include "agent/service.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/circuit_label.h"
#include "session/session.h"

#define PAUSE_US (CLOCK_US_PER_S / OFFER_RATE_PER_S)

/* The steps in order. One that refuses is followed by STEP_WRITE, for the refusal. */
enum step { STEP_READ, STEP_DECIDE, STEP_SETTLE, STEP_WRITE, STEPS };

/* Invariants: 1. refusal.code is set once a step has refused, and then there is no attachment when
 * done is called. 2. noise is usable from STEP_READ on, unless message 1 was not authentic. 3. the
 * timer is set until done. */
struct answer {
    struct agent *agent;
    struct kept_offer *kept;
    answer_done *done;
    void *owner;
    enum step step;
    bool asked; /* the policy has said LATER: it is told if its verdict is no longer needed */
    struct wire_error refusal;
    struct attachment *attachment;
    struct noise noise;
    uint8_t proven_key[KEY_BYTES];
    struct session_hello hello; /* points into payload */
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    uint8_t message2[SESSION_MESSAGE2_MAX];
    size_t message2_len; /* 0: none */
    char label[CIRCUIT_LABEL_BYTES], circuit[HASH_NAME_BYTES];
    struct deferred turn;
    struct timer time_limit;
    struct timer pause; /* until the relay's rate lets it be read */
};

/* ---- The steps. ---- */

/* True if a new session begins at its beginning. */
static bool begins_well(const struct session_hello *hello)
{
    return !bytes_are_zero(hello->session_id, SESSION_ID_BYTES) ||
           (hello->circuit > 0 && hello->receive_position == 0);
}

static enum verdict read_payload(struct answer *w, struct view payload)
{
    uint16_t unsupported = 0;
    bool decoded = session_hello_decode(&w->hello, payload, &unsupported);
    if (!decoded && unsupported)
        wire_error_set(&w->refusal, CODE_UNSUPPORTED,
                       "the client needs extension %u, which this agent does not support",
                       unsupported);
    else if (!decoded)
        wire_error_set(&w->refusal, CODE_PROTOCOL, "malformed first message of the client");
    else if (!begins_well(&w->hello))
        wire_error_set(&w->refusal, CODE_PROTOCOL,
                       "a new session has a circuit number of 0, or a position above 0");
    return w->refusal.code ? VERDICT_NO : VERDICT_YES;
}

static struct relay_attempts *attempts_of_relay(const struct answer *w)
{
    return attempts_of(&w->agent->attempts, w->kept->relay_key);
}

/* Message 1's first token, which is in the clear. */
static const uint8_t *ephemeral_of(const struct answer *w)
{
    return w->kept->offer.message1.data + HANDSHAKE_HEADER_BYTES;
}

static bool is_whole(const struct answer *w)
{
    struct view message1 = w->kept->offer.message1;
    size_t len;
    return handshake_look(w->agent->party.mac1_key, PURPOSE_SESSION, message1, &len) ==
               LOOK_COMPLETE &&
           len == message1.len;
}

/* Before any curve arithmetic: a copy of a message 1 whose session has moved on or ended since is
 * refused, and the others of a relay wait for their turn. A relay makes an OFFER again with the
 * same message 1 as long as its client waits, so a copy for a session that still waits is answered.
 */
static enum verdict may_read(struct answer *w)
{
    uint64_t now = loop_now(w->agent->loop);
    struct relay_attempts *r = attempts_of_relay(w);
    const struct attempt *earlier = r ? attempts_find(r, ephemeral_of(w)) : NULL;
    if (!r) {
        wire_error_set(&w->refusal, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
        return VERDICT_NO;
    }
    if (earlier && !service_awaits(w->agent, earlier)) {
        wire_error_set(&w->refusal, CODE_STALE, "the client's first message was used before");
        return VERDICT_NO;
    }
    if (attempts_take(r, now))
        return VERDICT_YES;
    timer_set(w->agent->loop, &w->pause, now + PAUSE_US);
    return VERDICT_LATER;
}

static enum verdict read_message1(struct answer *w)
{
    struct agent *a = w->agent;
    enum verdict may = is_whole(w) ? may_read(w) : VERDICT_YES;
    size_t len;
    if (may != VERDICT_YES)
        return may;
    if (!is_whole(w) || !handshake_accept(&w->noise, &a->key, a->party.known,
                                          w->kept->offer.message1, w->payload, &len)) {
        wire_error_set(&w->refusal, CODE_BAD_HANDSHAKE,
                       "the client's first message is not for this agent's key");
        return VERDICT_NO;
    }
    memcpy(w->proven_key, w->noise.remote_static, sizeof w->proven_key);
    handshake_take_ephemeral(&w->noise, &a->stock);
    agent_restock(a);
    return read_payload(w, view_of(w->payload, len));
}

static enum verdict decide(struct answer *w)
{
    struct agent *a = w->agent;
    const struct facts facts = {
        .offer = &w->kept->offer, .hello = &w->hello, .proven_key = w->proven_key};
    enum verdict verdict = a->policy->decide(a, &facts, w, &w->refusal);
    w->asked = verdict == VERDICT_LATER;
    return verdict;
}

static void keep_attempt(const struct answer *w, struct relay_attempts *r)
{
    struct attempt attempt = {.number = w->hello.circuit};
    memcpy(attempt.ephemeral, ephemeral_of(w), KEY_BYTES);
    memcpy(attempt.session_id, session_id(w->attachment->session), SESSION_ID_BYTES);
    attempts_keep(r, &attempt);
}

static enum verdict settle(struct answer *w)
{
    struct relay_attempts *r = attempts_of_relay(w);
    const struct attempt *earlier = r ? attempts_find(r, ephemeral_of(w)) : NULL;
    char from[ADDRESS_MAX_BYTES + 1];
    const struct admission in = {.user_key = w->proven_key,
                                 .relay_key = w->kept->relay_key,
                                 .hello = &w->hello,
                                 .earlier = earlier,
                                 .label = w->label,
                                 .circuit = w->circuit,
                                 .from = from};
    text_clean(from, sizeof from, w->kept->offer.user_address);
    w->attachment = service_admit(w->agent, &in, &w->refusal);
    if (w->attachment && r && !earlier)
        keep_attempt(w, r);
    return w->attachment ? VERDICT_YES : VERDICT_NO;
}

static void drop_attachment(struct answer *w)
{
    if (w->attachment)
        attachment_drop(w->attachment);
    w->attachment = NULL;
}

/* Writes session message 2 and, for an accepted one, readies the ciphers. */
static enum verdict write_message2(struct answer *w)
{
    struct session_welcome welcome = {.code = w->refusal.code,
                                      .text = view_of_string(w->refusal.text),
                                      .version = PROTOCOL_VERSION};
    struct attachment *t = w->attachment;
    uint8_t payload[TEXT_MAX_BYTES];
    size_t len;
    if (t && !t->session) { /* it ended while this step waited */
        wire_error_set(&w->refusal, CODE_ENDED, "the session has ended");
        return VERDICT_NO;
    }
    if (t)
        session_fill_welcome(t->session, &welcome);
    len = session_welcome_encode(&welcome, payload, sizeof payload);
    if (len && noise_write(&w->noise, view_of(payload, len), w->message2, &w->message2_len) &&
        (!t || noise_split(&w->noise, &t->send, &t->receive)))
        return VERDICT_YES;
    w->message2_len = 0;
    wire_error_set(&w->refusal, CODE_INTERNAL, "the handshake could not be answered");
    return VERDICT_NO;
}

static enum verdict (*const steps[STEPS])(struct answer *w) = {
    [STEP_READ] = read_message1,
    [STEP_DECIDE] = decide,
    [STEP_SETTLE] = settle,
    [STEP_WRITE] = write_message2,
};

/* ---- From one step to the next. ---- */

/* True if the relay it came through has not caused too many entries. */
static bool may_note(const struct answer *w)
{
    struct agent *a = w->agent;
    struct relay_attempts *r = attempts_of(&a->attempts, w->kept->relay_key);
    return r && attempts_note(r, loop_now(a->loop));
}

/* Who has proven a key that may be used here; NULL: nobody. */
static const char *proven_user(const struct answer *w)
{
    const struct agent_user *user =
        w->message2_len ? agent_find_user(w->agent, w->proven_key) : NULL;
    if (w->attachment && w->attachment->service)
        return service_user_name(w->attachment->service);
    return user ? user->name : NULL;
}

/* Of somebody who has proven a key that the configuration has, an entry; of others a count, and
 * where a relay brings many, which can be recordings. */
static void audit_decision(const struct answer *w, const struct log_fields *f)
{
    struct agent *a = w->agent;
    char relay[FINGERPRINT_TEXT_BYTES];
    const char *user = proven_user(w);
    struct audit_entry e = {.by = w->attachment ? NULL : "agent"};
    key_fingerprint(relay, w->kept->relay_key);
    if (user && may_note(w)) {
        e.circuit = w->circuit;
        e.user = user;
        e.relay = relay;
        audit_note(a->audit, f, &e);
        return;
    }
    e.event = f->event;
    e.user = user;
    e.key = user ? f->key : NULL;
    e.code = w->refusal.code;
    audit_counts_add_like(&a->counts, &e);
}

static void log_decision(const struct answer *w)
{
    struct agent *a = w->agent;
    const struct offer *offer = &w->kept->offer;
    char user[NAME_TEXT_BYTES], from[ADDRESS_MAX_BYTES + 1], fingerprint[FINGERPRINT_TEXT_BYTES];
    uint8_t party[LOG_PARTY_BYTES];
    struct log_fields f = {.circuit = w->label, .agent = a->config.name, .address = from};
    bool proven = w->message2_len > 0;
    agent_party(a, party, w->kept->relay_key, proven ? w->proven_key : offer->user_key);
    text_clean(from, sizeof from, offer->user_address);
    key_fingerprint(fingerprint, w->proven_key);
    if (proven)
        f.key = fingerprint;
    if (w->attachment) {
        f.event = "circuit_accepted";
        f.user = proven_user(w);
        log_caused_event(&a->log, party, loop_now(a->loop), LOG_INFO, &f,
                         "circuit %s: accepted user %s (key %s), from %s according to the relay",
                         w->label, f.user, fingerprint, from);
    } else {
        text_clean(user, sizeof user, offer->user);
        f.event = "circuit_refused";
        f.user = user;
        f.code = w->refusal.code;
        f.reason = w->refusal.text;
        log_caused_event(&a->log, party, loop_now(a->loop), LOG_WARNING, &f,
                         "circuit %s: refused: %s; the relay names user %s from %s%s%s", w->label,
                         w->refusal.text, user, from, proven ? ", the key is " : "",
                         proven ? fingerprint : "");
    }
    audit_decision(w, &f);
}

static void answer_free(struct answer *w)
{
    loop_undefer(&w->turn);
    timer_cancel(w->agent->loop, &w->time_limit);
    timer_cancel(w->agent->loop, &w->pause);
    kept_offer_free(w->kept);
    wipe(w, sizeof *w);
    free(w);
}

static void finish(struct answer *w)
{
    struct answer_result result = {.offer = &w->kept->offer,
                                   .refusal = &w->refusal,
                                   .message2 = view_of(w->message2, w->message2_len)};
    if (w->refusal.code != CODE_OK)
        drop_attachment(w);
    log_decision(w);
    result.attachment = w->attachment;
    w->done(w->owner, &result);
    answer_free(w);
}

/* Takes steps until one must wait. */
static void go_on(struct answer *w)
{
    while (w->step < STEPS) {
        enum verdict verdict = steps[w->step](w);
        if (verdict == VERDICT_LATER)
            return;
        w->step = verdict == VERDICT_YES || w->step == STEP_WRITE ? w->step + 1 : STEP_WRITE;
    }
    finish(w);
}

static void on_turn(struct deferred *turn)
{
    go_on(container_of(turn, struct answer, turn));
}

static void on_pause_over(struct timer *timer)
{
    go_on(container_of(timer, struct answer, pause));
}

static void forget_policy(struct answer *w)
{
    if (w->asked && w->agent->policy->forget)
        w->agent->policy->forget(w->agent, w);
    w->asked = false;
}

static void on_time_limit(struct timer *timer)
{
    struct answer *w = container_of(timer, struct answer, time_limit);
    forget_policy(w);
    drop_attachment(w);
    wire_error_set(&w->refusal, CODE_TIMEOUT, "the agent did not decide in time");
    w->step = w->step < STEP_WRITE ? STEP_WRITE : STEPS;
    go_on(w);
}

struct answer *answer_begin(struct agent *a, struct kept_offer *kept, answer_done *done,
                            void *owner)
{
    struct answer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->agent = a;
    w->kept = kept;
    w->done = done;
    w->owner = owner;
    w->turn.run = on_turn;
    w->time_limit.on_fire = on_time_limit;
    w->pause.on_fire = on_pause_over;
    circuit_label(w->label, kept->offer.message1);
    hash_name(w->circuit, kept->offer.message1);
    timer_set(a->loop, &w->time_limit, kept->came_us + TICKET_S * CLOCK_US_PER_S);
    loop_defer(a->loop, &w->turn);
    return w;
}

void answer_wake(struct answer *w)
{
    loop_defer(w->agent->loop, &w->turn);
}

void answer_cancel(struct answer *w)
{
    forget_policy(w);
    drop_attachment(w);
    answer_free(w);
}

/* ---- OFFERs on hops. ---- */

/* The relay's own text. When the agent's rules are for its owner and the client alone it is the
 * code's: the client has the other in message 2. */
static const char *text_for_relay(const struct answer_result *result)
{
    bool told = result->refusal->code == CODE_DENIED && result->message2.len > 0;
    return told ? code_text(CODE_DENIED) : result->refusal->text;
}

bool answer_send_refusal(struct hop *h, const struct answer_result *result)
{
    struct refusal refusal = {.code = result->refusal->code,
                              .text = view_of_string(text_for_relay(result)),
                              .message2 = result->message2};
    uint8_t body[SESSION_MESSAGE2_MAX + 512];
    memcpy(refusal.ticket, result->offer->ticket, TICKET_BYTES);
    return hop_send(h, MESSAGE_REFUSE, view_of(body, refuse_encode(&refusal, body, sizeof body)));
}

bool answer_refuse(struct hop *h, const struct offer *offer, enum code code, const char *text)
{
    struct wire_error refusal = {0};
    struct answer_result result = {.offer = offer, .refusal = &refusal};
    wire_error_set(&refusal, code, "%s", text);
    return answer_send_refusal(h, &result);
}

struct kept_offer *answer_read_offer(struct agent *a, struct hop *h, struct view body)
{
    struct offer offer;
    struct kept_offer *kept;
    uint16_t unsupported;
    if (!offer_decode(&offer, body, &unsupported)) {
        if (unsupported)
            answer_refuse(h, &offer, CODE_UNSUPPORTED,
                          "OFFER has an extension that is not supported");
        else
            hop_fail(h, CODE_PROTOCOL, "malformed OFFER");
        return NULL;
    }
    kept = kept_offer_new(&offer, loop_now(a->loop));
    if (kept)
        memcpy(kept->relay_key, h->peer_key, sizeof kept->relay_key);
    else
        answer_refuse(h, &offer, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    return kept;
}

bool answer_take_offer(struct agent *a, struct hop *h, struct view body, struct answer **answer,
                       answer_done *done, void *owner)
{
    struct kept_offer *kept;
    if (*answer)
        return hop_fail(h, CODE_PROTOCOL, "an OFFER came before the answer to the last");
    kept = answer_read_offer(a, h, body);
    if (!kept)
        return h->state == HOP_OPEN;
    *answer = answer_begin(a, kept, done, owner);
    if (*answer) {
        hop_quiet_begin(h);
        return true;
    }
    answer_refuse(h, &kept->offer, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    kept_offer_free(kept);
    return h->state == HOP_OPEN;
}

bool answer_tell(struct agent *a, struct hop *h, const struct answer_result *result)
{
    hop_quiet_end(h, loop_now(a->loop));
    if (!result->attachment) {
        answer_send_refusal(h, result);
        return false;
    }
    if (hop_send(h, MESSAGE_ACCEPT, result->message2))
        return true;
    attachment_drop(result->attachment);
    return false;
}
