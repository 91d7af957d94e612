/* An agent's permissions, line by line; texts are made safe to show, since an agent wrote them. */
#include "client/targets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "client/json.h"

#define LINE_BYTES 512

/* The words of a line: "allow tcp:127.0.0.1:22", "listeners 16". */
struct permitted {
    char word[16];
    char value[LINE_BYTES];
};

/* Cuts the next line off; false: there is none. */
static bool next_permitted(struct view *rest, struct permitted *p)
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
    text_clean(p->word, sizeof p->word, view_of(text.data, (size_t)(space - text.data)));
    space += space < text.data + text.len;
    text_clean(p->value, sizeof p->value, view_of(space, (size_t)(text.data + text.len - space)));
    return true;
}

const char *targets_print(const struct client_task *t, struct view answer)
{
    struct permitted p;
    bool any = false;
    while (next_permitted(&answer, &p)) {
        bool allow = strcmp(p.word, "allow") == 0, listen = strcmp(p.word, "listen") == 0;
        if ((allow || listen) && !any)
            printf("%-12s %s\n", "YOU MAY", "WHERE");
        if (allow || listen)
            printf("%-12s %s\n", allow ? "connect to" : "listen on", p.value);
        else if (strcmp(p.word, "listeners") == 0)
            printf("%-12s %s at a time\n", "listen", p.value);
        any |= allow || listen;
    }
    if (!any)
        printf("agent %s permits you nothing\n", t->agent);
    fflush(stdout);
    return NULL;
}

const char *targets_print_json(const struct client_task *t, struct view answer)
{
    struct permitted p;
    uint64_t listeners;
    (void)t;
    while (next_permitted(&answer, &p)) {
        bool pattern = strcmp(p.word, "allow") == 0 || strcmp(p.word, "listen") == 0;
        if (pattern) {
            printf("{\"%s\":", p.word);
            json_text(p.value, strlen(p.value));
            puts("}");
        } else if (strcmp(p.word, "listeners") == 0 &&
                   text_number(&listeners, view_of_string(p.value), 1, UINT32_MAX)) {
            printf("{\"listeners\":%" PRIu64 "}\n", listeners);
        }
    }
    fflush(stdout);
    return NULL;
}
