/* The handshake of a hop: HELLO at the responder, WELCOME at the initiator (docs/PROTOCOL.md
 * section 2). */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "hop/hop.h"
#include "hop/phases.h"

#define SUITE_OFFSET 4
#define ANSWER_LENGTH_BYTES 2

/* An answer shorter than Noise message 2 can be is a list of suites. */
#define SUITES_MAX (NOISE_MESSAGE2_OVERHEAD - 1)

static const uint8_t suites[] = {SUITE_AESGCM, SUITE_CHACHAPOLY};

static void answer_suites(struct hop *h, uint8_t asked)
{
    uint8_t answer[ANSWER_LENGTH_BYTES + sizeof suites];
    store_be16(answer, sizeof suites);
    memcpy(answer + ANSWER_LENGTH_BYTES, suites, sizeof suites);
    if (fifo_append(&h->out, answer, sizeof answer)) {
        hop_fail(h, CODE_VERSION, "the initiator asked for suite %u, which is not known here",
                 asked);
    } else {
        hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
    }
}

/* Noise message 2 with WELCOME into out. */
static bool write_welcome(struct hop *h, const struct welcome *w)
{
    uint8_t payload[WELCOME_MAX - NOISE_MESSAGE2_OVERHEAD];
    uint8_t answer[ANSWER_LENGTH_BYTES + WELCOME_MAX];
    size_t message_len = 0;
    size_t len = welcome_encode(w, payload, sizeof payload);
    if (len == 0)
        return hop_fail(h, CODE_INTERNAL, "WELCOME could not be encoded");
    if (!noise_write(h->noise, view_of(payload, len), answer + ANSWER_LENGTH_BYTES, &message_len))
        return hop_fail(h, CODE_BAD_HANDSHAKE, "the initiator's ephemeral key cannot be used");
    store_be16(answer, (uint16_t)message_len);
    return fifo_append(&h->out, answer, ANSWER_LENGTH_BYTES + message_len) ||
           hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
}

static void answer_hello(struct hop *h, const struct welcome *w)
{
    if (!write_welcome(h, w))
        return;
    if (w->code == CODE_OK) {
        text_clean(h->peer_name, sizeof h->peer_name, w->name);
        hop_split(h, HOP_WAIT_FIRST);
    } else if (w->text.len > 0) {
        hop_fail(h, (enum code)w->code, "refused: %.*s", (int)w->text.len,
                 (const char *)w->text.data);
    } else {
        hop_fail(h, (enum code)w->code, "refused: %s", code_text(w->code));
    }
}

static void refuse_hello(struct hop *h, enum code code, const char *text)
{
    struct welcome w = {.code = code, .text = view_of_string(text)};
    answer_hello(h, &w);
}

/* A relay is spoken to by all but relays, an agent that is dialled by relays only. */
static bool roles_fit(const struct hop *h)
{
    return (h->own_role == ROLE_RELAY) != (h->peer_role == ROLE_RELAY);
}

static void decide_hello(struct hop *h, const struct hello *hello)
{
    h->peer_role = hello->role;
    if (hello->version == 0) {
        refuse_hello(h, CODE_VERSION, "protocol version 0 does not exist");
        return;
    }
    if (!roles_fit(h)) {
        refuse_hello(h, CODE_WRONG_ROLE, "this role cannot connect here");
        return;
    }
    struct welcome w = {.code = CODE_FULL};
    h->handler->on_hello(h, hello, &w);
    if (h->state != HOP_READING)
        return; /* the handler ended it */
    w.version = hello->version < PROTOCOL_VERSION ? hello->version : PROTOCOL_VERSION;
    w.keepalive_s = (uint16_t)(h->keepalive_us / CLOCK_US_PER_S);
    answer_hello(h, &w);
}

void hop_reject_hello(struct hop *h)
{
    hop_go_silent(h);
    if (h->handler->on_not_authentic)
        h->handler->on_not_authentic(h);
}

static void read_payload(struct hop *h, struct view payload)
{
    struct hello hello;
    uint16_t unsupported = 0;
    memcpy(h->peer_key, h->noise->remote_static, KEY_BYTES);
    if (hello_decode(&hello, payload, &unsupported))
        decide_hello(h, &hello);
    else if (unsupported)
        refuse_hello(h, CODE_UNSUPPORTED, "HELLO has an extension that is not supported");
    else
        hop_reject_hello(h);
    wipe(&hello, sizeof hello);
}

