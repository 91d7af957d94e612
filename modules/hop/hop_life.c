/* A hop's life: start, end, detach, liveness. */
#include "hop/hop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "hop/phases.h"

static void hop_init(struct hop *h, const struct hop_party *party,
                     const struct hop_handler *handler, enum role own_role, uint64_t now_us)
{
    memset(h, 0, sizeof *h);
    h->party = party;
    h->handler = handler;
    h->own_role = (uint8_t)own_role;
    h->last_read_us = now_us;
    fifo_init(&h->out);
    hop_set_keepalive(h, party->keepalive_s);
}

#define HELLO_MAX (1 + 1 + TICKET_BYTES + 2 + 2 + PERMIT_MAX_BYTES)

static bool write_hello(struct hop *h, const uint8_t *ticket)
{
    struct hello hello = {.version = PROTOCOL_VERSION, .role = h->own_role};
    uint8_t payload[HELLO_MAX];
    uint8_t message[sizeof payload + HANDSHAKE_MESSAGE1_OVERHEAD];
    size_t message_len = 0;
    if (ticket)
        memcpy(hello.ticket, ticket, TICKET_BYTES);
    if (h->party->permit)
        hello.permit = h->party->permit(h->party->permit_arg);
    size_t len = hello_encode(&hello, payload, sizeof payload);
    if (len == 0)
        return hop_fail(h, CODE_INTERNAL, "HELLO could not be encoded");
    if (!handshake_start(h->noise, handshake_preferred_suite(h->party->peer_lacks_aes), PURPOSE_HOP,
                         h->party->own, h->peer_key, NULL, view_of(payload, len), message,
                         &message_len)) {
        return hop_fail(h, CODE_BAD_HANDSHAKE,
                        "the public key of the %s cannot be used: not a valid key, or the own one",
                        role_name(h->peer_role));
    }
    wipe(payload, sizeof payload);
    wipe(&hello, sizeof hello);
    return fifo_append(&h->out, message, message_len) || hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
}

bool hop_start(struct hop *h, const struct hop_party *party, const struct hop_handler *handler,
               enum role role, const uint8_t peer_key[KEY_BYTES], const uint8_t *ticket,
               uint64_t now_us)
{
    hop_init(h, party, handler, role, now_us);
    h->initiator = true;
    h->state = HOP_WAIT_WELCOME;
    h->peer_role = role == ROLE_RELAY ? ROLE_AGENT_CIRCUIT : ROLE_RELAY;
    memcpy(h->peer_key, peer_key, KEY_BYTES);
    h->noise = calloc(1, sizeof *h->noise);
    if (!h->noise)
        return hop_fail(h, CODE_INTERNAL, NO_MEMORY_TEXT);
    return write_hello(h, ticket);
}

void hop_listen(struct hop *h, const struct hop_party *party, const struct hop_handler *handler,
                enum role own_role, uint64_t now_us)
{
    hop_init(h, party, handler, own_role, now_us);
    h->state = HOP_WAIT_HELLO;
}

/* Frees the handshake, wiped; harmless without one. */
static void drop_noise(struct hop *h)
{
    if (h->noise) {
        noise_wipe(h->noise);
        free(h->noise);
        h->noise = NULL;
    }
}

static void drop_partial(struct hop *h)
{
    free(h->partial); /* ciphertext */
    h->partial = NULL;
    h->partial_len = h->partial_size = 0;
}

/* Everything that only a hop which goes on needs. */
static void drop_keys(struct hop *h)
{
    drop_noise(h);
    drop_partial(h);
    cipher_wipe(&h->send);
    cipher_wipe(&h->receive);
}

bool hop_split(struct hop *h, enum hop_state next)
{
    if (!noise_split(h->noise, &h->send, &h->receive))
        return hop_fail(h, CODE_INTERNAL, "the handshake gave no keys");
    drop_noise(h);
    h->state = next;
    return true;
}

void hop_go_silent(struct hop *h)
{
    drop_keys(h);
    h->state = HOP_SILENT;
}

static void set_error(struct hop *h, enum code code, const char *format, va_list args)
{
    struct wire_error *error = calloc(1, sizeof *error);
    if (error)
        wire_error_vset(error, code, format, args);
    free(h->error); /* the arguments may have been of it */
    h->error = error;
}

