/* HTTP requests to the proxy of -D (RFC 9110 sections 7 and 9.3.6, RFC 9112): CONNECT, and http://
 * requests in absolute form, which the server gets as if the application had connected to it. One
 * request a connection, for the next may be for another server. An engine without I/O. */
#ifndef SPX_FORWARD_HTTP_REQUEST_H
#define SPX_FORWARD_HTTP_REQUEST_H

#include <stdbool.h>

#include "base/bytes.h"

#define HTTP_HEAD_MAX_BYTES 8192 /* request line and header */
#define HTTP_AUTHORITY_BYTES 320

enum http_body_state {
    BODY_DONE,     /* nothing more belongs to the request */
    BODY_LENGTH,   /* as many bytes as Content-Length says */
    CHUNK_SIZE,    /* chunked: the digits of a size */
    CHUNK_REST,    /* what follows them in the line */
    CHUNK_DATA,    /* as many bytes as the size says */
    CHUNK_END,     /* the end of the line after them */
    TRAILER_BEGIN, /* after the last chunk: the beginning of a line */
    TRAILER_LINE,
};

/* How far the body of a request has come. */
struct http_body {
    enum http_body_state state;
    unsigned digits;
    uint64_t left;
    bool surplus; /* bytes came that belong to no body */
};

/* A request's head as it stands in its bytes: the views point into them. */
struct http_request {
    bool connect;
    struct view method, path, version, header; /* header: the lines after the first */
    char authority[HTTP_AUTHORITY_BYTES];      /* HOST, HOST:PORT */
    struct http_body body;
};

/* Reads a head that is whole, with the empty line at its end. NULL, or what is wrong with it. */
const char *http_read(struct http_request *r, struct view head);

/* Writes the head of a request that is not CONNECT as its server expects it, so that it closes the
 * connection after its answer. Returns the number of bytes. */
#define HTTP_REWRITTEN_MAX_BYTES(head_len) (2 * ((head_len) + HTTP_AUTHORITY_BYTES))
size_t http_rewrite(const struct http_request *r, char *out);

/* So many of the next bytes belong to the request. If these are not all of them, no more will, and
 * there is a surplus. */
size_t http_body_take(struct http_body *b, struct view bytes);

#endif
