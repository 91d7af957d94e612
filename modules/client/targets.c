/* An agent's permissions, line by line; texts are made safe to show, since an agent wrote them. */
#include "client/targets.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LINE_BYTES 512

/* The words of a line: "allow tcp:127.0.0.1:22", "listeners 16". */
struct line {
    char word[16];
    char value[LINE_BYTES];
};

/* Cuts the next line off; false: there is none. */
static bool next_line(struct view *rest, struct line *line)
{
    const uint8_t *end, *space;
    struct view text = *rest;
    if (rest->len == 0)
        return false;
    end = memchr(rest->data, '\n', rest->len);
    text.len = end ? (size_t)(end - rest->data) : rest->len;
    *rest = view_of(rest->data + text.len + (end != NULL), rest->len - text.len - (end != NULL));
    space = memchr(text.data, ' ', text.len);
    if (!space)
        space = text.data + text.len;
    text_clean(line->word, sizeof line->word, view_of(text.data, (size_t)(space - text.data)));
    space += space < text.data + text.len;
    text_clean(line->value, sizeof line->value,
               view_of(space, (size_t)(text.data + text.len - space)));
    return true;
}

void targets_print(const struct client_task *t, struct view answer)
{
    struct line line;
    bool any = false;
    while (next_line(&answer, &line)) {
        bool allow = strcmp(line.word, "allow") == 0, listen = strcmp(line.word, "listen") == 0;
        if ((allow || listen) && !any)
            printf("%-12s %s\n", "YOU MAY", "WHERE");
        if (allow || listen)
            printf("%-12s %s\n", allow ? "connect to" : "listen on", line.value);
        else if (strcmp(line.word, "listeners") == 0)
            printf("%-12s %s at a time\n", "listen", line.value);
        any |= allow || listen;
    }
    if (!any)
        printf("agent %s permits you nothing\n", t->agent);
    fflush(stdout);
}

void targets_print_json(const struct client_task *t, struct view answer)
{
    struct line line;
    (void)t;
    while (next_line(&answer, &line)) {
        bool pattern = strcmp(line.word, "allow") == 0 || strcmp(line.word, "listen") == 0;
        if (pattern && !strpbrk(line.value, "\"\\"))
            printf("{\"%s\":\"%s\"}\n", line.word, line.value);
        else if (strcmp(line.word, "listeners") == 0 &&
                 line.value[strspn(line.value, "0123456789")] == '\0')
            printf("{\"listeners\":%s}\n", line.value);
    }
    fflush(stdout);
}
