/* Requests of HTTP/1: the head read and written again for the server, the body measured. */
#include "forward/http_request.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

#define SIZE_DIGITS_MAX 15 /* of a chunk; far below the end of 64 bits */
#define LENGTH_DIGITS_MAX 18

static const char malformed[] = "the HTTP request is malformed";

static struct view part_of(struct view bytes, size_t from, size_t to)
{
    return view_of(bytes.data + from, to - from);
}

/* The number of bytes before the first of this kind, or all. */
static size_t find_byte(struct view bytes, char c)
{
    const uint8_t *at = bytes.len ? memchr(bytes.data, c, bytes.len) : NULL;
    return at ? (size_t)(at - bytes.data) : bytes.len;
}

static bool is_text(struct view v, const char *text)
{
    return v.len == strlen(text) && strncasecmp((const char *)v.data, text, v.len) == 0;
}

static bool begins_with(struct view v, const char *text)
{
    return v.len >= strlen(text) && is_text(part_of(v, 0, strlen(text)), text);
}

/* Takes a line off the front, which ends with LF, with or without CR (RFC 9112 section 2.2). */
static struct view next_line(struct view *rest)
{
    size_t end = find_byte(*rest, '\n');
    struct view line = part_of(*rest, 0, end);
    *rest = part_of(*rest, end < rest->len ? end + 1 : end, rest->len);
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- The request line. ---- */

static bool has_controls(struct view line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
            return true;
    return false;
}

static bool is_method(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.data[i] <= ' ' || v.data[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", v.data[i]))
            return false;
    return v.len > 0;
}

static bool is_version(struct view v)
{
    return v.len == 8 && memcmp(v.data, "HTTP/1.", 7) == 0 && v.data[7] >= '0' && v.data[7] <= '9';
}

static const char *set_authority(struct http_request *r, struct view authority)
{
    if (authority.len >= sizeof r->authority)
        return "the HTTP request names a host that is too long";
    memcpy(r->authority, authority.data, authority.len);
    r->authority[authority.len] = '\0';
    return NULL;
}

/* "http://HOST:PORT/PATH" */
static const char *read_absolute(struct http_request *r, struct view target)
{
    static const char scheme[] = "http://";
    size_t end = 0;
    if (begins_with(target, "https://"))
        return "an https:// address takes HTTP CONNECT";
    if (begins_with(target, "/"))
        return "this is a proxy, not a web server: an application names it as SOCKS 5 or HTTP "
               "proxy";
    if (!begins_with(target, scheme))
        return "the HTTP request is neither CONNECT HOST:PORT nor for an http:// address";
    target = part_of(target, sizeof scheme - 1, target.len);
    while (end < target.len && !memchr("/?#", target.data[end], 3))
        end++;
    r->path = part_of(target, end, target.len);
    return set_authority(r, part_of(target, 0, end));
}

static const char *read_line(struct http_request *r, struct view line)
{
    size_t method = find_byte(line, ' '), target;
    struct view rest;
    if (has_controls(line) || method == line.len)
        return malformed;
    r->method = part_of(line, 0, method);
    rest = part_of(line, method + 1, line.len);
    target = find_byte(rest, ' ');
    if (target == rest.len || !is_method(r->method))
        return malformed;
    r->version = part_of(rest, target + 1, rest.len);
    if (!is_version(r->version))
        return "the HTTP request is not of version 1";
    r->connect = r->method.len == 7 && memcmp(r->method.data, "CONNECT", 7) == 0;
    rest = part_of(rest, 0, target);
    return r->connect ? set_authority(r, rest) : read_absolute(r, rest);
}

/* ---- The header. ---- */

/* "Name: value"; false: it is not one. */
static bool cut_field(struct view line, struct view *name, struct view *value)
{
    size_t colon = find_byte(line, ':');
    if (colon == line.len)
        return false;
    *name = part_of(line, 0, colon);
    *value = part_of(line, colon + 1, line.len);
    while (value->len && (*value->data == ' ' || *value->data == '\t'))
        *value = part_of(*value, 1, value->len);
    while (value->len &&
           (value->data[value->len - 1] == ' ' || value->data[value->len - 1] == '\t'))
        value->len--;
    return is_method(*name); /* the same characters */
}

/* Fields that are meant for the proxy, or for one connection (RFC 9110 section 7.6.1); Host is made
 * anew.
 */
static bool is_dropped(struct view name)
{
    static const char *const names[] = {
        "Host",    "Connection",     "Proxy-Connection",   "Keep-Alive",          "TE",
        "Upgrade", "HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_text(name, names[i]))
            return true;
    return false;
}

static bool read_length(struct http_body *b, struct view value)
{
    if (value.len > LENGTH_DIGITS_MAX || !text_number(&b->left, value, 0, UINT64_MAX))
        return false;
    b->state = b->left ? BODY_LENGTH : BODY_DONE;
    return true;
}

/* How long the body is must be said once, and in one way: the server must not see another end of
 * the request than this does. */
static const char *read_header(struct http_request *r)
{
    struct view rest = r->header;
    bool sized = false;
    for (struct view line = next_line(&rest), name, value; line.len; line = next_line(&rest)) {
        bool length, chunked;
        if (has_controls(line) || !cut_field(line, &name, &value))
            return malformed;
        length = is_text(name, "Content-Length");
        chunked = is_text(name, "Transfer-Encoding");
        if ((length || chunked) && sized)
            return "the HTTP request says twice how long it is";
        if ((length && !read_length(&r->body, value)) || (chunked && !is_text(value, "chunked")))
            return "the HTTP request does not say how long it is";
        sized = sized || length || chunked;
        if (chunked)
            r->body.state = CHUNK_SIZE;
    }
    return NULL;
}

const char *http_read(struct http_request *r, struct view head)
{
    const char *why;
    *r = (struct http_request){.header = head};
    why = read_line(r, next_line(&r->header));
    return why || r->connect ? why : read_header(r);
}

static void put(char **out, struct view v)
{
    if (v.len)
        memcpy(*out, v.data, v.len);
    *out += v.len;
}

static void put_text(char **out, const char *text)
{
    put(out, view_of_string(text));
}

/* An empty path is "/", or "*" for OPTIONS (RFC 9112 section 3.2.4). */
static void put_line(const struct http_request *r, char **out)
{
    bool slash = r->path.len && *r->path.data == '/';
    put(out, r->method);
    put_text(out, slash ? " " : !r->path.len && is_text(r->method, "OPTIONS") ? " *" : " /");
    put(out, r->path);
    put_text(out, " ");
    put(out, r->version);
    put_text(out, "\r\nHost: ");
    put_text(out, r->authority);
    put_text(out, "\r\n");
}

size_t http_rewrite(const struct http_request *r, char *out)
{
    char *at = out;
    struct view rest = r->header;
    put_line(r, &at);
    for (struct view line = next_line(&rest); line.len; line = next_line(&rest)) {
        if (is_dropped(part_of(line, 0, find_byte(line, ':'))))
            continue;
        put(&at, line);
        put_text(&at, "\r\n");
    }
    put_text(&at, "Connection: close\r\n\r\n");
    return (size_t)(at - out);
}

/* ---- The body. ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_size(struct http_body *b, uint8_t c)
{
    int digit = hex_digit(c);
    if (digit >= 0 && b->digits < SIZE_DIGITS_MAX) {
        b->left = 16 * b->left + (unsigned)digit;
        b->digits++;
    } else if (digit >= 0 || !b->digits) {
        b->state = BODY_DONE; /* malformed: the server is told no more */
    } else {
        b->state = c != '\n' ? CHUNK_REST : b->left ? CHUNK_DATA : TRAILER_BEGIN;
    }
}

/* One byte outside of the data. */
static void take_frame(struct http_body *b, uint8_t c)
{
    switch (b->state) {
    case CHUNK_SIZE:
        take_size(b, c);
        break;
    case CHUNK_REST:
        if (c == '\n')
            b->state = b->left ? CHUNK_DATA : TRAILER_BEGIN;
        break;
    case CHUNK_END:
        if (c == '\n')
            *b = (struct http_body){.state = CHUNK_SIZE};
        else if (c != '\r')
            b->state = BODY_DONE;
        break;
    case TRAILER_BEGIN:
        if (c != '\r')
            b->state = c == '\n' ? BODY_DONE : TRAILER_LINE;
        break;
    case TRAILER_LINE:
        if (c == '\n')
            b->state = TRAILER_BEGIN;
        break;
    case BODY_DONE:
    case BODY_LENGTH:
    case CHUNK_DATA:
    default:
        break;
    }
}

size_t http_body_take(struct http_body *b, struct view bytes)
{
    size_t at = 0;
    while (at < bytes.len && b->state != BODY_DONE) {
        if (b->state == BODY_LENGTH || b->state == CHUNK_DATA) {
            size_t n = bytes.len - at < b->left ? bytes.len - at : (size_t)b->left;
            at += n;
            b->left -= n;
            if (!b->left)
                b->state = b->state == CHUNK_DATA ? CHUNK_END : BODY_DONE;
        } else {
            take_frame(b, bytes.data[at++]);
        }
    }
    b->surplus = b->surplus || at < bytes.len;
    return at;
}
