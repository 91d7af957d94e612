/* The table of fields drives both ways. What is read is encoded again and compared, so that every
 * line has one spelling. */
#include "audit/entry.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

enum number_group { ALONE, COUNTED, MEASURED, EITHER };

/* A field: a text of at most so many bytes in the line, or, with 0, a number. */
struct field {
    const char *name;
    size_t offset, bytes;
    enum number_group group;
};

#define PLACE(field) .name = #field, .offset = offsetof(struct audit_entry, field)
#define TEXT(field, most)             \
    {                                 \
        PLACE(field), .bytes = (most) \
    }
#define NUMBER(field, of)           \
    {                               \
        PLACE(field), .group = (of) \
    }

static const struct field fields[] = {
    TEXT(chain, 32),
    NUMBER(number, ALONE),
    TEXT(time, AUDIT_TIME_BYTES - 1),
    TEXT(role, 16),
    TEXT(event, 32),
    TEXT(session, 32),
    TEXT(circuit, 32),
    TEXT(user, 128),
    TEXT(key, 64),
    TEXT(agent, 128),
    TEXT(relay, 400),
    TEXT(address, 200),
    TEXT(target, 600),
    NUMBER(stream, ALONE),
    NUMBER(severity, ALONE),
    NUMBER(count, ALONE),
    NUMBER(bytes_up, COUNTED),
    NUMBER(bytes_down, COUNTED),
    NUMBER(sent, MEASURED),
    NUMBER(acknowledged, MEASURED),
    NUMBER(received, MEASURED),
    NUMBER(duration_ms, EITHER),
    NUMBER(code, ALONE),
    TEXT(reason, 800),
    TEXT(by, 128),
    TEXT(head, 388),
    TEXT(torn, 64),
    TEXT(salt, 32),
    TEXT(previous, 64),
};

#define FIELDS (sizeof fields / sizeof fields[0])

static const char **text_at(struct audit_entry *e, const struct field *f)
{
    return (const char **)(void *)((char *)e + f->offset);
}

static uint64_t *number_at(struct audit_entry *e, const struct field *f)
{
    return (uint64_t *)(void *)((char *)e + f->offset);
}

/* ---- Writing. ---- */

static bool has_number(const struct audit_entry *e, const struct field *f, uint64_t value)
{
    switch (f->group) {
    case COUNTED:
        return e->counted;
    case MEASURED:
        return e->measured;
    case EITHER:
        return e->counted || e->measured;
    case ALONE:
        break;
    }
    return value != 0;
}

/* The bytes of the first character of clean text, which begins no string. */
static size_t character_bytes(const char *s)
{
    size_t n = 1;
    while (((uint8_t)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* The length of what is written: clean text with '"' and '\' escaped, at most max bytes. */
static size_t escape(char *out, size_t max, const char *clean)
{
    size_t len = 0;
    while (*clean != '\0') {
        bool escaped = *clean == '"' || *clean == '\\';
        size_t n = character_bytes(clean);
        if (len + n + escaped > max)
            break;
        if (escaped)
            out[len++] = '\\';
        memcpy(out + len, clean, n);
        len += n;
        clean += n;
    }
    return len;
}

/* Nearly all texts are written as they are. Returns the end of it, or NULL: it is not so simple. */
static char *put_plain(char *out, size_t max, const char *text)
{
    for (; *text >= ' ' && *text <= '~' && *text != '"' && *text != '\\' && max > 0; max--)
        *out++ = *text++;
    return *text == '\0' ? out : NULL;
}

static char *put_value(char *out, size_t max, const char *text)
{
    char clean[AUDIT_LINE_MAX];
    char *end = put_plain(out, max, text);
    if (end)
        return end;
    text_clean(clean, max + 1, view_of_string(text));
    return out + escape(out, max, clean);
}

/* Adds the field, with a comma, if the entry has it; the entry is only looked at. Returns the end.
 */
static char *add_field(char *out, struct audit_entry *e, const struct field *f)
{
    const char *text = f->bytes ? *text_at(e, f) : NULL;
    bool has_text = text && text[0] != '\0';
    if (!has_text && (f->bytes || !has_number(e, f, *number_at(e, f))))
        return out;
    *out++ = '"';
    out = text_put(text_put(out, f->name), has_text ? "\":\"" : "\":");
    if (has_text)
        return text_put(put_value(out, f->bytes, text), "\",");
    return text_put(text_put_number(out, *number_at(e, f)), ",");
}

size_t audit_entry_encode(char *out, const struct audit_entry *entry)
{
    struct audit_entry e = *entry;
    char *end = out + 1;
    out[0] = '{';
    for (size_t i = 0; i < FIELDS; i++)
        end = add_field(end, &e, &fields[i]);
    end -= end > out + 1; /* the last comma */
    *end++ = '}';
    *end = '\0';
    return (size_t)(end - out);
}

/* ---- Reading. ---- */

static void note_group(struct audit_entry *e, enum number_group group)
{
    e->counted = e->counted || group == COUNTED;
    e->measured = e->measured || group == MEASURED;
}

/* Its texts go into the store: there is room, since a text is no longer than its spelling. */
static bool read_fields(struct audit_line *out, const struct json_object *o)
{
    char *store = out->store, *end = out->store + sizeof out->store;
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        if (!json_find(o, f->name))
            continue;
        if (f->bytes && !json_get_text(o, f->name, store, (size_t)(end - store)))
            return false;
        if (!f->bytes && !json_get_number(o, f->name, number_at(&out->entry, f)))
            return false;
        if (f->bytes) {
            *text_at(&out->entry, f) = store;
            store += strlen(store) + 1;
        }
        note_group(&out->entry, f->group);
    }
    return true;
}

static bool is_hex(const char *text, size_t digits)
{
    return text && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static bool is_hex_if_there(const char *text, size_t digits)
{
    return !text || is_hex(text, digits);
}

/* Digits where the pattern has 0, and else what it has. */
static bool is_time(const char *text)
{
    static const char pattern[AUDIT_TIME_BYTES] = "0000-00-00T00:00:00.000Z";
    if (!text || strlen(text) != sizeof pattern - 1)
        return false;
    for (size_t i = 0; text[i] != '\0'; i++)
        if (pattern[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != pattern[i])
            return false;
    return true;
}

static bool is_entry(const struct audit_entry *e)
{
    return is_hex(e->chain, 32) && e->number && is_time(e->time) && e->role && e->event &&
           is_hex_if_there(e->session, 32) && is_hex_if_there(e->circuit, 32) &&
           is_hex_if_there(e->head, 388) && is_hex_if_there(e->torn, 64) && is_hex(e->salt, 32) &&
           is_hex(e->previous, 64);
}

bool audit_line_read(struct audit_line *out, struct view line)
{
    char again[AUDIT_LINE_MAX];
    struct json_object o;
    struct error e = {0};
    if (line.len == 0 || line.len >= AUDIT_LINE_MAX || !json_read(&o, line, &e))
        return false;
    out->entry = (struct audit_entry){0};
    if (!read_fields(out, &o) || !is_entry(&out->entry))
        return false;
    return view_equal(view_of(again, audit_entry_encode(again, &out->entry)), line);
}
