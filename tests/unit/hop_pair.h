/* Parties and hops for tests, in one process, without sockets. */
#ifndef SPX_TESTS_HOP_PAIR_H
#define SPX_TESTS_HOP_PAIR_H

#include <stdlib.h>

#include "base/clock.h"
#include "hop/hop.h"

struct party {
    struct keypair keys;
    struct hop_party party;
};

/* One side of a hop, what it does and what was delivered to it. */
struct end {
    struct hop hop; /* first: handlers find their end by it */
    /* Its actions. */
    const char *name;        /* on_hello: the name, or NULL for leaving the answer as it came */
    enum code refuse_code;   /* on_hello: refuse so */
    const char *refuse_text; /* with this text */
    bool fail_on_hello;
    unsigned detach_on, fail_on, reject_on, answer_on; /* on_message of this type */
    /* All that came. */
    unsigned hellos, opens, messages;
    struct hello hello;
    bool opened_with_info;
    char version[VERSION_TEXT_MAX_BYTES + 1], labels[LABELS_MAX_BYTES + 1];
    unsigned last_type;
    size_t last_len;
    uint8_t last_body[RECORD_PLAINTEXT_MAX];
};

static inline struct end *end_of(struct hop *h)
{
    return (struct end *)(void *)h;
}

static inline void party_make(struct party *p, uint8_t seed, const char *version,
                              const char *labels)
{
    memset(p, 0, sizeof *p);
    memset(p->keys.private_key, seed, KEY_BYTES);
    keypair_derive(&p->keys);
    p->party.own = &p->keys;
    handshake_mac1_key(p->party.mac1_key, p->keys.public_key);
    p->party.version = version;
    p->party.labels = labels;
    p->party.keepalive_s = 20;
}

static inline void copy_text(char *out, size_t size, struct view text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

static inline void end_on_hello(struct hop *h, const struct hello *hello, struct welcome *welcome)
{
    struct end *e = end_of(h);
    e->hellos++;
    e->hello = *hello;
    if (e->fail_on_hello) {
        hop_fail(h, CODE_FULL, "no room");
    } else if (e->refuse_code) {
        welcome->code = e->refuse_code;
        welcome->text = view_of_string(e->refuse_text);
    } else if (e->name) {
        welcome->code = CODE_OK;
        welcome->name = view_of_string(e->name);
    }
}

static inline void end_on_open(struct hop *h, const struct info *info)
{
    struct end *e = end_of(h);
    e->opens++;
    e->opened_with_info = info != NULL;
    if (info) {
        copy_text(e->version, sizeof e->version, info->version);
        copy_text(e->labels, sizeof e->labels, info->labels);
    }
}

static inline bool end_on_message(struct hop *h, unsigned type, struct view body)
{
    struct end *e = end_of(h);
    e->messages++;
    e->last_type = type;
    e->last_len = body.len;
    if (body.len > 0)
        memcpy(e->last_body, body.data, body.len);
    if (type == e->detach_on)
        hop_detach(h);
    else if (type == e->fail_on)
        return hop_fail(h, CODE_DENIED, "the handler ends it");
    else if (type == e->reject_on)
        return false;
    else if (type == e->answer_on)
        return hop_send(h, MESSAGE_END, view_of(NULL, 0));
    return true;
}

static const struct hop_handler end_handler = {
    .on_hello = end_on_hello, .on_open = end_on_open, .on_message = end_on_message};

static inline struct end *end_new(void)
{
    struct end *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    return e;
}

static inline void end_free(struct end *e)
{
    hop_free(&e->hop);
    free(e);
}

/* A copy of an end with nothing partial and nothing to write, to try something on. */
static inline struct end *end_clone(const struct end *e)
{
    struct end *copy = end_new();
    *copy = *e;
    if (e->hop.noise) {
        copy->hop.noise = malloc(sizeof *copy->hop.noise);
        if (!copy->hop.noise)
            abort();
        *copy->hop.noise = *e->hop.noise;
    }
    return copy;
}

/* Takes everything that waits in out; *bytes is the caller's to free. */
static inline size_t hop_take_out(struct hop *h, uint8_t **bytes)
{
    size_t len = h->out.bytes;
    *bytes = malloc(len + 1);
    if (!*bytes)
        abort();
    for (size_t at = 0; at < len;) {
        struct view front = fifo_front(&h->out);
        memcpy(*bytes + at, front.data, front.len);
        at += front.len;
        fifo_drop(&h->out, front.len);
    }
    return len;
}

/* Feeds copies of bytes in pieces, each in a block of its own, so that reading beyond one is seen.
 * Returns how many were the hop's. */
static inline size_t hop_feed(struct hop *h, const uint8_t *bytes, size_t len, size_t piece,
                              uint64_t now_us)
{
    size_t total = 0;
    while (total < len) {
        size_t n = len - total < piece ? len - total : piece;
        uint8_t *block = malloc(n);
        if (!block)
            abort();
        memcpy(block, bytes + total, n);
        size_t used = hop_input(h, block, n, now_us);
        free(block);
        total += used;
        if (used < n)
            break;
    }
    return total;
}

/* Carries bytes between two hops until both have nothing more to say. */
static inline void hop_pump(struct hop *a, struct hop *b, size_t piece, uint64_t now_us)
{
    while (a->out.bytes > 0 || b->out.bytes > 0) {
        uint8_t *bytes;
        size_t len = hop_take_out(a, &bytes);
        hop_feed(b, bytes, len, piece, now_us);
        free(bytes);
        len = hop_take_out(b, &bytes);
        hop_feed(a, bytes, len, piece, now_us);
        free(bytes);
    }
}

#endif
