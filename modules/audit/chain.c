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
    const char *inner = (const char *)object.data + 1;
    int len;
    random_bytes(random, sizeof random);
    text_hex(salt, random, sizeof random);
    audit_hash_text(previous, head->hash);
    head->number++;
    len = snprintf(out, AUDIT_LINE_MAX,
                   "{\"chain\":\"%s\",\"number\":%" PRIu64 ",%.*s%s%s%s,\"salt\":\"%s\","
                   "\"previous\":\"%s\"}\n",
                   head->chain, head->number, (int)object.len - 2, inner,
                   torn ? ",\"torn\":\"" : "", torn ? torn : "", torn ? "\"" : "", salt, previous);
    hash_line(head->hash, view_of(out, (size_t)len - 1));
    return (size_t)len;
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
