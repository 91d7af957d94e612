/* Rules that hold for every message, whatever its fields: checked against bytes written by hand. */
#ifndef SPX_TESTS_WIRE_CHECKS_H
#define SPX_TESTS_WIRE_CHECKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire_codecs.h"

enum field_kind { FIELD_END, FIELD_TEXT, FIELD_NAME, FIELD_BLOB };

/* A string with its length: where in the body its length stands, and its limit. */
struct field {
    enum field_kind kind;
    size_t offset;
    size_t max;
};

struct sample {
    const struct codec *codec;
    const void *message;
    const char *hex; /* its body */
    size_t shortest; /* where the last field has no length of its own: the shortest valid body,
                        else 0 */
    struct field fields[4]; /* up to FIELD_END */
    bool no_extensions;     /* this form of it has none (a refusal) */
};

#define KEY_HEX "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define TICKET_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SESSION_ID_HEX "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"

#define SAMPLE_MAX 8192

struct bytes {
    uint8_t data[SAMPLE_MAX];
    size_t len;
};

static inline void add(struct bytes *b, const void *data, size_t len)
{
    assert_true(len <= sizeof b->data - b->len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static inline unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Spaces stand between fields. */
static inline void from_hex(struct bytes *b, const char *hex)
{
    b->len = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex != ' ') {
            uint8_t byte = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
            add(b, &byte, 1);
            hex++;
        }
    }
}

static inline bool takes_extensions(const struct sample *s)
{
    return s->codec->extensions && !s->no_extensions;
}

/* Decodes a copy of exactly that size (the address sanitizer sees a byte read too many). What was
 * taken must encode to the same bytes. */
static inline bool decodes(const struct sample *s, const uint8_t *data, size_t len,
                           uint16_t *unsupported)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    uint8_t *again = malloc(len == 0 ? 1 : len);
    union any_message m;
    assert_non_null(copy);
    assert_non_null(again);
    if (len > 0)
        memcpy(copy, data, len);
    memset(&m, 0xee, sizeof m);
    bool ok = s->codec->decode(&m, view_of(copy, len), unsupported);
    bool same = !ok || same_again(s->codec, &m, view_of(copy, len), again);
    free(again);
    free(copy);
    assert_true(same);
    return ok;
}

static inline bool accepts(const struct sample *s, const struct bytes *b)
{
    uint16_t unsupported = 0xffff;
    bool ok = decodes(s, b->data, b->len, &unsupported);
    assert_int_equal(unsupported, 0);
    return ok;
}

/* The encoder writes the vector. The decoder's result writes it too; since every field has a value
 * of its own, each has then come out where it went in. */
static inline void check_layout(const struct sample *s, const struct bytes *vector)
{
    uint8_t out[SAMPLE_MAX];
    assert_int_equal(s->codec->encode(s->message, out, sizeof out), vector->len);
    assert_memory_equal(out, vector->data, vector->len);
    assert_true(accepts(s, vector));
}

static inline void check_truncated(const struct sample *s, const struct bytes *vector)
{
    for (size_t len = 0; len < vector->len; len++) {
        uint16_t unsupported = 0xffff;
        bool ok = decodes(s, vector->data, len, &unsupported);
        assert_int_equal(ok, s->shortest > 0 && len >= s->shortest);
        assert_int_equal(unsupported, 0);
    }
}

static inline void check_appended(const struct sample *s, const struct bytes *vector)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct bytes b = *vector;
        uint8_t more = (uint8_t)byte;
        add(&b, &more, 1);
        assert_int_equal(accepts(s, &b), s->shortest > 0);
    }
}

static inline void check_flipped(const struct sample *s, const struct bytes *vector)
{
    for (size_t bit = 0; bit < vector->len * 8; bit++) {
        struct bytes b = *vector;
        uint16_t unsupported;
        b.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        decodes(s, b.data, b.len, &unsupported);
    }
}

static inline void check_small_buffers(const struct sample *s, const struct bytes *vector)
{
    for (size_t size = 0; size <= vector->len; size++) {
        uint8_t *out = malloc(size + 1);
        assert_non_null(out);
        out[size] = 0x5a;
        size_t len = s->codec->encode(s->message, out, size);
        assert_int_equal(len, size < vector->len ? 0 : vector->len);
        assert_int_equal(out[size], 0x5a);
        free(out);
    }
}

