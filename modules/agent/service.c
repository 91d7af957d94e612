#include "agent/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/budget.h"
#include "agent/ended.h"
#include "agent/permissions.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/circuit_label.h"
#include "crypto/handshake.h"
#include "forward/remote_listener.h"
#include "forward/target.h"

#define RECEIVE_LIMIT_LEAST (1U << 20)

struct service_circuit {
    struct link link;
    struct service *service; /* NULL: ended before it had its socket; the hop still holds it */
    bool attached;           /* has its socket */
    struct cipher send, receive;
    uint32_t number;
    uint64_t told_position;
    char label[CIRCUIT_LABEL_BYTES]; /* in the logs of all three parties */
    struct deferred burial;
};

/* candidate: accepted, its START still to come; current: carries the session. Without a current one
 * the session waits. */
struct service {
    struct list place;
    struct agent *agent;
    struct session *session;
    struct targets *targets;
    struct remote_listeners *listeners;
    struct service_circuit *current, *candidate;
    uint8_t user_key[KEY_BYTES];
    char user[NAME_MAX_BYTES + 1];
    char label[CIRCUIT_LABEL_BYTES]; /* of the newest circuit */
    /* The user's permissions as the open streams were granted them. */
    struct permissions permissions;
    uint64_t begun_us, lost_us;
    bool started;         /* a circuit has carried it */
    struct timer give_up; /* waiting for its client, or for the ACK of its CLOSE */
};

/* ---- The end of a session. ---- */

static void circuit_bury(struct deferred *burial)
{
    free(container_of(burial, struct service_circuit, burial));
}

/* Frees at the end of the round: this may be its own callback. One without its socket is freed when
 * the hop gives it back. */
static void circuit_end(struct service_circuit *c)
{
    struct loop *loop = c->service->agent->loop;
    struct service *v = c->service;
    if (v->current == c)
        v->current = NULL;
    if (v->candidate == c)
        v->candidate = NULL;
    cipher_wipe(&c->send);
    cipher_wipe(&c->receive);
    c->service = NULL;
    if (!c->attached)
        return;
    link_close(&c->link);
    c->burial.run = circuit_bury;
    loop_defer(loop, &c->burial);
}

static void service_end(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    struct session_summary summary = session_summary(v->session);
    char up[16], down[16], time[24];
    text_bytes(up, summary.bytes_received);
    text_bytes(down, summary.bytes_sent);
    text_duration(time, loop_now(a->loop) - v->begun_us);
    log_info("circuit %s: ended: %s; user %s, %u stream%s, %s up, %s down, %s", v->label, why,
             v->user, summary.streams_opened, summary.streams_opened == 1 ? "" : "s", up, down,
             time);
    if (v->started)
        ended_remember(&a->ended, session_id(v->session), v->user_key, why, loop_now(a->loop));
    if (v->candidate)
        circuit_end(v->candidate);
    if (v->current)
        circuit_end(v->current);
    timer_cancel(a->loop, &v->give_up);
    session_free(v->session);
    remote_listeners_free(v->listeners);
    targets_free(v->targets);
    permissions_free(&v->permissions);
    list_remove(&v->place);
    a->service_count--;
    free(v);
    if (a->stopping && list_empty(&a->services))
        loop_stop(a->loop);
}

/* ---- A session's circuits come and go. ---- */

static void on_give_up(struct timer *timer)
{
    struct service *v = container_of(timer, struct service, give_up);
    service_end(v, session_state(v->session) == SESSION_CLOSING
                       ? session_reason(v->session)
                       : "no circuit came back within the resume window");
}

