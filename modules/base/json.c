/* Flat JSON objects: a reader within bounds that keeps views, and a writer into given memory. */
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "base/unicode.h"

/* ---- Reading. ---- */

static void skip(struct view *rest, size_t len)
{
    rest->data += len;
    rest->len -= len;
}

static void skip_blanks(struct view *rest)
{
    while (rest->len > 0 && (*rest->data == ' ' || *rest->data == '\t'))
        skip(rest, 1);
}

/* Takes this sign and the blanks around it; false: another one stands there. */
static bool take_sign(struct view *rest, uint8_t sign)
{
    skip_blanks(rest);
    if (rest->len == 0 || *rest->data != sign)
        return false;
    skip(rest, 1);
    skip_blanks(rest);
    return true;
}

static bool take_word(struct view *rest, const char *word)
{
    size_t len = strlen(word);
    if (rest->len < len || memcmp(rest->data, word, len) != 0)
        return false;
    skip(rest, len);
    return true;
}

/* The four digits of \uXXXX. */
static bool hex4(struct view text, uint32_t *value)
{
    *value = 0;
    if (text.len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *at = memchr(digits, text.data[i], sizeof digits - 1);
        if (!at)
            return false;
        *value = *value * 16 + (uint32_t)(at - digits - (at - digits > 15 ? 6 : 0));
    }
    return true;
}

/* The text begins with "\uXXXX", or two of them for a surrogate pair: its length, 0: malformed. */
static size_t unicode_escape(struct view text, uint32_t *point)
{
    uint32_t low;
    if (text.len < 6 || !hex4(view_of(text.data + 2, text.len - 2), point) || *point == 0)
        return 0;
    if (*point < 0xd800 || *point > 0xdfff)
        return 6;
    if (*point > 0xdbff || text.len < 12 || text.data[6] != '\\' || text.data[7] != 'u' ||
        !hex4(view_of(text.data + 8, text.len - 8), &low) || low < 0xdc00 || low > 0xdfff)
        return 0;
    *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/* The character at the start of a text inside its quotes, escaped or not: its length there; 0:
 * there is none. */
static size_t next_character(struct view text, uint32_t *point)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    if (*text.data != '\\')
        return *text.data < ' ' ? 0 : utf8_next(text, point);
    if (text.len > 1 && text.data[1] == 'u')
        return unicode_escape(text, point);
    letter = text.len > 1 ? memchr(letters, text.data[1], sizeof letters - 1) : NULL;
    if (letter)
        *point = (uint32_t)meant[letter - letters];
    return letter ? 2 : 0;
}

/* Takes a text with its quotes; *text is what they hold. */
static bool take_text(struct view *rest, struct view *text)
{
    uint32_t point;
    if (rest->len == 0 || *rest->data != '"')
        return false;
    skip(rest, 1);
    text->data = rest->data;
    while (rest->len > 0 && *rest->data != '"') {
        size_t len = next_character(*rest, &point);
        if (len == 0)
            return false;
        skip(rest, len);
    }
    text->len = (size_t)(rest->data - text->data);
    return take_word(rest, "\"");
}

/* Whole numbers, as RFC 8259 writes them. */
static bool number_of(struct view text, uint64_t *value)
{
    return text_number(value, text, 0, UINT64_MAX) && (text.len == 1 || text.data[0] != '0');
}

static bool take_number(struct view *rest, struct view *text)
{
    uint64_t value;
    text->data = rest->data;
    while (rest->len > 0 && *rest->data >= '0' && *rest->data <= '9')
        skip(rest, 1);
    text->len = (size_t)(rest->data - text->data);
    return number_of(*text, &value);
}

static bool take_value(struct view *rest, struct json_member *m)
{
    const uint8_t *start = rest->data;
    m->kind = JSON_TRUTH;
    if (take_word(rest, "true") || take_word(rest, "false")) {
        m->value = view_of(start, (size_t)(rest->data - start));
        return true;
    }
    m->kind = rest->len > 0 && *rest->data == '"' ? JSON_TEXT : JSON_NUMBER;
    return m->kind == JSON_TEXT ? take_text(rest, &m->value) : take_number(rest, &m->value);
}

static const struct json_member *find(const struct json_object *o, struct view name)
{
    for (size_t i = 0; i < o->count; i++)
        if (view_equal(o->members[i].name, name))
            return &o->members[i];
    return NULL;
}

