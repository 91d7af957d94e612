/* libFuzzer: an application's bytes to the proxy of -D, in pieces of any size. Where the pieces are
 * cut must not change the outcome. */
#include <stdlib.h>

#include "forward/proxy.h"

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
    if (decision == PROXY_MORE && (used || len >= PROXY_HTTP_MAX_BYTES))
        abort();
    if (decision == PROXY_REFUSE && !o->p.why)
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
    for (unsigned code = 0; code < 12; code++) {
        proxy_settle(&o->p, code, "a text");
        if (o->p.answer_len == 0 || o->p.answer_len > sizeof o->p.answer)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, cut;
    if (size < 1)
        return 0;
    run(&whole, data + 1, size - 1, size);
    run(&cut, data + 1, size - 1, 1 + data[0] % 64);
    if (whole.decision != cut.decision)
        abort();
    if (whole.decision == PROXY_OPEN) {
        if (whole.used != cut.used)
            abort();
        check_target(&whole);
    }
    return 0;
}