/* Says CLOSE on the circuit there is, and does not wait for ever for its ACK. */
static void close_current(struct service *v, enum code code, const char *text)
{
    if (session_state(v->session) != SESSION_ACTIVE)
        return;
    session_close(v->session, code, text);
    timer_set(v->agent->loop, &v->give_up,
              loop_now(v->agent->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
}

/* Whether it waits for its client: without a circuit, and not about to have its first one. */
static bool is_orphan(const struct service *v)
{
    return !v->current && v->lost_us;
}

/* The user's session that has waited for its client for longest; of those that have been carried by
 * a circuit, or of the others, which a recorded message 1 makes. Or NULL. */
static struct service *oldest_orphan(struct agent *a, const uint8_t user_key[KEY_BYTES],
                                     bool started)
{
    struct service *oldest = NULL;
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, place);
        if (is_orphan(v) && v->started == started &&
            memcmp(v->user_key, user_key, KEY_BYTES) == 0 &&
            (!oldest || v->lost_us < oldest->lost_us))
            oldest = v;
    }
    return oldest;
}

/* What of a user's sessions is counted. */
enum which { EVERY_ONE, STARTED, NOT_STARTED_ORPHANS, NO_ORPHANS };

static unsigned sessions_of(const struct agent *a, const uint8_t key[KEY_BYTES], enum which which)
{
    unsigned n = 0;
    list_each (link, &a->services) {
        const struct service *v = container_of(link, struct service, place);
        if (memcmp(v->user_key, key, KEY_BYTES) != 0)
            continue;
        n += which == EVERY_ONE || (which == STARTED && v->started) ||
             (which == NOT_STARTED_ORPHANS && is_orphan(v) && !v->started) ||
             (which == NO_ORPHANS && !is_orphan(v));
    }
    return n;
}

/* A session has its first circuit, which a recording cannot bring about: where that makes one too
 * many of its user's, the one that has waited for its client for longest goes, or else this one. */
static void keep_to_limit(struct service *v)
{
    struct agent *a = v->agent;
    struct service *oldest;
    if (sessions_of(a, v->user_key, STARTED) <= SESSIONS_PER_USER)
        return;
    oldest = oldest_orphan(a, v->user_key, true);
    if (oldest)
        service_end(oldest, "it was without a circuit, and the user has too many sessions");
    else
        close_current(v, CODE_FULL, "too many sessions are open at this agent");
}

static void circuit_lost(struct service *v, const char *why)
{
    struct agent *a = v->agent;
    log_info("circuit %s: lost: %s; the session of %s waits up to %u s for its client", v->label,
             why, v->user, session_resume_window_s(v->session));
    if (v->started || !v->lost_us) {
        v->lost_us = loop_now(a->loop);
        timer_set(a->loop, &v->give_up,
                  v->lost_us + session_resume_window_s(v->session) * CLOCK_US_PER_S);
    }
    agent_probe_relays(a);
    if (sessions_of(a, v->user_key, NOT_STARTED_ORPHANS) > SESSIONS_NOT_STARTED_PER_USER)
        service_end(oldest_orphan(a, v->user_key, false),
                    "too many sessions of the user have not started");
}

/* A circuit ended before its START. The client may have message 2 and come back with what its
 * applications have said already. */
static void candidate_lost(struct service *v, const char *why)
{
    if (!v->started && !v->candidate)
        circuit_lost(v, why);
}

/* What ended the circuit or the session; an own CLOSE that was still on its way says more than the
 * link. */
static const char *reason_of(const struct service *v, const struct link *link)
{
    const char *reason = session_reason(v->session);
    return reason[0] ? reason : link->circuit.failed.text;
}

static void on_change(struct link *link)
{
    struct service_circuit *c = container_of(link, struct service_circuit, link);
    struct service *v = c->service;
    bool current = c == v->current;
    char why[ERROR_TEXT_BYTES];
    snprintf(why, sizeof why, "%s", reason_of(v, link));
    if (session_error(v->session)->code) {
        if (v->current)
            link_part(&v->current->link, &v->agent->partings);
        service_end(v, why);
        return;
    }
    circuit_end(c);
    if (!current)
        candidate_lost(v, why);
    else if (session_state(v->session) == SESSION_ACTIVE)
        circuit_lost(v, why);
    else if (!v->agent->stopping)
        service_end(v, why); /* a client that comes back hears the reason */
}

