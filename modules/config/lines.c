/* Cuts a text into lines, once it is known to be UTF-8 without control characters. */
#include "config/lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

static const char byte_order_mark[] = "\xef\xbb\xbf"; /* some editors put it first */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *strip_space(char *text)
{
    size_t len;
    while (is_space(*text))
        text++;
    for (len = strlen(text); len > 0 && is_space(text[len - 1]); len--)
        ;
    text[len] = '\0';
    return text;
}

static void cut_comment(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        if (*c == '#' && (c == line || is_space(c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static bool check_text(const char *file, const char *text, size_t len, struct error *e)
{
    unsigned number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - text) - at : len - at;
        if (memchr(text + at, '\0', line_len) || !utf8_valid(view_of(text + at, line_len)))
            return error_set(e, FAILURE_CONFIG, "%s:%u: not text; expected UTF-8", file, number);
        at += line_len + 1;
    }
    return true;
}

bool lines_start(struct lines *l, const char *file, const char *text, size_t len, struct error *e)
{
    size_t mark_len = sizeof byte_order_mark - 1;
    *l = (struct lines){0};
    if (!check_text(file, text, len, e))
        return false;
    l->copy = malloc(len + 1);
    if (!l->copy)
        return error_no_memory(e);
    memcpy(l->copy, text, len);
    l->copy[len] = '\0';
    l->next = l->copy;
    if (strncmp(l->copy, byte_order_mark, mark_len) == 0)
        l->next += mark_len;
    return true;
}

char *lines_next(struct lines *l)
{
    while (l->next) {
        char *line = l->next, *end = strchr(line, '\n');
        l->next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        l->number++;
        cut_comment(line);
        line = strip_space(line);
        if (*line != '\0')
            return line;
    }
    return NULL;
}

void lines_end(struct lines *l)
{
    free(l->copy);
    *l = (struct lines){0};
}
