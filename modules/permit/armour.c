/* The text form of statements: made, and read tolerantly around its lines and strictly in them. */
#include "permit/armour.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define LINE_CHARACTERS 64
#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

static size_t base64_len(size_t len)
{
    return 4 * ((len + 2) / 3);
}

char *armour_text(const char *kind, struct view bytes)
{
    size_t len = base64_len(bytes.len), size = 2 * len + 2 * strlen(kind) + 64, at;
    char *text = malloc(size), *base64 = malloc(len + 1);
    if (text && base64) {
        base64_encode(base64, bytes.data, bytes.len);
        at = (size_t)snprintf(text, size, BEGIN "%s" DASHES "\n", kind);
        for (size_t i = 0; i < len; i += LINE_CHARACTERS)
            at += (size_t)snprintf(text + at, size - at, "%.*s\n", LINE_CHARACTERS, base64 + i);
        snprintf(text + at, size - at, END "%s" DASHES "\n", kind);
    } else {
        free(text);
        text = NULL;
    }
    free(base64);
    return text;
}

/* ---- Reading. ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line, without what a mail may have put around it. False: there is none. */
static bool next_line(struct view *text, struct view *line)
{
    const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    size_t len = end ? (size_t)(end - text->data) : text->len;
    if (text->len == 0)
        return false;
    *line = view_of(text->data, len);
    len += end ? 1 : 0;
    *text = view_of(text->data + len, text->len - len);
    while (line->len > 0 && is_space(line->data[line->len - 1]))
        line->len--;
    while (line->len > 0 && (is_space(*line->data) || *line->data == '>'))
        *line = view_of(line->data + 1, line->len - 1);
    return true;
}

static bool is_border(struct view line, const char *word, const char *kind)
{
    char border[64];
    snprintf(border, sizeof border, "%s%s" DASHES, word, kind);
    return view_equal(line, view_of_string(border));
}

/* The characters between the borders, put together. */
struct gathered {
    char *characters;
    size_t len, max;
    unsigned begun, ended;
};

static bool gather(struct gathered *g, struct view text, const char *kind)
{
    struct view line;
    while (next_line(&text, &line)) {
        if (is_border(line, BEGIN, kind)) {
            g->begun++;
        } else if (is_border(line, END, kind)) {
            g->ended++;
        } else if (g->begun > g->ended) {
            if (line.len > g->max - g->len)
                return false;
            memcpy(g->characters + g->len, line.data, line.len);
            g->len += line.len;
        }
        if (g->begun > 1 || g->ended > g->begun)
            return false;
    }
    return g->begun == g->ended;
}

static bool decode(uint8_t *out, size_t max, size_t *len, const struct gathered *g)
{
    size_t padding = 0, whole = g->len / 4 * 3;
    while (padding < 2 && padding < g->len && g->characters[g->len - 1 - padding] == '=')
        padding++;
    if (whole == 0 || whole - padding > max)
        return false;
    *len = whole - padding;
    return base64_decode(out, *len, view_of(g->characters, g->len));
}

static const char *noun_of(const char *kind)
{
    if (strcmp(kind, ARMOUR_AGENT) == 0)
        return "statement about an agent";
    return strcmp(kind, ARMOUR_PERMIT) == 0 ? "permit" : "list of revocations";
}

bool armour_read(uint8_t *out, size_t max, size_t *len, const char *kind, struct view text,
                 struct error *e)
{
    struct gathered g = {.max = base64_len(max)};
    bool whole, good;
    g.characters = malloc(g.max + 1);
    if (!g.characters)
        return error_no_memory(e);
    whole = gather(&g, text, kind);
    good = whole && decode(out, max, len, &g);
    free(g.characters);
    if (good)
        return true;
    if (whole && g.begun == 0)
        return error_set(e, FAILURE_CONFIG,
                         "holds no %s; expected a line '" BEGIN "%s" DASHES "' and what follows it",
                         noun_of(kind), kind);
    return error_set(e, FAILURE_CONFIG, "the %s is damaged, or there are two: expected one, whole",
                     noun_of(kind));
}