/* START has come on the candidate: it is the session's circuit now. */
static void on_move(struct session *s, struct circuit *circuit)
{
    struct service *v = session_owner(s);
    struct service_circuit *old = v->current;
    struct link *link = container_of(circuit, struct link, circuit);
    bool first = !v->started;
    char time[24], prefix[128];
    v->current = container_of(link, struct service_circuit, link);
    if (v->candidate == v->current)
        v->candidate = NULL;
    if (!first) {
        text_duration(time, loop_now(v->agent->loop) - v->lost_us);
        log_info("circuit %s: carries on the session of circuit %s, user %s%s%s", v->current->label,
                 v->label, v->user, old ? "" : ", after ", old ? "" : time);
    }
    v->started = true;
    snprintf(v->label, sizeof v->label, "%s", v->current->label);
    snprintf(prefix, sizeof prefix, "circuit %s: %s", v->label, v->user);
    targets_set_label(v->targets, prefix);
    remote_listeners_set_label(v->listeners, prefix);
    remote_listeners_resume(v->listeners);
    if (session_state(s) == SESSION_ACTIVE)
        timer_cancel(v->agent->loop, &v->give_up);
    if (old)
        circuit_end(old);
    if (first)
        keep_to_limit(v);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct service *v = session_owner(s);
    targets_open(v->targets, stream, target);
}

static void on_listen(struct session *s, struct stream *listener, struct view address)
{
    struct service *v = session_owner(s);
    remote_listeners_add(v->listeners, listener, address);
}

static void on_room(struct session *s)
{
    struct service *v = session_owner(s);
    remote_listeners_resume(v->listeners);
}

static void on_wake(struct session *s)
{
    struct service *v = session_owner(s);
    if (v->current)
        link_wake(&v->current->link);
}

/* The memory of all rings is bounded as that of all windows is; but a ring grows when it is needed.
 */
static bool may_grow(struct session *s, size_t more)
{
    const struct agent *a = ((const struct service *)session_owner(s))->agent;
    uint64_t taken = 0;
    list_each (link, &a->services)
        taken += session_ring_bytes(container_of(link, struct service, place)->session);
    return more <=
           budget_share(RING_LIMIT_ALL, session_settings(s)->ring_bytes, taken, a->service_count);
}

/* A path that is lost was lost for the control hop too: not to be found out one after the other. */
static void on_silence(struct session *s)
{
    struct service *v = session_owner(s);
    agent_probe_relays(v->agent);
}

/* The session's other end may wait on another way already, which needs the relay. */
static void on_stall(struct session *s, uint64_t since_us)
{
    struct service *v = session_owner(s);
    (void)since_us;
    agent_probe_relays(v->agent);
}

static const struct session_events events = {
    .on_open = on_open,
    .on_listen = on_listen,
    .on_wake = on_wake,
    .on_move = on_move,
    .on_room = on_room,
    .may_grow = may_grow,
    .on_silence = on_silence,
    .on_stall = on_stall,
};

/* ---- OFFERs. ---- */

static void refuse(struct offer_answer *answer, enum code code, const char *text)
{
    answer->code = code;
    snprintf(answer->text, sizeof answer->text, "%s", text);
}

/* How much a new session may take in. */
static uint32_t receive_limit_left(const struct agent *a)
{
    uint64_t taken = 0;
    list_each (link, &a->services)
        taken +=
            session_settings(container_of(link, struct service, place)->session)->receive_limit;
    return RECEIVE_LIMIT_LEAST +
           (uint32_t)budget_share(RECEIVE_LIMIT_ALL, RECEIVE_LIMIT_LEAST, taken, a->service_count);
}

