/* libFuzzer: an application's bytes to the proxy of -D, in pieces of any size; where the pieces are
 * cut must not change the outcome. Or, the first byte from 128 on, a datagram to its UDP socket. */
#include <stdlib.h>
#include <string.h>

#include "forward/proxy.h"
#include "forward/udp_local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum proxy_decision decision;
    size_t used;
    struct proxy p;
};

/* Gives a copy, so that reading beyond its end is seen. */
static enum proxy_decision take(struct outcome *o, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    size_t used;
    if (!copy)
        abort();
    memcpy(copy, data, len);
    enum proxy_decision decision = proxy_take(&o->p, view_of(copy, len), &used);
    free(copy);
    if (used > len || o->p.answer_len > sizeof o->p.answer)
        abort();
    if (decision == PROXY_MORE && (used || len >= HTTP_HEAD_MAX_BYTES))
        abort();
    if (decision == PROXY_REFUSE && !o->p.why[0])
        abort();
    o->used += used;
    return decision;
}

static void run(struct outcome *o, const uint8_t *data, size_t size, size_t piece)
{
    *o = (struct outcome){.decision = PROXY_MORE};
    for (size_t end = 0; end < size && o->decision == PROXY_MORE;) {
        end = size - end < piece ? size : end + piece;
        do
            o->decision = take(o, data + o->used, end - o->used);
        while (o->decision == PROXY_ANSWER);
    }
}

/* A target is one that the agent takes, and its answers fit. */
static void check_target(struct outcome *o)
{
    char text[TARGET_TEXT_BYTES];
    struct target again;
    struct error e = {0};
    target_to_text(text, &o->p.target);
    if (o->p.target.kind != TARGET_TCP || !value_target(&again, text, &e))
        abort();
    for (enum reset_code code = 0; code < 12; code++) {
        proxy_settle(&o->p, code, "a text");
        if ((o->p.answer_len == 0 && (code || !o->p.plain)) || o->p.answer_len > sizeof o->p.answer)
            abort();
    }
}

/* The server's part of a plain request: a head that ends once, and no byte beyond its body,
 * however that is cut. */
static void check_request(struct outcome *o, const uint8_t *data, size_t size, size_t piece)
{
    struct http_body body = o->p.body;
    struct view behind = view_of(data + o->used, size - o->used);
    uint8_t *out = malloc(PROXY_REQUEST_MAX_BYTES(o->used, behind.len));
    size_t belonging = 0, len;
    if (!out)
        abort();
    for (size_t at = 0; at < behind.len; at += piece)
        belonging += http_body_take(
            &body, view_of(behind.data + at, behind.len - at < piece ? behind.len - at : piece));
    len = proxy_request(&o->p, view_of(data, o->used), behind, out);
    const uint8_t *end = memmem(out, len, "\r\n\r\n", 4);
    if (len > PROXY_REQUEST_MAX_BYTES(o->used, behind.len) || !end ||
        (size_t)(end + 4 - out) + belonging != len ||
        (belonging && memcmp(end + 4, behind.data, belonging) != 0))
        abort();
    free(out);
}

/* A datagram's target is one that the agent takes; the head of its answers names the same. */
static void take_datagram(const uint8_t *data, size_t size)
{
    struct view datagram = view_of(data, size), named, again;
    uint8_t key[UDP_KEY_BYTES] = {0}, head[PROXY_SOCKS_MAX_BYTES];
    char text[TARGET_TEXT_BYTES];
    struct target target, same;
    struct error e = {0};
    if (!proxy_datagram(&datagram, &target, &named))
        return;
    target_to_text(text, &target);
    if (target.kind != TARGET_UDP || named.len > sizeof key || !value_target(&same, text, &e))
        abort();
    memcpy(key, named.data, named.len);
    struct view answer = view_of(head, proxy_datagram_head(head, key));
    if (!proxy_datagram(&answer, &same, &again) || answer.len != 0 || !view_equal(named, again))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, cut;
    if (size < 1)
        return 0;
    if (data[0] >= 128) {
        uint8_t *copy = malloc(size);
        if (!copy)
            abort();
        memcpy(copy, data + 1, size - 1);
        take_datagram(copy, size - 1);
        free(copy);
        return 0;
    }
    run(&whole, data + 1, size - 1, size);
    run(&cut, data + 1, size - 1, 1 + data[0] % 64);
    if (whole.decision != cut.decision)
        abort();
    if (whole.decision == PROXY_OPEN || whole.decision == PROXY_REQUEST) {
        if (whole.used != cut.used)
            abort();
        if (whole.decision == PROXY_REQUEST)
            check_request(&whole, data + 1, size - 1, 1 + data[0] % 64);
        check_target(&whole);
    }
    return 0;
}
