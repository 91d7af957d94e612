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

/* A line of the file. */
struct agent_line {
    const char *path;
    unsigned line;
    char name[NAME_TEXT_BYTES];
    uint8_t key[KEY_BYTES];
};

/* A name that is looked up, and where it was found. */
struct search {
    const char *name;
    uint8_t *key;
    unsigned line; /* 0: not yet */
};

/* Who is told the names. */
struct name_teller {
    void (*found)(void *arg, const char *name);
    void *arg;
};

typedef bool entry_handler(void *arg, const struct agent_line *entry, struct error *e);

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

static bool read_line(char *line, struct agent_line *entry, entry_handler *handle, void *arg,
                      struct error *e)
{
    struct error inner = {0};
    if (!parse_entry(entry->name, entry->key, line, &inner))
        return error_set(e, FAILURE_CONFIG, "%s:%u: %s", entry->path, entry->line, inner.text);
    return handle(arg, entry, e);
}

/* Calls the handler with each line until it returns false. */
static bool read_file(const char *path, entry_handler *handle, void *arg, struct error *e)
{
    struct agent_line entry = {.path = path};
    struct lines lines;
    char *text, *line;
    size_t len;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return true;
    if (!file_read(path, KNOWN_AGENTS_MAX_BYTES, false, &text, &len, e))
        return false;
    bool good = lines_start(&lines, path, text, len, e);
    free(text);
    while (good && (line = lines_next(&lines))) {
        entry.line = lines.number;
        good = read_line(line, &entry, handle, arg, e);
    }
    lines_end(&lines);
    return good;
}

static bool compare(void *arg, const struct agent_line *entry, struct error *e)
{
    struct search *s = arg;
    if (strcmp(entry->name, s->name) != 0)
        return true;
    if (s->line != 0)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: '%s' is given twice, first at line %u; expected one line for "
                         "each agent",
                         entry->path, entry->line, entry->name, s->line);
    s->line = entry->line;
    memcpy(s->key, entry->key, KEY_BYTES);
    return true;
}

bool known_agents_find(const char *path, const char *name, uint8_t key[KEY_BYTES], unsigned *line,
                       struct error *e)
{
    struct search s = {.name = name, .key = key};
    bool good = read_file(path, compare, &s, e);
    *line = good ? s.line : 0;
    return good;
}

static bool tell_name(void *arg, const struct agent_line *entry, struct error *e)
{
    const struct name_teller *teller = arg;
    (void)e;
    teller->found(teller->arg, entry->name);
    return true;
}

bool known_agents_names(const char *path, void (*found)(void *arg, const char *name), void *arg,
                        struct error *e)
{
    struct name_teller teller = {found, arg};
    return read_file(path, tell_name, &teller, e);
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
