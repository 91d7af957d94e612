/* A request of HTTP/1.1 (RFC 9112) as it comes in, byte by byte: bounded in all that it may hold.
 * An engine without I/O, over http_parser. */
#ifndef SPX_HTTP_MESSAGE_H
#define SPX_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

/* Bounds: of the request line and the header together; of the target; of the value of a field that
 * is kept; of a body. Those of text leave room for a NUL. */
#define HTTP_HEADER_BYTES 32768 /* browsers send the cookies of every program on this machine */
#define HTTP_TARGET_BYTES 257
#define HTTP_VALUE_BYTES 513
#define HTTP_CONTENT_BYTES 4096

/* The fields that are kept; any other is read and forgotten. */
enum http_field {
    FIELD_HOST,
    FIELD_ORIGIN,
    FIELD_AUTHORIZATION,
    FIELD_CONTENT_TYPE,
    FIELD_FETCH_SITE,        /* Sec-Fetch-Site */
    FIELD_TRANSFER_ENCODING, /* a request that has it is refused */
    FIELD_COUNT,
};

/* A whole request. */
struct http_message {
    const char *method;             /* "GET"; a literal */
    char target[HTTP_TARGET_BYTES]; /* begins with a '/', printable ASCII */
    /* Printable ASCII; "": the request has none. None comes twice. */
    char fields[FIELD_COUNT][HTTP_VALUE_BYTES];
    uint8_t content[HTTP_CONTENT_BYTES];
    size_t content_len;
    bool keeps; /* the connection may be used again after the answer */
};

enum http_progress {
    HTTP_MORE,      /* the request is not whole yet */
    HTTP_READ,      /* it is */
    HTTP_MALFORMED, /* or too large, or nothing that this module takes: it is the last */
};

struct http_reader;

/* NULL without memory. */
struct http_reader *http_reader_new(void);

/* Wipes and frees: what came in may be a secret. NULL is harmless. */
void http_reader_free(struct http_reader *r);

/* Takes bytes up to the end of a request: *used of them. */
enum http_progress http_reader_take(struct http_reader *r, struct view bytes, size_t *used);

/* After HTTP_READ, until http_reader_next. */
const struct http_message *http_reader_message(const struct http_reader *r);

/* After HTTP_MALFORMED: the status of the answer, and why, a literal. */
unsigned http_reader_status(const struct http_reader *r, const char **why);

/* Another request is read, from its beginning on; after HTTP_READ only. */
void http_reader_next(struct http_reader *r);

#endif
