/* Reading a configuration file by its tables, and the checks that all files share. */
#include "config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/files.h"

#define CONFIG_FILE_MAX_BYTES ((size_t)16 << 20)
#define KNOWN_TEXT_BYTES 300 /* the names of all sections, or of all keys of a section */

/* Errors. */

static void add_known(char known[KNOWN_TEXT_BYTES], const char *before, const char *name,
                      const char *after)
{
    size_t len = strlen(known);
    snprintf(known + len, KNOWN_TEXT_BYTES - len, "%s%s%s%s", len > 0 ? ", " : "", before, name,
             after);
}

static bool unknown_section(const struct config_reader *r, const char *name, struct ini_place at,
                            struct error *e)
{
    char known[KNOWN_TEXT_BYTES] = "";
    for (size_t i = 0; i < r->file->section_count; i++)
        add_known(known, "[", r->file->sections[i].name, "]");
    return error_set(e, FAILURE_CONFIG, "%s:%u: unknown section [%s]; known are %s", at.file,
                     at.line, name, known);
}

static bool unknown_key(const struct config_reader *r, const char *name, struct ini_place at,
                        struct error *e)
{
    char known[KNOWN_TEXT_BYTES] = "";
    for (size_t i = 0; i < r->section->key_count; i++)
        add_known(known, "", r->section->keys[i].name, "");
    return error_set(e, FAILURE_CONFIG, "%s:%u: unknown key '%s' in [%s]; known are %s", at.file,
                     at.line, name, r->section->name, known);
}

/* Walking through the file. */

static bool is_required(enum config_count count)
{
    return count == EXACTLY_ONE || count == AT_LEAST_ONE;
}

static bool may_repeat(enum config_count count)
{
    return count == ANY_NUMBER || count == AT_LEAST_ONE;
}

/* A value's fault is the file's; want of memory is not. */
static enum failure kind(const struct error *inner)
{
    return inner->failure == FAILURE_OTHER ? FAILURE_OTHER : FAILURE_CONFIG;
}

static bool finish_section(struct config_reader *r, struct error *e)
{
    const struct config_section *s = r->section;
    struct error inner = {0};
    if (!s)
        return true;
    for (size_t i = 0; i < s->key_count; i++) {
        if (is_required(s->keys[i].count) && r->key_lines[i] == 0)
            return error_set(e, FAILURE_CONFIG, "%s:%u: [%s] has no %s; expected %s = Value",
                             r->path, r->section_line, s->name, s->keys[i].name, s->keys[i].name);
    }
    if (s->finish && !s->finish(r, r->object, &inner))
        return error_set(e, kind(&inner), "%s:%u: %s", r->path, r->section_line, inner.text);
    r->section = NULL;
    return true;
}

/* One more object of a section that may repeat; NULL without memory. */
static void *append_item(void *config, const struct config_items *where)
{
    size_t *count = (size_t *)((char *)config + where->count);
    char *array;
    memcpy(&array, (char *)config + where->array, sizeof array); /* of whatever type it is */
    array = array_append(array, count, where->item_bytes);
    if (!array)
        return NULL;
    memcpy((char *)config + where->array, &array, sizeof array);
    return array + (*count - 1) * where->item_bytes;
}

static void *begin_object(struct config_reader *r)
{
    const struct config_section *s = r->section;
    char *object = s->items.item_bytes > 0 ? append_item(r->config, &s->items) : r->config;
    for (size_t i = 0; object && i < s->key_count; i++)
        if (s->keys[i].type == &config_number)
            *(uint32_t *)(object + s->keys[i].offset) = s->keys[i].initial;
    return object;
}

static const struct config_section *find_section(const struct config_file *file, const char *name)
{
    for (size_t i = 0; i < file->section_count; i++)
        if (strcasecmp(file->sections[i].name, name) == 0)
            return &file->sections[i];
    return NULL;
}

static const struct config_key *find_key(const struct config_section *s, const char *name)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (strcasecmp(s->keys[i].name, name) == 0)
            return &s->keys[i];
    return NULL;
}

static bool on_section(void *arg, const char *name, struct ini_place at, struct error *e)
{
    struct config_reader *r = arg;
    const struct config_section *s = find_section(r->file, name);
    if (!finish_section(r, e))
        return false;
    if (!s)
        return unknown_section(r, name, at, e);

    unsigned *first_line = &r->section_lines[s - r->file->sections];
    if (!may_repeat(s->count) && *first_line != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%u: [%s] is given twice, first at line %u", at.file,
                         at.line, s->name, *first_line);
    if (*first_line == 0)
        *first_line = at.line;
    r->section = s;
    r->section_line = at.line;
    memset(r->key_lines, 0, sizeof r->key_lines);
    r->object = begin_object(r);
    return r->object || error_no_memory(e);
}

static bool parse_value(struct config_reader *r, const struct config_key *k, const char *value,
                        struct error *e)
{
    void *field = (char *)r->object + k->offset;
    return k->type->parse ? k->type->parse(r, field, value, e)
                          : value_number(field, value, &k->range, e);
}

