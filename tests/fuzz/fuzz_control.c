/* libFuzzer: requests to a control socket, which any program of those who may connect can send. */
#include <stdlib.h>
#include <string.h>

#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

static const struct control_argument arguments[] = {
    {"what", JSON_TEXT, true}, {"for_s", JSON_NUMBER, false}, {"all", JSON_TRUTH, false}, {0}};

static const struct control_verb verbs[] = {
    {"end", arguments, control_watch}, {"watch", NULL, control_watch}, {0}};

/* A verb is found only with the members that it has, each of its kind. */
static void check(const struct control_verb *v, const struct json_object *o)
{
    const struct json_member *m = json_find(o, "what");
    require(v == &verbs[0] || v == &verbs[1]);
    require((v == &verbs[0]) == (m != NULL));
    require(!m || m->kind == JSON_TEXT);
    m = json_find(o, "for_s");
    require(!m || (v == &verbs[0] && m->kind == JSON_NUMBER));
    m = json_find(o, "all");
    require(!m || (v == &verbs[0] && m->kind == JSON_TRUTH));
    require(o->count <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object o;
    struct error e = {0};
    const struct control_verb *v = NULL;
    char *line = malloc(size + 1); /* of its own, so that a look beyond its end is seen */
    require(line != NULL);
    memcpy(line, data, size);
    if (json_read(&o, view_of(line, size), &e))
        v = control_find_verb(verbs, &o, &e);
    if (v)
        check(v, &o);
    else
        require(e.failure != FAILURE_NONE && e.text[0]);
    free(line);
    return 0;
}