static struct service *service_new(struct agent *a, const struct agent_user *user,
                                   const char *label)
{
    struct session_settings settings = session_default_settings(false);
    struct service *v = calloc(1, sizeof *v);
    char prefix[128];
    if (!v)
        return NULL;
    v->agent = a;
    v->begun_us = loop_now(a->loop);
    v->give_up.on_fire = on_give_up;
    settings.resume_window_s = a->config.resume_window_s;
    settings.receive_limit = receive_limit_left(a);
    settings.own_streams = user->listen_count ? AGENT_STREAMS_MAX : 0;
    settings.listeners = user->listeners;
    memcpy(v->user_key, user->public_key, KEY_BYTES);
    snprintf(v->user, sizeof v->user, "%s", user->name);
    snprintf(v->label, sizeof v->label, "%s", label);
    snprintf(prefix, sizeof prefix, "circuit %s: %s", label, user->name);
    if (permissions_copy(&v->permissions, user)) {
        v->targets = targets_new(a->loop, prefix, v->permissions.allow, v->permissions.allow_count);
        v->listeners = remote_listeners_new(a->loop, prefix, v->permissions.listen,
                                            v->permissions.listen_count);
    }
    if (!v->targets || !v->listeners || !(v->session = session_new(&settings, &events, v))) {
        remote_listeners_free(v->listeners);
        targets_free(v->targets);
        permissions_free(&v->permissions);
        free(v);
        return NULL;
    }
    list_append(&a->services, &v->place);
    a->service_count++;
    return v;
}

/* Whether the user may have one more: all of the agent's and the user's are counted, but of the
 * latter not those that wait for their client, of which the oldest goes when the new one starts. */
static bool has_room_for(struct agent *a, const uint8_t key[KEY_BYTES])
{
    struct service *unstarted = oldest_orphan(a, key, false);
    bool full = a->service_count >= SESSIONS_PER_AGENT;
    if (unstarted && (full || sessions_of(a, key, EVERY_ONE) >= SESSIONS_PER_USER)) {
        service_end(unstarted, "it has not started, and the user begins another");
        full = false;
    }
    return !full && sessions_of(a, key, NO_ORPHANS) < SESSIONS_PER_USER;
}

static struct service *find_service(struct agent *a, const uint8_t id[SESSION_ID_BYTES],
                                    const uint8_t key[KEY_BYTES])
{
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, place);
        if (memcmp(session_id(v->session), id, SESSION_ID_BYTES) == 0 &&
            memcmp(v->user_key, key, KEY_BYTES) == 0)
            return v;
    }
    return NULL;
}

/* An agent that ends need not wait for a client whose circuit broke before it had acknowledged
 * CLOSE: it has come back, and hears it in message 2. */
static void end_told(struct agent *a, const uint8_t key[KEY_BYTES],
                     const struct session_hello *hello)
{
    struct service *v = find_service(a, hello->session_id, key);
    if (v && !v->current)
        service_end(v, session_reason(v->session));
}

/* What speaks against the user and the agent's name; CODE_OK: nothing. */
static void check_offer(struct agent *a, const struct offer *offer,
                        const uint8_t proven_key[KEY_BYTES], const struct session_hello *hello,
                        struct offer_answer *answer)
{
    char text[sizeof answer->text];
    if (!agent_find_user(a, proven_key)) {
        refuse(answer, CODE_DENIED, "this agent does not allow the user's key");
    } else if (memcmp(offer->user_key, proven_key, KEY_BYTES) != 0) {
        refuse(answer, CODE_DENIED, "the relay names another key than the user proves");
    } else if (!view_equal(hello->agent, view_of_string(a->config.name))) {
        snprintf(text, sizeof text, "this is agent '%s'", a->config.name);
        refuse(answer, CODE_WRONG_AGENT, text);
    } else if (hello->version < 1) {
        refuse(answer, CODE_VERSION, "protocol version 0 does not exist");
    } else if (a->stopping) {
        refuse(answer, CODE_SHUTDOWN, "the agent is ending");
        end_told(a, proven_key, hello);
    }
}

