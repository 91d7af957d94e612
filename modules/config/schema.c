#include "config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/text.h"

#define CONFIG_FILE_MAX_BYTES ((size_t)16 << 20)
#define KNOWN_TEXT_BYTES 160 /* the names of all sections, or of all keys of a section */

/* Errors. */

static bool no_memory(const struct config_reader *r, struct error *e)
{
    return error_set(e, FAILURE_CONFIG, "%s: no memory to read it", r->path);
}

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

    for (const struct config_section *s = r->sections; s->name; s++)
        add_known(known, "[", s->name, "]");
    return error_set(e, FAILURE_CONFIG, "%s:%u: unknown section [%s]; known are %s", at.file,
                     at.line, name, known);
}

static bool unknown_key(const struct config_reader *r, const char *name, struct ini_place at,
                        struct error *e)
{
    char known[KNOWN_TEXT_BYTES] = "";

    for (const struct config_key *k = r->section->keys; k->name; k++)
        add_known(known, "", k->name, "");
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

static bool finish_section(struct config_reader *r, struct error *e)
{
    const struct config_section *s = r->section;
    struct error inner = {0};

    if (!s)
        return true;
    for (size_t i = 0; s->keys[i].name; i++) {
        if (is_required(s->keys[i].count) && r->key_lines[i] == 0)
            return error_set(e, FAILURE_CONFIG, "%s:%u: [%s] has no %s; expected is %s = Value",
                             r->path, r->section_line, s->name, s->keys[i].name, s->keys[i].name);
    }
    if (s->finish && !s->finish(r, r->object, &inner))
        return error_set(e, FAILURE_CONFIG, "%s:%u: %s", r->path, r->section_line, inner.text);
    r->section = NULL;
    return true;
}

static bool on_section(void *arg, const char *name, struct ini_place at, struct error *e)
{
    struct config_reader *r = arg;
    const struct config_section *s = r->sections;

    if (!finish_section(r, e))
        return false;
    while (s->name && strcasecmp(s->name, name) != 0)
        s++;
    if (!s->name)
        return unknown_section(r, name, at, e);

    unsigned *first_line = &r->section_lines[s - r->sections];
    if (!may_repeat(s->count) && *first_line != 0)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: [%s] is there twice, first at line %u; expected is one", at.file,
                         at.line, s->name, *first_line);
    if (*first_line == 0)
        *first_line = at.line;
    r->section = s;
    r->section_line = at.line;
    memset(r->key_lines, 0, sizeof r->key_lines);
    r->object = s->begin(r);
    return r->object || no_memory(r, e);
}

static bool on_key(void *arg, const char *name, const char *value, struct ini_place at,
                   struct error *e)
{
    struct config_reader *r = arg;
    const struct config_key *k = r->section->keys;
    struct error inner = {0};

    while (k->name && strcasecmp(k->name, name) != 0)
        k++;
    if (!k->name)
        return unknown_key(r, name, at, e);

    unsigned *line = &r->key_lines[k - r->section->keys];
    if (!may_repeat(k->count) && *line != 0)
        return error_set(e, FAILURE_CONFIG,
                         "%s:%u: '%s' is there twice in [%s], first at line %u; expected is one",
                         at.file, at.line, k->name, r->section->name, *line);
    *line = at.line;
    if (!k->parse(r, (char *)r->object + k->offset, value, &inner))
        return error_set(e, FAILURE_CONFIG, "%s:%u: %s: %s", at.file, at.line, k->name, inner.text);
    return true;
}

static bool check_sections_there(const struct config_reader *r, struct error *e)
{
    for (size_t i = 0; r->sections[i].name; i++) {
        if (is_required(r->sections[i].count) && r->section_lines[i] == 0)
            return error_set(e, FAILURE_CONFIG, "%s: there is no section [%s]; it is required",
                             r->path, r->sections[i].name);
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
        return error_set(e, FAILURE_CONFIG, "no memory to read it");
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
                             "%s:%u: [%s] with the name '%s' is there twice, first at line %u; "
                             "expected is one",
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
                             "expected is one key for each",
                             r->path, b->line, b->section->name, a->section->name, a->line);
    }
    return true;
}