void hop_hello_read(struct hop *h, struct noise *noise, struct view payload)
{
    if (h->state == HOP_READING && noise) {
        h->noise = noise;
        read_payload(h, payload);
        return;
    }
    if (noise) {
        noise_wipe(noise);
        free(noise);
    }
    if (h->state == HOP_READING)
        hop_reject_hello(h);
}

static bool accept_message1(const struct hop *h, struct noise *noise, struct view message,
                            uint8_t *payload, size_t *len)
{
    const struct hop_party *p = h->party;
    if (h->known_only && p->known)
        return handshake_accept_known(noise, p->own, p->known, message, payload, len);
    return handshake_accept(noise, p->own, p->known, message, payload, len);
}

/* Reads the first message here and now. */
static void read_message1(struct hop *h, struct view message)
{
    uint8_t payload[HANDSHAKE_PAYLOAD1_MAX];
    size_t len = 0;
    struct noise *noise = calloc(1, sizeof *noise);
    if (!noise) {
        hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
        return;
    }
    if (accept_message1(h, noise, message, payload, &len)) {
        handshake_take_ephemeral(noise, h->party->stock);
        hop_hello_read(h, noise, view_of(payload, len));
    } else {
        free(noise);
        hop_hello_read(h, NULL, view_of(NULL, 0));
    }
    wipe(payload, sizeof payload); /* the ticket */
}

void hop_read_hello(struct hop *h, struct view message)
{
    h->mac1_valid = true;
    if (!suite_known(message.data[SUITE_OFFSET])) {
        answer_suites(h, message.data[SUITE_OFFSET]);
        return;
    }
    h->state = HOP_READING;
    if (!h->handler->on_first_message || !h->handler->on_first_message(h, message))
        read_message1(h, message);
}

/* The answer to a suite that the responder does not know. */
static void read_suites(struct hop *h, struct view list)
{
    char text[SUITES_MAX * 5 + 1];
    size_t len = 0;
    if (memchr(list.data, 0, list.len)) { /* no suite has this number */
        hop_fail_strange(h, NULL);
        return;
    }
    for (size_t i = 0; i < list.len; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " %u", list.data[i]);
    hop_fail(h, CODE_VERSION, "the %s takes only suites:%s; one of the programs is too old",
             role_name(h->peer_role), text);
}

static void open_initiator(struct hop *h, const struct welcome *w)
{
    if (w->version == 0 || w->version > PROTOCOL_VERSION) {
        hop_fail(h, CODE_VERSION, "the %s answered with protocol version %u, which is not known",
                 role_name(h->peer_role), w->version);
        return;
    }
    text_clean(h->peer_name, sizeof h->peer_name, w->name);
    hop_set_keepalive(h, w->keepalive_s ? w->keepalive_s : KEEPALIVE_MIN_S);
    if (!hop_split(h, HOP_OPEN))
        return;
    h->opened_us = h->last_read_us;
    if (hop_send_info(h))
        h->handler->on_open(h, NULL);
}

void hop_read_welcome(struct hop *h, struct view message)
{
    uint8_t payload[WELCOME_MAX];
    size_t len = 0;
    if (message.len <= SUITES_MAX) {
        read_suites(h, message);
        return;
    }
    if (!noise_read(h->noise, message, payload, &len)) {
        hop_fail(h, CODE_BAD_HANDSHAKE, "the answer of the %s to the handshake is not authentic",
                 role_name(h->peer_role));
        return;
    }
    struct welcome w;
    uint16_t unsupported = 0;
    if (!welcome_decode(&w, view_of(payload, len), &unsupported)) {
        if (unsupported) {
            hop_fail(h, CODE_UNSUPPORTED, "WELCOME has extension %u, which is not supported",
                     unsupported);
        } else {
            hop_fail(h, CODE_PROTOCOL, "malformed WELCOME");
        }
    } else if (w.code != CODE_OK) {
        hop_refused(h, w.code, w.text, 0);
    } else {
        open_initiator(h, &w);
    }
}
