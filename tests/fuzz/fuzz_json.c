/* libFuzzer: lines of JSON that other programs write. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

/* Each member in its kind, decoded: valid UTF-8, not longer than it stood there. */
static void write_member(struct json_line *l, const struct json_object *o,
                         const struct json_member *m, const char *name, char *room, size_t size)
{
    uint64_t number;
    bool truth;
    if (m->kind == JSON_TEXT) {
        require(json_get_text(o, name, room, size));
        require(strlen(room) <= m->value.len && utf8_valid(view_of_string(room)));
        json_put_text(l, name, room);
    } else if (m->kind == JSON_NUMBER) {
        require(json_get_number(o, name, &number));
        json_put_number(l, name, number);
    } else {
        require(json_get_truth(o, name, &truth));
        json_put_truth(l, name, truth);
    }
}

/* Written again and read again, it is the same. */
static void again(const struct json_object *o, size_t size)
{
    size_t room = 6 * size + 64; /* an escape for each byte */
    char *out = malloc(room), *text = malloc(size + 1), *name = malloc(size + 1);
    struct json_object other;
    struct json_line l;
    struct error e = {0};
    require(out && text && name);
    json_begin(&l, out, room);
    for (size_t i = 0; i < o->count; i++) {
        memcpy(name, o->members[i].name.data, o->members[i].name.len);
        name[o->members[i].name.len] = '\0';
        write_member(&l, o, &o->members[i], name, text, size + 1);
    }
    require(json_end(&l) > 0 && json_read(&other, view_of(out, l.len - 1), &e));
    require(other.count == o->count);
    free(name);
    free(text);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object o;
    struct error e = {0};
    char *line = malloc(size + 1); /* of its own, so that a look beyond its end is seen */
    require(line != NULL);
    memcpy(line, data, size);
    if (json_read(&o, view_of(line, size), &e))
        again(&o, size);
    else
        require(e.failure == FAILURE_OTHER && e.text[0]);
    free(line);
    return 0;
}