static bool on_key(void *arg, const char *name, const char *value, struct ini_place at,
                   struct error *e)
{
    struct config_reader *r = arg;
    const struct config_key *k = find_key(r->section, name);
    struct error inner = {0};
    if (!k)
        return unknown_key(r, name, at, e);

    unsigned *line = &r->key_lines[k - r->section->keys];
    if (!may_repeat(k->count) && *line != 0)
        return error_set(e, FAILURE_CONFIG, "%s:%u: %s is given twice in [%s], first at line %u",
                         at.file, at.line, k->name, r->section->name, *line);
    *line = at.line;
    r->key_line = at.line;
    if (!parse_value(r, k, value, &inner))
        return error_set(e, kind(&inner), "%s:%u: %s: %s", at.file, at.line, k->name, inner.text);
    return true;
}

static bool check_sections_there(const struct config_reader *r, struct error *e)
{
    const struct config_file *f = r->file;
    for (size_t i = 0; i < f->section_count; i++) {
        if (is_required(f->sections[i].count) && r->section_lines[i] == 0)
            return error_set(e, FAILURE_CONFIG, "%s: there is no section [%s]; it is required",
                             r->path, f->sections[i].name);
    }
    return true;
}

static bool read_sections(struct config_reader *r, struct error *e)
{
    struct ini_handler handler = {.section = on_section, .key = on_key, .arg = r};
    char *text;
    size_t len;
    if (!file_read(r->path, CONFIG_FILE_MAX_BYTES, false, &text, &len, e))
        return false;
    bool good = ini_walk(r->path, text, len, &handler, e) && finish_section(r, e) &&
                check_sections_there(r, e);
    free(text);
    return good;
}

/* Peers. */

bool config_note_peer(struct config_reader *r, const char *name, const uint8_t *public_key,
                      struct error *e)
{
    struct config_peer *peers = array_append(r->peers, &r->peer_count, sizeof *peers);
    if (!peers)
        return error_no_memory(e);
    r->peers = peers;
    struct config_peer *peer = &peers[r->peer_count - 1];
    peer->section = r->section;
    peer->line = r->section_line;
    snprintf(peer->name, sizeof peer->name, "%s", name ? name : "");
    peer->has_key = public_key != NULL;
    if (public_key)
        memcpy(peer->public_key, public_key, KEY_BYTES);
    return true;
}

static int by_line(const struct config_peer *a, const struct config_peer *b)
{
    return (a->line > b->line) - (a->line < b->line);
}

static int by_name(const void *a, const void *b)
{
    const struct config_peer *x = a, *y = b;
    int order = (x->section > y->section) - (x->section < y->section);
    if (order == 0)
        order = strcmp(x->name, y->name);
    return order != 0 ? order : by_line(x, y);
}

static int by_key(const void *a, const void *b)
{
    const struct config_peer *x = a, *y = b;
    int order = memcmp(x->public_key, y->public_key, KEY_BYTES);
    return order != 0 ? order : by_line(x, y);
}

static bool check_names(struct config_reader *r, struct error *e)
{
    if (r->peer_count > 1)
        qsort(r->peers, r->peer_count, sizeof *r->peers, by_name);
    for (size_t i = 1; i < r->peer_count; i++) {
        const struct config_peer *a = &r->peers[i - 1], *b = &r->peers[i];
        if (a->section == b->section && a->name[0] != '\0' && strcmp(a->name, b->name) == 0)
            return error_set(e, FAILURE_CONFIG,
                             "%s:%u: [%s] with the name '%s' is given twice, first at line %u",
                             r->path, b->line, b->section->name, b->name, a->line);
    }
    return true;
}

static bool check_keys(struct config_reader *r, struct error *e)
{
    if (r->peer_count > 1)
        qsort(r->peers, r->peer_count, sizeof *r->peers, by_key);
    for (size_t i = 1; i < r->peer_count; i++) {
        const struct config_peer *a = &r->peers[i - 1], *b = &r->peers[i];
        bool one_relay = a->section == b->section && a->name[0] == '\0';
        if (!one_relay && a->has_key && b->has_key &&
            memcmp(a->public_key, b->public_key, KEY_BYTES) == 0)
            return error_set(e, FAILURE_CONFIG,
                             "%s:%u: the PublicKey of this [%s] is that of the [%s] at line %u; "
                             "expected one key for each",
                             r->path, b->line, b->section->name, a->section->name, a->line);
    }
    return true;
}

static bool check_own_key(const struct config_reader *r, const uint8_t own_key[KEY_BYTES],
                          struct error *e)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].has_key && memcmp(r->peers[i].public_key, own_key, KEY_BYTES) == 0)
            return error_set(e, FAILURE_CONFIG,
                             "%s:%u: the PublicKey of this [%s] is the key of this %s itself; "
                             "expected the other party's",
                             r->path, r->peers[i].line, r->peers[i].section->name, r->file->role);
    }
    return true;
}

bool config_read(struct config_reader *r, const struct keypair *own_key, struct error *e)
{
    bool good = read_sections(r, e) && check_own_key(r, own_key->public_key, e) &&
                check_names(r, e) && check_keys(r, e);
    free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
    return good;
}