/* The session the message is for, new or resumed; NULL: refused. */
static struct service *settle_service(struct agent *a, const uint8_t key[KEY_BYTES],
                                      const struct session_hello *hello, const char *label,
                                      struct offer_answer *answer)
{
    const char *ended;
    struct service *v;
    if (bytes_are_zero(hello->session_id, SESSION_ID_BYTES)) {
        v = NULL;
        if (!has_room_for(a, key))
            refuse(answer, CODE_FULL, "too many sessions are open at this agent");
        else if (!(v = service_new(a, agent_find_user(a, key), label)))
            refuse(answer, CODE_INTERNAL, "the agent is out of memory");
        return v;
    }
    v = find_service(a, hello->session_id, key);
    if (v && session_may_resume(v->session, hello->circuit))
        return v;
    if (v)
        refuse(answer, CODE_STALE, "a newer circuit carries the session");
    else if ((ended = ended_why(&a->ended, hello->session_id, key, loop_now(a->loop))) != NULL)
        refuse(answer, CODE_ENDED, ended);
    else
        refuse(answer, CODE_NO_SESSION,
               "the session is not known here: the agent was started anew, or it ended long ago");
    return NULL;
}

static struct service_circuit *circuit_new(struct service *v, const struct session_hello *hello,
                                           const char *label)
{
    struct service_circuit *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (v->candidate)
        circuit_end(v->candidate);
    c->link.on_change = on_change;
    c->service = v;
    c->number = hello->circuit;
    c->told_position = hello->receive_position;
    snprintf(c->label, sizeof c->label, "%s", label);
    session_take_hello(v->session, hello);
    v->candidate = c;
    return c;
}

/* Writes session message 2 and, for an accepted one, readies the ciphers. */
static bool write_answer(struct noise *n, struct offer_answer *answer)
{
    struct session_welcome welcome = {.code = (uint16_t)answer->code,
                                      .text = view_of_string(answer->text),
                                      .version = PROTOCOL_VERSION};
    struct service_circuit *c = answer->circuit;
    uint8_t payload[TEXT_MAX_BYTES];
    size_t len;
    if (c)
        session_fill_welcome(c->service->session, &welcome);
    len = session_welcome_encode(&welcome, payload, sizeof payload);
    if (!len || !noise_write(n, view_of(payload, len), answer->message2, &answer->message2_len))
        return false;
    return !c || noise_split(n, &c->send, &c->receive);
}

static void accept_offer(struct agent *a, const struct session_hello *hello, struct noise *n,
                         const char *label, struct offer_answer *answer)
{
    struct service *v = settle_service(a, n->remote_static, hello, label, answer);
    if (!v)
        return;
    answer->circuit = circuit_new(v, hello, label);
    if (answer->circuit)
        return;
    refuse(answer, CODE_INTERNAL, "the agent is out of memory");
    if (!v->started)
        service_end(v, answer->text);
}

static void decide(struct agent *a, const struct offer *offer, struct noise *n, const char *label,
                   struct offer_answer *answer)
{
    struct session_hello hello;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t len;
    uint16_t unsupported;
    if (handshake_look(a->party.mac1_key, PURPOSE_SESSION, offer->message1, &len) !=
            LOOK_COMPLETE ||
        len != offer->message1.len ||
        !handshake_accept(n, &a->key, a->party.known, offer->message1, payload, &len)) {
        refuse(answer, CODE_BAD_HANDSHAKE,
               "the client's first message is not for this agent's key");
        return;
    }
    if (!session_hello_decode(&hello, view_of(payload, len), &unsupported)) {
        refuse(answer, unsupported ? CODE_UNSUPPORTED : CODE_PROTOCOL,
               "the client's first message is not well formed");
        return;
    }
    handshake_take_ephemeral(n, &a->stock);
    agent_restock(a);
    check_offer(a, offer, n->remote_static, &hello, answer);
    if (answer->code == CODE_OK)
        accept_offer(a, &hello, n, label, answer);
    if (write_answer(n, answer))
        return;
    if (answer->circuit)
        service_drop(answer->circuit);
    answer->circuit = NULL;
    refuse(answer, CODE_INTERNAL, "the handshake could not be answered");
}

