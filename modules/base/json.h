/* JSON as spx writes it and reads it again: a flat object in a line (RFC 8259), whose values are
 * texts, whole numbers, true and false. */
#ifndef SPX_BASE_JSON_H
#define SPX_BASE_JSON_H

#include "base/bytes.h"
#include "base/error.h"

/* ---- Reading. ---- */

#define JSON_MEMBERS_MAX 48

enum json_kind { JSON_TEXT, JSON_NUMBER, JSON_TRUTH };

/* Views into the line: a text as it stands there, without its quotes. */
struct json_member {
    struct view name, value;
    enum json_kind kind;
};

struct json_object {
    struct json_member members[JSON_MEMBERS_MAX];
    size_t count;
};

/* Reads a line, without its newline. False: it is no such object, a name comes twice or is escaped,
 * a text holds what is no text (invalid UTF-8, a control character, U+0000), or a number does not
 * fit 64 bits; e (FAILURE_OTHER) says which. The views point into the line. */
bool json_read(struct json_object *o, struct view line, struct error *e);

/* NULL: there is none of this name. */
const struct json_member *json_find(const struct json_object *o, const char *name);

/* Each: false, out unchanged: there is no such member, it is of another kind, or it does not fit. A
 * text is decoded and terminated. */
bool json_get_text(const struct json_object *o, const char *name, char *out, size_t size);
bool json_get_number(const struct json_object *o, const char *name, uint64_t *out);
bool json_get_truth(const struct json_object *o, const char *name, bool *out);

/* ---- Writing. ---- */

/* A line under construction, in memory of its owner. */
struct json_line {
    char *out;
    size_t size, len;
    bool full; /* something did not fit */
};

/* Begins an object in `out`, of so many bytes, which outlives the line. */
void json_begin(struct json_line *l, char *out, size_t size);

/* name: a literal that needs no escaping. What is no UTF-8 in a text becomes '?'. */
void json_put_text(struct json_line *l, const char *name, const char *text);
void json_put_number(struct json_line *l, const char *name, uint64_t number);
void json_put_truth(struct json_line *l, const char *name, bool truth);

/* Ends it with "}" and a newline. Returns its length; 0: it did not fit. Not terminated. */
size_t json_end(struct json_line *l);

#endif
