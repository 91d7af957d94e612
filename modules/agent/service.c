#include "agent/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/handshake.h"
#include "forward/target.h"

#define LABEL_BYTES 9

struct service {
    struct link link; /* first */
    struct list place;
    struct agent *agent;
    struct session session;
    struct targets *targets;
    struct cipher send, receive;
    uint32_t number;
    uint64_t told_position;
    uint8_t user_key[KEY_BYTES];
    char user[NAME_MAX_BYTES + 1];
    char label[LABEL_BYTES];
    /* The user's permissions as the open streams were granted them. */
    struct target_pattern *allow;
    size_t allow_count;
    uint64_t begun_us;
};

static void refuse(struct offer_answer *answer, enum code code, const char *text)
{
    answer->code = code;
    snprintf(answer->text, sizeof answer->text, "%s", text);
}

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct service *v = s->owner;
    targets_open(v->targets, stream, target);
}

static void on_wake(struct session *s)
{
    struct service *v = s->owner;
    link_wake(&v->link);
}

static const struct session_events events = {.on_open = on_open, .on_wake = on_wake};

static void log_end(const struct service *v, const char *why)
{
    char up[16], down[16], time[24];
    text_bytes(up, v->session.bytes_received);
    text_bytes(down, v->session.bytes_sent);
    text_duration(time, loop_now(v->agent->loop) - v->begun_us);
    log_info("circuit %s: ended: %s; user %s, %u streams, %s up, %s down, %s", v->label, why, v->user,
             v->session.streams_opened, up, down, time);
}

static void service_free(struct service *v)
{
    struct agent *a = v->agent;
    link_close(&v->link);
    session_free(&v->session);
    targets_free(v->targets);
    cipher_wipe(&v->send);
    cipher_wipe(&v->receive);
    free(v->allow);
    list_remove(&v->place);
    a->service_count--;
    free(v);
    if (a->stopping && list_empty(&a->services))
        loop_stop(a->loop);
}

static void on_change(struct link *link)
{
    struct service *v = (struct service *)(void *)link;
    const struct error *e = v->session.error.code ? &v->session.error : &link->circuit.failed;
    if (v->session.state == SESSION_CLOSED)
        link_flush(link); /* the ACK of its CLOSE */
    if (!v->session.error.code)
        error_set(&v->session.error, e->code, "%s", e->text);
    log_end(v, v->session.error.text);
    service_free(v);
}

static bool copy_permissions(struct service *v, const struct agent_user *user)
{
    v->allow = calloc(user->allow_count ? user->allow_count : 1, sizeof *v->allow);
    if (!v->allow)
        return false;
    if (user->allow_count)
        memcpy(v->allow, user->allow, user->allow_count * sizeof *v->allow);
    v->allow_count = user->allow_count;
    return true;
}

static struct service *service_new(struct agent *a, const struct agent_user *user, const char *label)
{
    struct session_settings settings = session_default_settings(false);
    struct service *v = calloc(1, sizeof *v);
    char prefix[128];
    if (!v)
        return NULL;
    v->agent = a;
    v->link.on_change = on_change;
    v->begun_us = loop_now(a->loop);
    memcpy(v->user_key, user->public_key, KEY_BYTES);
    snprintf(v->user, sizeof v->user, "%s", user->name);
    snprintf(v->label, sizeof v->label, "%s", label);
    snprintf(prefix, sizeof prefix, "circuit %s: %s", label, user->name);
    if (copy_permissions(v, user))
        v->targets = targets_new(a->loop, prefix, v->allow, v->allow_count);
    if (!v->targets || !session_init(&v->session, &settings, &events, v)) {
        targets_free(v->targets);
        free(v->allow);
        free(v);
        return NULL;
    }
    random_bytes(v->session.id, sizeof v->session.id);
    list_append(&a->services, &v->place);
    a->service_count++;
    return v;
}

static unsigned sessions_of(const struct agent *a, const uint8_t key[KEY_BYTES])
{
    unsigned n = 0;
    list_each(link, &a->services)
        n += memcmp(container_of(link, struct service, place)->user_key, key, KEY_BYTES) == 0;
    return n;
}

/* What speaks against the session; CODE_OK: nothing. */
static void check_offer(struct agent *a, const struct offer *offer, const uint8_t proven_key[KEY_BYTES],
                        const struct session_hello *hello, struct offer_answer *answer)
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
    } else if (!bytes_are_zero(hello->session_id, SESSION_ID_BYTES)) {
        refuse(answer, CODE_NO_SESSION, "the session is not known here");
    } else if (a->stopping) {
        refuse(answer, CODE_SHUTDOWN, "the agent is ending");
    } else if (a->service_count >= SESSIONS_PER_AGENT || sessions_of(a, proven_key) >= SESSIONS_PER_USER) {
        refuse(answer, CODE_FULL, "too many sessions are open at this agent");
    }
}