static void log_decision(struct agent *a, const struct offer *offer,
                         const struct offer_answer *answer, const char *label,
                         const uint8_t proven_key[KEY_BYTES])
{
    char more[REFUSALS_MORE_BYTES];
    char user[NAME_MAX_BYTES + 1], from[ADDRESS_MAX_BYTES + 1], fingerprint[FINGERPRINT_TEXT_BYTES];
    bool proven = answer->message2_len > 0;
    text_clean(user, sizeof user, offer->user);
    text_clean(from, sizeof from, offer->user_address);
    key_fingerprint(fingerprint, proven_key);
    if (answer->code == CODE_OK)
        log_info("circuit %s: accepted user %s (key %s) from %s, as the relay says", label,
                 answer->circuit->service->user, fingerprint, from);
    else if (refusals_show(&a->refusals, loop_now(a->loop), more))
        log_warning("circuit %s: refused: %s; the relay names user %s from %s%s%s%s", label,
                    answer->text, user, from, proven ? ", the key is " : "",
                    proven ? fingerprint : "", more);
}

void service_offer(struct agent *a, const struct offer *offer, struct offer_answer *answer)
{
    struct noise noise = {0};
    uint8_t proven_key[KEY_BYTES];
    char label[CIRCUIT_LABEL_BYTES];
    answer->code = CODE_OK;
    answer->text[0] = '\0';
    answer->circuit = NULL;
    answer->message2_len = 0;
    circuit_label(label, offer->message1);
    decide(a, offer, &noise, label, answer);
    memcpy(proven_key, noise.remote_static, sizeof proven_key);
    noise_wipe(&noise);
    log_decision(a, offer, answer, label, proven_key);
}

void service_attach(struct service_circuit *c, int fd, struct fifo *unsent, struct view rest)
{
    struct service *v = c->service;
    if (v && circuit_init(&c->link.circuit, v->session, &c->send, &c->receive, c->number,
                          c->told_position, loop_now(v->agent->loop))) {
        c->attached = link_open(&c->link, v->agent->loop, fd, unsent, rest);
        if (c->attached)
            return;
        circuit_free(&c->link.circuit);
    }
    close(fd);
    service_drop(c);
}

void service_drop(struct service_circuit *c)
{
    struct service *v = c->service;
    if (v)
        circuit_end(c);
    free(c);
    if (v)
        candidate_lost(v, "the circuit did not come about");
}

/* ---- All of them. ---- */

static void service_close(struct service *v, enum code code, const char *text)
{
    if (v->current)
        close_current(v, code, text);
    else
        service_end(v, text); /* a client that comes back hears the reason */
}

void service_check_all(struct agent *a)
{
    list_each (link, &a->services) {
        struct service *v = container_of(link, struct service, place);
        const struct agent_user *user = agent_find_user(a, v->user_key);
        if (!user)
            service_close(v, CODE_REVOKED, "the user is no longer allowed at this agent");
        else if (!permissions_same(&v->permissions, user))
            service_close(v, CODE_REVOKED, "the user's permissions at this agent have changed");
    }
}

void service_close_all(struct agent *a, enum code code, const char *text)
{
    list_each (link, &a->services)
        service_close(container_of(link, struct service, place), code, text);
}

void service_end_all(struct agent *a)
{
    list_each (link, &a->services)
        service_end(container_of(link, struct service, place), "the agent is ending");
    ended_free(&a->ended);
}