static bool check_own_key(const struct config_reader *r, const uint8_t own_key[KEY_BYTES],
                          const char *own_kind, struct error *e)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].has_key && memcmp(r->peers[i].public_key, own_key, KEY_BYTES) == 0)
            return error_set(e, FAILURE_CONFIG,
                             "%s:%u: the PublicKey of this [%s] is the key of this %s itself; "
                             "expected is the other party's",
                             r->path, r->peers[i].line, r->peers[i].section->name, own_kind);
    }
    return true;
}

bool config_read(struct config_reader *r, const struct keypair *own_key, const char *own_kind,
                 struct error *e)
{
    bool good = read_sections(r, e) && check_own_key(r, own_key->public_key, own_kind, e) &&
                check_names(r, e) && check_keys(r, e);

    free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
    return good;
}

/* What the tables are made of. */

void *array_append(void *items, size_t *count, size_t item_bytes)
{
    /* Full whenever the count is 0 or a power of two: then it doubles. */
    if ((*count & (*count - 1)) == 0) {
        size_t room = *count == 0 ? 1 : 2 * *count;
        if (room > SIZE_MAX / item_bytes)
            return NULL;
        items = realloc(items, room * item_bytes);
        if (!items)
            return NULL;
    }
    memset((char *)items + *count * item_bytes, 0, item_bytes);
    *count += 1;
    return items;
}

char *config_path(const char *file, const char *path)
{
    char *expanded = file_expand_home(path), *whole = NULL;
    const char *slash = strrchr(file, '/');

    if (!expanded || *expanded == '/' || !slash)
        return expanded;
    if (asprintf(&whole, "%.*s/%s", (int)(slash - file), file, expanded) < 0)
        whole = NULL;
    free(expanded);
    return whole;
}

bool parse_name(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_name(field, value, e);
}

bool parse_public_key(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    if (public_key_from_text(field, view_of_string(value)))
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "'%s' is not a public key: 44 characters of base64, as 'spx key public FILE' "
                     "shows it",
                     value);
}

bool parse_key_file(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char *path = config_path(r->path, value);

    if (!path)
        return error_set(e, FAILURE_CONFIG, "no memory to read it");
    bool good = keypair_load(field, path, e);
    free(path);
    return good;
}

bool parse_labels(struct config_reader *r, void *field, const char *value, struct error *e)
{
    size_t len = strlen(value);

    (void)r;
    if (len >= LABELS_BYTES)
        return error_set(e, FAILURE_CONFIG, "is %zu bytes long; expected are at most %d", len,
                         LABELS_BYTES - 1);
    if (!text_is_clean(view_of(value, len)))
        return error_set(e, FAILURE_CONFIG,
                         "'%s' holds control characters; expected are words such as site=boston",
                         value);
    char **labels = field;
    *labels = strdup(value);
    return *labels || error_set(e, FAILURE_CONFIG, "no memory to read it");
}

bool parse_path(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char **path = field;

    *path = config_path(r->path, value);
    return *path || error_set(e, FAILURE_CONFIG, "no memory to read it");
}

bool parse_relay_address(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_host_port(field, value, RELAY_DEFAULT_PORT, e);
}

struct listen_list {
    struct address **listen;
    size_t *count;
};

static bool append_one_listen(void *arg, const char *item, struct error *e)
{
    struct listen_list *list = arg;
    struct address *grown = array_append(*list->listen, list->count, sizeof *grown);

    if (!grown)
        return error_set(e, FAILURE_CONFIG, "no memory to read it");
    *list->listen = grown;
    return value_listen(&grown[*list->count - 1], item, "::", e);
}

bool append_listen(struct address **listen, size_t *count, const char *value, struct error *e)
{
    struct listen_list list = {listen, count};

    return value_list(value, append_one_listen, &list, e);
}