static bool take_member(struct json_object *o, struct view *rest, struct error *e)
{
    struct json_member m = {0};
    if (!take_text(rest, &m.name) || memchr(m.name.data, '\\', m.name.len) ||
        !take_sign(rest, ':') || !take_value(rest, &m))
        return error_set(e, FAILURE_OTHER, "malformed JSON");
    if (find(o, m.name))
        return error_set(e, FAILURE_OTHER, "'%.*s' is given twice", (int)m.name.len,
                         (const char *)m.name.data);
    if (o->count == JSON_MEMBERS_MAX)
        return error_set(e, FAILURE_OTHER, "more than %d members", JSON_MEMBERS_MAX);
    o->members[o->count++] = m;
    return true;
}

bool json_read(struct json_object *o, struct view line, struct error *e)
{
    struct view rest = line;
    o->count = 0;
    if (!take_sign(&rest, '{'))
        return error_set(e, FAILURE_OTHER, "no JSON object");
    while (!take_sign(&rest, '}')) {
        if (o->count > 0 && !take_sign(&rest, ','))
            return error_set(e, FAILURE_OTHER, "malformed JSON");
        if (!take_member(o, &rest, e))
            return false;
    }
    return rest.len == 0 || error_set(e, FAILURE_OTHER, "something stands after the JSON object");
}

const struct json_member *json_find(const struct json_object *o, const char *name)
{
    return find(o, view_of_string(name));
}

static const struct json_member *find_kind(const struct json_object *o, const char *name,
                                           enum json_kind kind)
{
    const struct json_member *m = json_find(o, name);
    return m && m->kind == kind ? m : NULL;
}

/* Its length; out takes 4 bytes. */
static size_t encode(char *out, uint32_t point)
{
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len; i > 1; i--, point >>= 6)
        out[i - 1] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(first[len] | point);
    return len;
}

/* The length of the text decoded; out NULL: it is only measured. */
static size_t decode(char *out, struct view text)
{
    size_t len = 0;
    while (text.len > 0) {
        char bytes[4];
        uint32_t point = 0;
        size_t encoded;
        skip(&text, next_character(text, &point));
        encoded = encode(bytes, point);
        if (out)
            memcpy(out + len, bytes, encoded);
        len += encoded;
    }
    return len;
}

bool json_get_text(const struct json_object *o, const char *name, char *out, size_t size)
{
    const struct json_member *m = find_kind(o, name, JSON_TEXT);
    if (!m || decode(NULL, m->value) >= size)
        return false;
    out[decode(out, m->value)] = '\0';
    return true;
}

bool json_get_number(const struct json_object *o, const char *name, uint64_t *out)
{
    const struct json_member *m = find_kind(o, name, JSON_NUMBER);
    return m && number_of(m->value, out);
}

bool json_get_truth(const struct json_object *o, const char *name, bool *out)
{
    const struct json_member *m = find_kind(o, name, JSON_TRUTH);
    if (m)
        *out = m->value.data[0] == 't';
    return m != NULL;
}

/* ---- Writing. ---- */

static void add(struct json_line *l, const char *bytes, size_t len)
{
    l->full |= len > l->size - l->len;
    if (l->full)
        return;
    memcpy(l->out + l->len, bytes, len);
    l->len += len;
}

static void add_string(struct json_line *l, const char *s)
{
    add(l, s, strlen(s));
}

void json_begin(struct json_line *l, char *out, size_t size)
{
    *l = (struct json_line){.out = out, .size = size};
    add_string(l, "{");
}

static void add_name(struct json_line *l, const char *name)
{
    add_string(l, l->len > 1 ? ",\"" : "\"");
    add_string(l, name);
    add_string(l, "\":");
}

/* Returns how many bytes of the text it took. */
static size_t add_character(struct json_line *l, struct view text)
{
    uint32_t point = 0;
    size_t len = utf8_next(text, &point);
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(point & 0xffff));
    if (len == 0)
        add_string(l, "?");
    else if (point == '"' || point == '\\')
        add(l, (const char[]){'\\', (char)point}, 2);
    else if (point < ' ' || point == 0x7f)
        add_string(l, escape);
    else
        add(l, (const char *)text.data, len);
    return len ? len : 1;
}

void json_put_text(struct json_line *l, const char *name, const char *text)
{
    struct view rest = view_of_string(text);
    add_name(l, name);
    add_string(l, "\"");
    while (rest.len > 0)
        skip(&rest, add_character(l, rest));
    add_string(l, "\"");
}

void json_put_number(struct json_line *l, const char *name, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    add_name(l, name);
    add_string(l, digits);
}

void json_put_truth(struct json_line *l, const char *name, bool truth)
{
    add_name(l, name);
    add_string(l, truth ? "true" : "false");
}

size_t json_end(struct json_line *l)
{
    add_string(l, "}\n");
    return l->full ? 0 : l->len;
}
