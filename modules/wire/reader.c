/* Fields of messages, whole or not at all; every length is checked here and nowhere else. */
#include "wire/reader.h"

#include "base/text.h"

#define EXTENSION_MUST_BE_UNDERSTOOD 0x8000U

struct reader reader_of(struct view bytes)
{
    return (struct reader){.data = bytes.data, .left = bytes.len};
}

/* The next len bytes, len > 0; NULL once the reader has failed. */
static const uint8_t *take(struct reader *r, size_t len)
{
    if (r->failed || len > r->left) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data;
    r->data += len;
    r->left -= len;
    return p;
}

uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : *p;
}

uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = take(r, 2);
    return p == NULL ? 0 : load_be16(p);
}

uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p == NULL ? 0 : load_be32(p);
}

uint64_t read_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p == NULL ? 0 : load_be64(p);
}

struct view read_view(struct reader *r, size_t len)
{
    const uint8_t *p = len == 0 ? NULL : take(r, len);
    return view_of(p, p == NULL ? 0 : len);
}

enum code read_code(struct reader *r)
{
    return (enum code)read_u16(r);
}

enum reset_code read_reset_code(struct reader *r)
{
    return (enum reset_code)read_u16(r);
}

void read_bytes(struct reader *r, void *out, size_t len)
{
    struct view v = read_view(r, len);
    memset(out, 0, len);
    if (v.len > 0)
        memcpy(out, v.data, v.len);
}

struct view read_rest(struct reader *r)
{
    return read_view(r, r->left);
}

struct view read_blob(struct reader *r, size_t max)
{
    size_t len = read_u16(r);
    if (len > max)
        r->failed = true;
    return read_view(r, len);
}

struct view read_string(struct reader *r, size_t max)
{
    struct view text = read_blob(r, max);
    if (!utf8_valid(text)) {
        r->failed = true;
        return view_of(NULL, 0);
    }
    return text;
}

/* Sets the value of a known one; false: it has one already, or this one is empty. */
static bool take_extension(struct extension *known, size_t count, uint16_t type, struct view value)
{
    for (size_t i = 0; i < count; i++) {
        if (known[i].type != type)
            continue;
        if (known[i].value.len > 0 || value.len == 0)
            return false;
        known[i].value = value;
    }
    return true;
}

void read_extensions_for(struct reader *r, struct extension *known, size_t count,
                         uint16_t *unsupported)
{
    for (size_t i = 0; i < count; i++)
        known[i].value = view_of(NULL, 0);
    while (!r->failed && r->left > 0) {
        uint16_t type = read_u16(r);
        struct view value = read_blob(r, UINT16_MAX);
        if (r->failed)
            break;
        if ((type & EXTENSION_MUST_BE_UNDERSTOOD) != 0) {
            *unsupported = type;
            r->failed = true;
        } else if (!take_extension(known, count, type, value)) {
            r->failed = true;
        }
    }
}

void read_extensions(struct reader *r, uint16_t *unsupported)
{
    read_extensions_for(r, NULL, 0, unsupported);
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->left == 0;
}

struct writer writer_of(void *buffer, size_t size)
{
    return (struct writer){.data = buffer, .size = size};
}

/* Room for len more bytes; NULL once the writer has failed. */
static uint8_t *room(struct writer *w, size_t len)
{
    if (w->failed || len > w->size - w->len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->len;
    w->len += len;
    return p;
}

void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = room(w, 1);
    if (p != NULL)
        *p = v;
}

void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = room(w, 2);
    if (p != NULL)
        store_be16(p, v);
}

void write_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = room(w, 4);
    if (p != NULL)
        store_be32(p, v);
}

void write_u64(struct writer *w, uint64_t v)
{
    uint8_t *p = room(w, 8);
    if (p != NULL)
        store_be64(p, v);
}

void write_code(struct writer *w, enum code code)
{
    write_u16(w, (uint16_t)code);
}

void write_reset_code(struct writer *w, enum reset_code code)
{
    write_u16(w, (uint16_t)code);
}

void write_bytes(struct writer *w, struct view v)
{
    uint8_t *p = v.len == 0 ? NULL : room(w, v.len);
    if (p != NULL)
        memcpy(p, v.data, v.len);
}

void write_string(struct writer *w, struct view v)
{
    if (v.len > UINT16_MAX) {
        w->failed = true;
        return;
    }
    write_u16(w, (uint16_t)v.len);
    write_bytes(w, v);
}

size_t writer_len(const struct writer *w)
{
    return w->failed ? 0 : w->len;
}