/* Writes session message 2 and, for an accepted one, readies the ciphers. */
static bool write_answer(struct noise *n, const struct session_hello *hello, struct offer_answer *answer)
{
    struct session_welcome welcome = {.code = (uint16_t)answer->code,
                                      .text = view_of_string(answer->text),
                                      .version = PROTOCOL_VERSION};
    struct service *v = answer->service;
    uint8_t payload[TEXT_MAX_BYTES];
    size_t len;
    if (v)
        session_fill_welcome(&v->session, &welcome);
    len = session_welcome_encode(&welcome, payload, sizeof payload);
    if (!len || !noise_write(n, view_of(payload, len), answer->message2, &answer->message2_len))
        return false;
    if (!v)
        return true;
    session_take_hello(&v->session, hello);
    v->number = hello->circuit;
    v->told_position = hello->receive_position;
    return noise_split(n, &v->send, &v->receive);
}

static void decide(struct agent *a, const struct offer *offer, struct noise *n, const char *label,
                   struct offer_answer *answer)
{
    struct session_hello hello;
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX], mac1_key[HASH_BYTES];
    size_t len;
    uint16_t unsupported;
    handshake_mac1_key(mac1_key, a->key.public_key);
    if (handshake_look(mac1_key, PURPOSE_SESSION, offer->message1, &len) != LOOK_COMPLETE ||
        len != offer->message1.len || !handshake_accept(n, &a->key, offer->message1, payload, &len)) {
        refuse(answer, CODE_BAD_HANDSHAKE, "the client's first message is not for this agent's key");
        return;
    }
    if (!session_hello_decode(&hello, view_of(payload, len), &unsupported)) {
        refuse(answer, unsupported ? CODE_UNSUPPORTED : CODE_PROTOCOL, "the client's first message is not well formed");
        return;
    }
    check_offer(a, offer, n->remote_static, &hello, answer);
    if (answer->code == CODE_OK)
        answer->service = service_new(a, agent_find_user(a, n->remote_static), label);
    if (answer->code == CODE_OK && !answer->service)
        refuse(answer, CODE_INTERNAL, "the agent is out of memory");
    if (!write_answer(n, &hello, answer)) {
        if (answer->service)
            service_drop(answer->service);
        answer->service = NULL;
        refuse(answer, CODE_INTERNAL, "the handshake could not be answered");
    }
}

void service_offer(struct agent *a, const struct offer *offer, struct offer_answer *answer)
{
    struct noise noise = {0};
    uint8_t digest[HASH_BYTES];
    char label[LABEL_BYTES], user[NAME_MAX_BYTES + 1], from[ADDRESS_MAX_BYTES + 1];
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    answer->code = CODE_OK;
    answer->text[0] = '\0';
    answer->service = NULL;
    answer->message2_len = 0;
    sha256(digest, offer->message1, view_of(NULL, 0));
    snprintf(label, sizeof label, "%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
    text_clean(user, sizeof user, offer->user);
    text_clean(from, sizeof from, offer->user_address);
    decide(a, offer, &noise, label, answer);
    key_fingerprint(fingerprint, noise.remote_static);
    if (answer->code == CODE_OK)
        log_info("circuit %s: accepted user %s (key %s) from %s, as the relay says", label,
                 answer->service->user, fingerprint, from);
    else
        log_warning("circuit %s: refused: %s; the relay names user %s from %s%s%s", label, answer->text, user,
                    from, answer->message2_len ? ", the key is " : "", answer->message2_len ? fingerprint : "");
    noise_wipe(&noise);
}

void service_attach(struct service *v, int fd, struct fifo *unsent, struct view rest)
{
    if (!circuit_init(&v->link.circuit, &v->session, &v->send, &v->receive, v->number, v->told_position,
                      loop_now(v->agent->loop)) ||
        !link_open(&v->link, v->agent->loop, fd, unsent, rest)) {
        circuit_free(&v->link.circuit);
        close(fd);
        log_end(v, "out of memory or descriptors");
        service_free(v);
    }
}

void service_drop(struct service *v)
{
    log_end(v, "the circuit did not come about");
    service_free(v);
}

static bool same_permissions(const struct service *v, const struct agent_user *user)
{
    return v->allow_count == user->allow_count &&
           (!v->allow_count || memcmp(v->allow, user->allow, v->allow_count * sizeof *v->allow) == 0);
}

void service_check_all(struct agent *a)
{
    list_each(link, &a->services) {
        struct service *v = container_of(link, struct service, place);
        const struct agent_user *user = agent_find_user(a, v->user_key);
        if (!user)
            session_close(&v->session, CODE_REVOKED, "the user is no longer allowed at this agent");
        else if (!same_permissions(v, user))
            session_close(&v->session, CODE_REVOKED, "the user's permissions at this agent have changed");
    }
}

void service_close_all(struct agent *a, enum code code, const char *text)
{
    list_each(link, &a->services)
        session_close(&container_of(link, struct service, place)->session, code, text);
}

void service_end_all(struct agent *a)
{
    list_each(link, &a->services)
    {
        struct service *v = container_of(link, struct service, place);
        log_end(v, "the agent is ending");
        service_free(v);
    }
}
