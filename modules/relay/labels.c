/* Labels and queries: words between spaces. */
#include "relay/labels.h"

#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

/* The next word of a text of words between spaces, from *at on; false: none is left. */
static bool next_word(const char **at, struct view *word)
{
    *at += strspn(*at, " \t");
    size_t len = strcspn(*at, " \t");
    *word = view_of(*at, len);
    *at += len;
    return len > 0;
}

static struct view label_of(struct view word)
{
    const uint8_t *equals = memchr(word.data, '=', word.len);
    return view_of(word.data, equals ? (size_t)(equals - word.data) : word.len);
}

static bool has_label(const char *labels, struct view label)
{
    struct view word;
    while (next_word(&labels, &word))
        if (view_equal(label_of(word), label))
            return true;
    return false;
}

static void add_word(char out[LABELS_MAX_BYTES + 1], struct view word)
{
    size_t len = strlen(out);
    size_t space = len > 0;
    if (len + space + word.len > LABELS_MAX_BYTES)
        return;
    memcpy(out + len, " ", space);
    memcpy(out + len + space, word.data, word.len);
    out[len + space + word.len] = '\0';
}

static const char *text_or_none(const char *text)
{
    return text ? text : "";
}

bool labels_same(const char *a, const char *b)
{
    return strcmp(text_or_none(a), text_or_none(b)) == 0;
}

void labels_merge(char out[LABELS_MAX_BYTES + 1], const char *configured, const char *told)
{
    struct view word;
    out[0] = '\0';
    for (const char *at = text_or_none(configured); next_word(&at, &word);)
        add_word(out, word);
    for (const char *at = text_or_none(told); next_word(&at, &word);)
        if (!has_label(text_or_none(configured), label_of(word)))
            add_word(out, word);
}

static bool any_label_matches(const char *pattern, const char *labels)
{
    char text[LABELS_MAX_BYTES + 1];
    struct view word;
    while (next_word(&labels, &word)) {
        memcpy(text, word.data, word.len);
        text[word.len] = '\0';
        if (text_matches(pattern, text))
            return true;
    }
    return false;
}

bool query_matches(const char *query, const char *name, const char *labels)
{
    char pattern[QUERY_MAX_BYTES + 1];
    struct view word;
    while (next_word(&query, &word)) {
        if (word.len > QUERY_MAX_BYTES)
            return false;
        memcpy(pattern, word.data, word.len);
        pattern[word.len] = '\0';
        bool matches = strchr(pattern, '=') ? !labels || any_label_matches(pattern, labels)
                                            : text_matches(pattern, name);
        if (!matches)
            return false;
    }
    return true;
}
