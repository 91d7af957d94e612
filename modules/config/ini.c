/* Lines of an INI file become sections, keys and values. What they mean is schema.c's affair. */
#include "config/ini.h"

#include <string.h>

#include "config/lines.h"

static bool take_section(const struct ini_handler *handler, char *line, struct ini_place at,
                         struct error *e)
{
    size_t len = strlen(line);
    if (line[len - 1] != ']')
        return error_set(e, FAILURE_CONFIG, "%s:%u: '%s' has no ']' at its end; expected [Section]",
                         at.file, at.line, line);
    line[len - 1] = '\0';
    char *name = strip_space(line + 1);
    if (*name == '\0')
        return error_set(e, FAILURE_CONFIG, "%s:%u: '[]' names no section; expected [Section]",
                         at.file, at.line);
    return handler->section(handler->arg, name, at, e);
}

static bool take_key(const struct ini_handler *handler, char *line, bool in_section,
                     struct ini_place at, struct error *e)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: '%s' is not understood; expected [Section] or Key = Value",
                         at.file, at.line, line);
    *equals = '\0';
    char *name = strip_space(line), *value = strip_space(equals + 1);
    if (*name == '\0')
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: there is no key before '='; expected "
                         "Key = Value",
                         at.file, at.line);
    if (*value == '\0')
        return error_set(e, FAILURE_CONFIG, "%s:%u: '%s' has no value; expected %s = Value",
                         at.file, at.line, name, name);
    if (!in_section)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: '%s' stands before the first section; expected [Section] first",
                         at.file, at.line, name);
    return handler->key(handler->arg, name, value, at, e);
}

bool ini_walk(const char *file, const char *text, size_t len, const struct ini_handler *handler,
              struct error *e)
{
    struct lines lines;
    bool good = true, in_section = false;
    char *line;
    if (!lines_start(&lines, file, text, len, e))
        return false;
    while (good && (line = lines_next(&lines))) {
        struct ini_place at = {file, lines.number};
        if (*line == '[') {
            good = take_section(handler, line, at, e);
            in_section = true;
        } else {
            good = take_key(handler, line, in_section, at, e);
        }
    }
    lines_end(&lines);
    return good;
}
