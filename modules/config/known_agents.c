/* The file of known agents: looked through as a whole each time, and only ever appended to. */
#include "config/known_agents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "config/lines.h"
#include "config/values.h"

#define KNOWN_AGENTS_MAX_BYTES ((size_t)4 << 20)

/* A name that is looked up, and where it was found. */
struct search {
    const char *name;
    uint8_t *key;
    unsigned line; /* 0: not yet */
};

/* "NAME KEY" */
static bool parse_entry(char name[NAME_TEXT_BYTES], uint8_t key[KEY_BYTES], char *line,
                        struct error *e)
{
    size_t len = strcspn(line, " \t");
    char *key_text = strip_space(line + len);

    if (line[len] == '\0')
        return error_set(e, FAILURE_CONFIG, "'%s' is not understood; expected NAME KEY", line);
    line[len] = '\0';
    if (!value_name(name, line, e))
        return false;
    if (public_key_from_text(key, view_of_string(key_text)))
        return true;
    return error_set(e, FAILURE_CONFIG, "'%s' is not a public key: 44 characters of base64",
                     key_text);
}

static bool search_line(struct search *s, const char *path, char *line, unsigned number,
                        struct error *e)
{
    char name[NAME_TEXT_BYTES];
    uint8_t key[KEY_BYTES];
    struct error inner = {0};

    if (!parse_entry(name, key, line, &inner))
        return error_set(e, FAILURE_CONFIG, "%s:%u: %s", path, number, inner.text);
    if (strcmp(name, s->name) != 0)
        return true;
    if (s->line != 0)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: '%s' is given twice, first at line %u; expected one line for "
                         "each agent",
                         path, number, name, s->line);
    s->line = number;
    memcpy(s->key, key, KEY_BYTES);
    return true;
}

bool known_agents_find(const char *path, const char *name, uint8_t key[KEY_BYTES], unsigned *found,
                       struct error *e)
{
    struct search s = {.name = name, .key = key};
    struct lines lines;
    char *text, *line;
    size_t len;

    *found = 0;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return true;
    if (!file_read(path, KNOWN_AGENTS_MAX_BYTES, false, &text, &len, e))
        return false;
    bool good = lines_start(&lines, path, text, len, e);
    free(text);
    while (good && (line = lines_next(&lines)))
        good = search_line(&s, path, line, lines.number, e);
    lines_end(&lines);
    *found = good ? s.line : 0;
    return good;
}

/* Makes every directory of the path that is missing. */
static bool make_directories(const char *path, struct error *e)
{
    char *directory = strdup(path);
    bool good = true;

    if (!directory)
        return error_no_memory(e);
    for (char *slash = strchr(directory, '/'); good && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (*directory != '\0' && mkdir(directory, 0700) < 0 && errno != EEXIST)
            good =
                error_set(e, FAILURE_OTHER, "cannot create %s: %s", directory, system_text(errno));
        *slash = '/';
    }
    free(directory);
    return good;
}

bool known_agents_add(const char *path, const char *name, const uint8_t key[KEY_BYTES],
                      struct error *e)
{
    char line[NAME_TEXT_BYTES + 1 + KEY_TEXT_BYTES], key_text[KEY_TEXT_BYTES];

    if (!make_directories(path, e))
        return false;
    key_to_text(key_text, key);
    snprintf(line, sizeof line, "%s %s", name, key_text);
    return file_append_line(path, line, e);
}
