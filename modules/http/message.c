/* Requests over http_parser: its callbacks keep what is wanted, and refuse what is not. */
#include "http/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <http_parser.h>

#define NAME_BYTES 24 /* longer than the name of any field that is kept */

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_HOST] = "host",
    [FIELD_ORIGIN] = "origin",
    [FIELD_AUTHORIZATION] = "authorization",
    [FIELD_CONTENT_TYPE] = "content-type",
    [FIELD_FETCH_SITE] = "sec-fetch-site",
    [FIELD_TRANSFER_ENCODING] = "transfer-encoding",
};

struct http_reader {
    struct http_parser parser;
    struct http_message message;
    size_t header_len; /* bytes that were taken before the body */
    bool in_header, whole;
    unsigned status; /* of what is wrong; 0: nothing */
    const char *why;
    /* The field that comes in. */
    char name[NAME_BYTES];
    size_t name_len, value_len;
    bool in_value, seen[FIELD_COUNT];
    enum http_field field; /* in_value: FIELD_COUNT, if it is not kept */
};

/* Returns what makes http_parser stop; 1 and 2 have other meanings in some of its calls. */
static int refuse(struct http_reader *r, unsigned status, const char *why)
{
    if (r->status == 0) {
        r->status = status;
        r->why = why;
    }
    return -1;
}

static bool is_printable(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return false;
    return true;
}

/* Appends to a text of `size` bytes with its NUL. False: it does not fit. */
static bool append(char *out, size_t size, size_t *len, struct view more)
{
    if (more.len >= size - *len)
        return false;
    if (more.len > 0)
        memcpy(out + *len, more.data, more.len);
    *len += more.len;
    out[*len] = '\0';
    return true;
}

/* ---- What http_parser calls. ---- */

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;
    size_t had = strlen(r->message.target);
    struct view more = view_of(at, len);
    if (!is_printable(more))
        return refuse(r, 400, "the request's target is no text");
    if (!append(r->message.target, HTTP_TARGET_BYTES, &had, more))
        return refuse(r, 414, "the request's target is too long");
    return 0;
}

/* A name that is too long is that of no field that is kept. */
static int on_name(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;
    if (r->in_value)
        r->name_len = 0;
    r->in_value = false;
    if (!append(r->name, NAME_BYTES, &r->name_len, view_of(at, len)))
        r->name_len = NAME_BYTES - 1;
    return 0;
}

static enum http_field find_field(const struct http_reader *r)
{
    int i = 0;
    while (i < FIELD_COUNT && (strlen(field_names[i]) != r->name_len ||
                               strncasecmp(field_names[i], r->name, r->name_len) != 0))
        i++;
    return (enum http_field)i;
}

static int begin_value(struct http_reader *r)
{
    r->in_value = true;
    r->value_len = 0;
    r->field = find_field(r);
    if (r->field == FIELD_COUNT)
        return 0;
    if (r->seen[r->field])
        return refuse(r, 400, "a field of the header comes twice");
    r->seen[r->field] = true;
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;
    struct view more = view_of(at, len);
    if (!r->in_value && begin_value(r) != 0)
        return -1;
    if (r->field == FIELD_COUNT)
        return 0;
    if (!is_printable(more))
        return refuse(r, 400, "a field of the header is no text");
    if (!append(r->message.fields[r->field], HTTP_VALUE_BYTES, &r->value_len, more))
        return refuse(r, 431, "a field of the header is too long");
    return 0;
}

static int on_header_end(http_parser *parser)
{
    struct http_reader *r = parser->data;
    r->in_header = false;
    if (parser->http_major != 1 || parser->http_minor < 1)
        return refuse(r, 505, "expected HTTP/1.1");
    if (parser->upgrade)
        return refuse(r, 501, "no other protocol is spoken here");
    if (r->seen[FIELD_TRANSFER_ENCODING])
        return refuse(r, 411, "expected a Content-Length");
    if (r->message.target[0] != '/')
        return refuse(r, 400, "expected a target that begins with a slash");
    if (parser->content_length != UINT64_MAX && parser->content_length > HTTP_CONTENT_BYTES)
        return refuse(r, 413, "the request is too large");
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;
    struct http_message *m = &r->message;
    if (len > HTTP_CONTENT_BYTES - m->content_len)
        return refuse(r, 413, "the request is too large");
    memcpy(m->content + m->content_len, at, len);
    m->content_len += len;
    return 0;
}

static int on_end(http_parser *parser)
{
    struct http_reader *r = parser->data;
    r->message.method = http_method_str((enum http_method)parser->method);
    r->message.keeps = http_should_keep_alive(parser) != 0;
    r->whole = true;
    http_parser_pause(parser, 1); /* the next request waits until this one is answered */
    return 0;
}

static const http_parser_settings callbacks = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_header_end,
    .on_body = on_body,
    .on_message_complete = on_end,
};

/* ---- The reader. ---- */

void http_reader_next(struct http_reader *r)
{
    wipe(r, sizeof *r);
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->parser.data = r;
    r->in_header = true;
}

struct http_reader *http_reader_new(void)
{
    struct http_reader *r = malloc(sizeof *r);
    if (r)
        http_reader_next(r);
    return r;
}

void http_reader_free(struct http_reader *r)
{
    if (r)
        wipe(r, sizeof *r);
    free(r);
}

/* No more bytes than the header may still have: the bound does not depend on where they are cut. */
static struct view allowed(const struct http_reader *r, struct view bytes)
{
    size_t room = HTTP_HEADER_BYTES - r->header_len;
    return r->in_header && bytes.len > room ? view_of(bytes.data, room) : bytes;
}

static enum http_progress progress(struct http_reader *r)
{
    if (r->whole)
        return HTTP_READ;
    if (HTTP_PARSER_ERRNO(&r->parser) != HPE_OK)
        refuse(r, 400, "this is no request of HTTP/1.1");
    else if (r->in_header && r->header_len == HTTP_HEADER_BYTES)
        refuse(r, 431, "the request's header is too long");
    return r->status ? HTTP_MALFORMED : HTTP_MORE;
}

enum http_progress http_reader_take(struct http_reader *r, struct view bytes, size_t *used)
{
    enum http_progress so_far = HTTP_MORE;
    *used = 0;
    while (*used < bytes.len && so_far == HTTP_MORE) {
        struct view now = allowed(r, view_of(bytes.data + *used, bytes.len - *used));
        bool in_header = r->in_header;
        size_t taken = http_parser_execute(&r->parser, &callbacks, (const char *)now.data, now.len);
        *used += taken;
        r->header_len += in_header ? taken : 0;
        so_far = progress(r);
    }
    return so_far;
}

const struct http_message *http_reader_message(const struct http_reader *r)
{
    return &r->message;
}

unsigned http_reader_status(const struct http_reader *r, const char **why)
{
    *why = r->why;
    return r->status;
}
