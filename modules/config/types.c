/* The types of fields that keys of several sections have: their parsers, and when two values are
 * the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/files.h"
#include "base/text.h"
#include "config/schema.h"
#include "crypto/authority_key.h"
#include "guard/user.h"

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

static bool parse_name(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_name(field, value, e);
}

/* Keys in the examples begin so, and nobody has the private one. */
#define EXAMPLE_KEY "PUBLIC/KEY/OF/"

bool parse_public_key(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    if (strncmp(value, EXAMPLE_KEY, strlen(EXAMPLE_KEY)) == 0)
        return error_set(e, FAILURE_CONFIG,
                         "'%s' stands for a key; put here what 'spx key public FILE' shows", value);
    if (public_key_from_text(field, view_of_string(value)))
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "'%s' is not a public key: 44 characters of base64, as 'spx key public FILE' "
                     "shows it",
                     value);
}

static bool parse_authority_key(struct config_reader *r, void *field, const char *value,
                                struct error *e)
{
    (void)r;
    if (authority_from_text(field, view_of_string(value)))
        return true;
    return error_set(e, FAILURE_CONFIG,
                     "'%s' is not an authority's public key: 88 characters of base64, as 'spx key "
                     "public FILE' shows it",
                     value);
}

static bool parse_key_file(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char *path = config_path(r->path, value);
    if (!path)
        return error_no_memory(e);
    bool good =
        access(path, F_OK) == 0 || errno != ENOENT
            ? keypair_load(field, path, e)
            : error_set(e, FAILURE_CONFIG, "no key at %s: 'spx key new %s' makes one", path, path);
    free(r->key_path);
    r->key_path = path;
    return good;
}

static bool parse_labels(struct config_reader *r, void *field, const char *value, struct error *e)
{
    size_t len = strlen(value);
    (void)r;
    if (len >= LABELS_BYTES)
        return error_set(e, FAILURE_CONFIG, "too long: %zu bytes; expected at most %d", len,
                         LABELS_BYTES - 1);
    if (!text_is_clean(view_of(value, len)))
        return error_set(e, FAILURE_CONFIG,
                         "'%s' holds control characters; expected words such as site=boston",
                         value);
    char **labels = field;
    *labels = strdup(value);
    return *labels || error_no_memory(e);
}

bool parse_path(struct config_reader *r, void *field, const char *value, struct error *e)
{
    char **path = field;
    *path = config_path(r->path, value);
    return *path || error_no_memory(e);
}

static bool copy_name(char **copy, const char *value, bool found, const char *kind, struct error *e)
{
    if (!found)
        return error_set(e, FAILURE_CONFIG, "no %s '%s' on this system", kind, value);
    *copy = strdup(value);
    return *copy || error_no_memory(e);
}

static bool parse_user(struct config_reader *r, void *field, const char *value, struct error *e)
{
    uint32_t uid;
    (void)r;
    return copy_name(field, value, guard_find_user(value, &uid), "user", e);
}

static bool parse_group(struct config_reader *r, void *field, const char *value, struct error *e)
{
    uint32_t gid;
    (void)r;
    return copy_name(field, value, guard_find_group(value, &gid), "group", e);
}

bool parse_relay_address(struct config_reader *r, void *field, const char *value, struct error *e)
{
    (void)r;
    return value_host_port(field, value, RELAY_DEFAULT_PORT, e);
}

static bool append_listen(void *arg, const char *item, struct error *e)
{
    struct address_list *list = arg;
    struct address *grown = array_append(list->items, &list->count, sizeof *grown);
    if (!grown)
        return error_no_memory(e);
    list->items = grown;
    return value_listen(&grown[list->count - 1], item, "::", e);
}

static bool parse_addresses(struct config_reader *r, void *field, const char *value,
                            struct error *e)
{
    (void)r;
    return value_list(value, append_listen, field, e);
}

/* When two are the same. */

static bool same_name(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

static bool same_key(const void *a, const void *b)
{
    const struct keypair *x = a, *y = b;
    return memcmp(x->public_key, y->public_key, KEY_BYTES) == 0;
}

bool same_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return *x && *y ? strcmp(*x, *y) == 0 : *x == *y;
}

static bool same_addresses(const void *a, const void *b)
{
    const struct address_list *x = a, *y = b;
    bool same = x->count == y->count;
    for (size_t i = 0; same && i < x->count; i++)
        same = x->items[i].len == y->items[i].len &&
               memcmp(&x->items[i].storage, &y->items[i].storage, x->items[i].len) == 0;
    return same;
}

static bool same_number(const void *a, const void *b)
{
    return *(const uint32_t *)a == *(const uint32_t *)b;
}

const struct config_type config_name = {parse_name, same_name, NAME_TEXT_BYTES};
const struct config_type config_public_key = {parse_public_key, NULL, KEY_BYTES};
const struct config_type config_authority_key = {.parse = parse_authority_key};
const struct config_type config_key_file = {parse_key_file, same_key, sizeof(struct keypair)};
const struct config_type config_labels = {parse_labels, same_text, sizeof(char *)};
const struct config_type config_any_path = {parse_path, same_text, sizeof(char *)};
const struct config_type config_user = {parse_user, same_text, sizeof(char *)};
const struct config_type config_group = {parse_group, same_text, sizeof(char *)};
const struct config_type config_relay_address = {parse_relay_address, NULL,
                                                 sizeof(struct host_port)};
const struct config_type config_addresses = {parse_addresses, same_addresses,
                                             sizeof(struct address_list)};
const struct config_type config_number = {NULL, same_number, sizeof(uint32_t)};