static inline void with_extension(struct bytes *b, const struct bytes *vector, const char *hex)
{
    struct bytes extension;
    from_hex(&extension, hex);
    *b = *vector;
    add(b, extension.data, extension.len);
}

static inline void check_refused_extension(const struct sample *s, const struct bytes *vector,
                                           const char *hex, unsigned type)
{
    struct bytes b;
    uint16_t unsupported = 0;
    with_extension(&b, vector, hex);
    assert_false(decodes(s, b.data, b.len, &unsupported));
    assert_int_equal(unsupported, type);
}

static inline void check_extensions(const struct sample *s, const struct bytes *vector)
{
    static const char *const skipped[] = {"0001 0003 010203", "7fff 0000",
                                          "0000 0001 ff 0002 0000"};
    struct bytes b;
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        with_extension(&b, vector, skipped[i]);
        assert_int_equal(accepts(s, &b), takes_extensions(s) || s->shortest > 0);
    }
    if (!takes_extensions(s))
        return;
    with_extension(&b, vector, "0001 0003 010203");
    for (size_t cut = 1; cut < 7; cut++) {
        struct bytes shorter = b;
        shorter.len -= cut;
        assert_false(accepts(s, &shorter));
    }
    check_refused_extension(s, vector, "8000 0000", 0x8000);
    check_refused_extension(s, vector, "0001 0003 010203 ffff 0001 00", 0xffff);
    check_refused_extension(s, vector, "8001 0000 8002 0000", 0x8001);
    check_refused_extension(s, vector, "8001 0002 00", 0); /* malformed before unsupported */
}

/* The body with another string in a field's place. */
static inline void with_string(struct bytes *b, const struct bytes *vector, const struct field *f,
                               const uint8_t *string, size_t len)
{
    uint8_t length[2];
    size_t after = f->offset + 2 + load_be16(vector->data + f->offset);
    store_be16(length, (uint16_t)len);
    b->len = 0;
    add(b, vector->data, f->offset);
    add(b, length, sizeof length);
    add(b, string, len);
    add(b, vector->data + after, vector->len - after);
}

static inline void check_string(const struct sample *s, const struct bytes *vector,
                                const struct field *f, const char *string, bool ok)
{
    struct bytes b;
    with_string(&b, vector, f, (const uint8_t *)string, strlen(string));
    assert_int_equal(accepts(s, &b), ok);
}

static inline void check_field(const struct sample *s, const struct bytes *vector,
                               const struct field *f)
{
    static const char *const not_utf8[] = {"a\xff",    "\x80",         "\xc0\xae",
                                           "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
    uint8_t filler[SAMPLE_MAX];
    struct bytes b;
    memset(filler, 'a', sizeof filler);
    with_string(&b, vector, f, filler, f->max);
    assert_true(accepts(s, &b));
    with_string(&b, vector, f, filler, f->max + 1);
    assert_false(accepts(s, &b));
    for (size_t i = 0; i < sizeof not_utf8 / sizeof not_utf8[0]; i++)
        check_string(s, vector, f, not_utf8[i], f->kind == FIELD_BLOB);
    check_string(s, vector, f, "", f->kind == FIELD_TEXT);
    check_string(s, vector, f, "gr\xc3\xbc\xc3\x9f", f->kind != FIELD_NAME);
    check_string(s, vector, f, "Two Words", f->kind != FIELD_NAME);
}

static inline void check_sample(const struct sample *s)
{
    struct bytes vector;
    from_hex(&vector, s->hex);
    check_layout(s, &vector);
    check_truncated(s, &vector);
    check_appended(s, &vector);
    check_flipped(s, &vector);
    check_small_buffers(s, &vector);
    check_extensions(s, &vector);
    for (const struct field *f = s->fields; f->kind != FIELD_END; f++)
        check_field(s, &vector, f);
}

static inline void check_samples(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("    %s\n", samples[i].codec->name);
        check_sample(&samples[i]);
    }
}

#endif