const struct wire_error *hop_error(const struct hop *h)
{
    static const struct wire_error none, no_memory = {CODE_INTERNAL, NO_MEMORY_TEXT};
    if (h->error)
        return h->error;
    return h->state == HOP_ENDED ? &no_memory : &none;
}

bool hop_fail(struct hop *h, enum code code, const char *format, ...)
{
    if (h->state != HOP_ENDED) {
        va_list args;
        va_start(args, format);
        set_error(h, code, format, args);
        va_end(args);
        drop_keys(h);
        h->state = HOP_ENDED;
    }
    return false;
}

void hop_explain(struct hop *h, enum code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_error(h, code, format, args);
    va_end(args);
}

void hop_refused(struct hop *h, enum code code, struct view text, uint32_t retry_s)
{
    char clean[ERROR_TEXT_BYTES];
    if (code == CODE_OK)
        code = CODE_SHUTDOWN; /* it ends all the same, and an error without a code is none */
    if (text_clean(clean, sizeof clean, text) == 0)
        snprintf(clean, sizeof clean, "%s", code_text(code));
    h->refused_by_peer = true;
    h->retry_s = retry_s < BYE_RETRY_MAX_S ? retry_s : BYE_RETRY_MAX_S;
    hop_fail(h, code, "%s", clean);
}

void hop_bye(struct hop *h, enum code code, const char *text, uint32_t retry_s)
{
    if (h->state == HOP_ENDED)
        return;
    if (h->state == HOP_OPEN && !h->quiet) {
        char clean[TEXT_MAX_BYTES + 1];
        uint8_t body[2 + 2 + TEXT_MAX_BYTES + 4];
        size_t text_len = text_clean(clean, sizeof clean, view_of_string(text));
        struct bye bye = {.code = code, .text = view_of(clean, text_len), .retry_s = retry_s};
        size_t len = bye_encode(&bye, body, sizeof body);
        if (len > 0)
            hop_send(h, MESSAGE_BYE, view_of(body, len));
    }
    hop_fail(h, code, "%s", text);
}

void hop_detach(struct hop *h)
{
    if (h->state == HOP_OPEN) {
        drop_keys(h);
        h->state = HOP_DETACHED;
    }
}

void hop_free(struct hop *h)
{
    drop_keys(h);
    fifo_clear(&h->out);
    free(h->error);
    h->error = NULL;
    h->state = HOP_ENDED;
}

void hop_set_keepalive(struct hop *h, unsigned seconds)
{
    if (seconds == 0)
        seconds = KEEPALIVE_DEFAULT_S;
    else if (seconds < KEEPALIVE_MIN_S)
        seconds = KEEPALIVE_MIN_S;
    else if (seconds > KEEPALIVE_MAX_S)
        seconds = KEEPALIVE_MAX_S;
    h->keepalive_us = seconds * CLOCK_US_PER_S;
}

void hop_quiet_begin(struct hop *h)
{
    h->quiet = true;
}

void hop_quiet_end(struct hop *h, uint64_t now_us)
{
    if (!h->quiet)
        return;
    h->quiet = false;
    h->pinged = false;
    h->last_read_us = now_us;
}

uint64_t hop_deadline(const struct hop *h)
{
    if (h->state != HOP_OPEN || h->quiet)
        return CLOCK_NEVER;
    if (h->probe_us)
        return h->probe_us;
    return (h->pinged ? h->last_ping_us : h->last_read_us) + h->keepalive_us;
}

void hop_probe(struct hop *h, uint64_t now_us, uint64_t within_us)
{
    if (h->state != HOP_OPEN || h->quiet || h->probe_us)
        return;
    hop_send_ping(h, now_us);
    h->probe_us = now_us + within_us;
}

void hop_tick(struct hop *h, uint64_t now_us)
{
    if (now_us < hop_deadline(h))
        return;
    if (h->pinged) {
        hop_fail(h, CODE_TIMEOUT, "no answer from the %s, silent for %llu s",
                 role_name(h->peer_role),
                 (unsigned long long)((now_us - h->last_read_us) / CLOCK_US_PER_S));
    } else {
        hop_send_ping(h, now_us);
    }
}
