/* libFuzzer: texts as they come from peers and from files, before anything is made of them: what is
 * shown of them, keys, codes, patterns, labels and queries. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "agent/spoken_code.h"
#include "base/text.h"
#include "crypto/keys.h"
#include "relay/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

/* Cleaned it is UTF-8, harmless, within its bytes, and as it was if it was harmless and fits. */
static void clean(struct view text, size_t room)
{
    char *out = malloc(room), *again = malloc(room);
    require(out && again);
    size_t len = text_clean(out, room, text);
    require(len < room && out[len] == '\0');
    struct view cleaned = view_of(out, len);
    require(utf8_valid(cleaned) && text_is_clean(cleaned));
    require(text_clean(again, room, cleaned) == len && memcmp(out, again, len) == 0);
    if (text_is_clean(text) && text.len < room)
        require(view_equal(cleaned, text));
    free(again);
    free(out);
}

/* A key is written as it was read; a private key has a public one. */
static void keys(struct view text)
{
    uint8_t key[KEY_BYTES];
    char written[KEY_TEXT_BYTES];
    struct keypair pair;
    struct error e = {0};
    if (public_key_from_text(key, text)) {
        key_to_text(written, key);
        require(view_equal(view_of_string(written), text));
    }
    if (keypair_from_text(&pair, text, "key", &e)) {
        key_to_text(written, pair.private_key);
        require(memmem(text.data, text.len, written, strlen(written)) != NULL);
        require(e.failure == FAILURE_NONE);
    } else {
        require(e.failure == FAILURE_CONFIG && e.text[0] != '\0');
    }
}

/* A code is read as it was read; words in quotes do not end before their end. */
static void words(const char *text, size_t room)
{
    char code[SPOKEN_CODE_BYTES], again[SPOKEN_CODE_BYTES];
    char *out = malloc(room);
    size_t len;
    require(out != NULL);
    if (spoken_code_read(code, text)) {
        require(strlen(code) == SPOKEN_CODE_SIGNS && spoken_code_read(again, code));
        require(strcmp(code, again) == 0);
    }
    text_quote(out, room, text);
    len = strlen(out);
    require(len >= 2 && len < room && out[0] == '"' && strchr(out + 1, '"') == out + len - 1);
    free(out);
}

/* The input in two, at its first line's end: a pattern or labels, and what they are held against.
 */
static void patterns(const char *text)
{
    char merged[LABELS_MAX_BYTES + 1];
    const char *end = strchr(text, '\n');
    const char *other = end ? end + 1 : "";
    char *first = strndup(text, end ? (size_t)(end - text) : strlen(text));
    require(first != NULL);
    if (utf8_valid(view_of_string(first)) && utf8_valid(view_of_string(other)) &&
        strlen(other) <= LABELS_MAX_BYTES) {
        text_matches(first, other);
        if (strlen(other) <= PATTERN_MAX_BYTES && !strpbrk(other, "*?"))
            require(text_matches(other, other));
        query_matches(first, "agent", other);
        require(query_matches("", first, other));
        labels_merge(merged, first, other);
        require(strlen(merged) <= LABELS_MAX_BYTES);
    }
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    char *text;
    if (size == 0)
        return 0;
    require(started || (started = crypto_start(true)));
    struct view rest = view_of(data + 1, size - 1);
    if (data[0] < 128) {
        clean(rest, 1 + data[0] * 4U);
    } else if (data[0] < 160) {
        keys(rest);
    } else {
        text = strndup((const char *)rest.data, rest.len);
        require(text != NULL);
        if (data[0] < 192)
            words(text, 3 + (data[0] - 160U) * 4);
        else
            patterns(text);
        free(text);
    }
    return 0;
}
