/* Lines and their hashes; nothing here knows a file. */
#include "audit/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/text.h"

#define SALT_BYTES 16
#define CHAIN_BYTES 16

static void hash_line(uint8_t out[HASH_BYTES], struct view line)
{
    sha256(out, line, view_of(NULL, 0));
}

void audit_hash_text(char out[AUDIT_HASH_TEXT_BYTES], const uint8_t hash[HASH_BYTES])
{
    text_hex(out, hash, HASH_BYTES);
}

void audit_chain_begin(struct audit_head *head)
{
    uint8_t name[CHAIN_BYTES];
    random_bytes(name, sizeof name);
    text_hex(head->chain, name, sizeof name);
    head->number = 0;
}

size_t audit_chain_add(struct audit_head *head, char out[AUDIT_LINE_MAX], struct view object,
                       const char *torn)
{
    char salt[2 * SALT_BYTES + 1], previous[AUDIT_HASH_TEXT_BYTES];
    uint8_t random[SALT_BYTES];
    char *end = out;
    random_bytes(random, sizeof random);
    text_hex(salt, random, sizeof random);
    audit_hash_text(previous, head->hash);
    end = text_put(text_put(end, "{\"chain\":\""), head->chain);
    end = text_put_number(text_put(end, "\",\"number\":"), ++head->number);
    *end++ = ',';
    memcpy(end, object.data + 1, object.len - 2);
    end += object.len - 2;
    if (torn)
        end = text_put(text_put(text_put(end, ",\"torn\":\""), torn), "\"");
    end = text_put(text_put(end, ",\"salt\":\""), salt);
    end = text_put(text_put(end, "\",\"previous\":\""), previous);
    end = text_put(end, "\"}");
    hash_line(head->hash, view_of(out, (size_t)(end - out)));
    *end++ = '\n';
    return (size_t)(end - out);
}

void audit_head_take(struct audit_head *head, const struct audit_entry *entry, struct view line)
{
    snprintf(head->chain, sizeof head->chain, "%s", entry->chain);
    head->number = entry->number;
    hash_line(head->hash, line);
}

bool audit_chain_links(const struct audit_head *head, const struct audit_entry *entry)
{
    char previous[AUDIT_HASH_TEXT_BYTES];
    audit_hash_text(previous, head->hash);
    return strcmp(previous, entry->previous) == 0;
}

/* Where the line begins that ends here. */
static size_t line_begin(const uint8_t *data, size_t end)
{
    const uint8_t *newline = end ? memrchr(data, '\n', end) : NULL;
    return newline ? (size_t)(newline - data) + 1 : 0;
}

/* True if a power cut may have left this of a file's first line: some of it, or zeros. */
static bool is_first_line(struct view end)
{
    static const char begin[] = "{\"chain\":\"";
    size_t len = end.len < sizeof begin - 1 ? end.len : sizeof begin - 1;
    if (end.len && end.data[0] == '\0')
        return bytes_are_zero(end.data, end.len);
    return end.len < AUDIT_LINE_MAX && memcmp(end.data, begin, len) == 0 &&
           !memchr(end.data, '\n', end.len);
}

bool audit_tail_read(struct audit_tail *tail, struct view end, bool complete)
{
    struct audit_line line;
    *tail = (struct audit_tail){0};
    for (size_t at = end.len;; at--) {
        size_t begin = line_begin(end.data, at);
        struct view candidate = view_of(end.data + begin, at - begin);
        if (audit_line_read(&line, candidate)) {
            audit_head_take(&tail->head, &line.entry, candidate);
            tail->whole = at;
            tail->torn = end.len > at + 1;
            return true;
        }
        if (begin == 0)
            break;
        at = begin;
    }
    tail->torn = true;
    return complete && is_first_line(end);
}

/* Lines that hold each other, from the first on. */
struct walk {
    struct audit_tail good; /* up to the last of them */
    const uint8_t *odd;     /* where the first begins that does not; NULL: none does */
};

/* True if the entry is the one that tells of the bytes before it. */
static bool mends(const struct walk *w, const struct audit_entry *e, const uint8_t *begin)
{
    uint8_t hash[HASH_BYTES];
    char torn[AUDIT_HASH_TEXT_BYTES];
    if (!e->torn)
        return false;
    sha256(hash, view_of(w->odd, (size_t)(begin - w->odd) - 1), view_of(NULL, 0));
    audit_hash_text(torn, hash);
    return strcmp(torn, e->torn) == 0;
}

static bool holds(const struct walk *w, const struct audit_entry *e, const uint8_t *begin)
{
    if (w->good.head.number == 0)
        return !w->odd;
    return audit_chain_links(&w->good.head, e) && (!w->odd || mends(w, e, begin));
}

static void walk_line(struct walk *w, struct view end, size_t begin, size_t len)
{
    struct audit_line line;
    struct view text = view_of(end.data + begin, len);
    if (audit_line_read(&line, text) && holds(w, &line.entry, text.data)) {
        audit_head_take(&w->good.head, &line.entry, text);
        w->good.whole = begin + len;
        w->odd = NULL;
    } else if (!w->odd) {
        w->odd = text.data;
    }
}

static void walk_lines(struct walk *w, struct view end, size_t begin)
{
    while (begin < end.len) {
        const uint8_t *newline = memchr(end.data + begin, '\n', end.len - begin);
        size_t len = newline ? (size_t)(newline - end.data) - begin : end.len - begin;
        walk_line(w, end, begin, len);
        begin += len + 1;
    }
}

void audit_tail_cut_zeros(struct audit_tail *tail, struct view end, bool complete)
{
    struct walk w = {0};
    const uint8_t *newline = memchr(end.data, '\n', end.len);
    if (!newline || !memchr(end.data, '\0', tail->whole))
        return;
    walk_lines(&w, end, complete ? 0 : (size_t)(newline - end.data) + 1);
    if (!w.odd || !w.good.head.number || !memchr(w.odd, '\0', (size_t)(end.data + end.len - w.odd)))
        return;
    *tail = w.good;
    tail->torn = true;
}
