/* The proxy protocols that -D speaks, told apart by the first byte: SOCKS version 5 (RFC 1928:
 * CONNECT and UDP ASSOCIATE, without authentication) and HTTP (forward/http_request.h). An engine
 * without I/O: bytes in, a decision out. Names of targets are never looked up here. */
#ifndef SPX_FORWARD_PROXY_H
#define SPX_FORWARD_PROXY_H

#include "base/bytes.h"
#include "config/values.h"
#include "forward/http_request.h"
#include "wire/codes.h"

#define PROXY_SOCKS_MAX_BYTES 262 /* the longest message of SOCKS */
#define PROXY_ANSWER_BYTES 512
#define PROXY_WHY_BYTES 192

enum proxy_phase { PROXY_FIRST, SOCKS_METHODS, SOCKS_REQUEST, HTTP_REQUEST };

enum proxy_decision {
    PROXY_MORE,      /* what came is not whole yet */
    PROXY_ANSWER,    /* send the answer, then go on with the rest and what comes */
    PROXY_OPEN,      /* open the target; the rest is the application's data */
    PROXY_REQUEST,   /* open the target; it gets the request rewritten, and then its body alone */
    PROXY_ASSOCIATE, /* open a UDP socket for the application (RFC 1928 section 7) */
    PROXY_REFUSE,    /* send the answer, if there is one, and close: why says what was wrong */
};

/* All zero bytes are one that has seen nothing. */
struct proxy {
    enum proxy_phase phase;
    size_t searched;      /* HTTP: of the bytes there, how many hold no end of the header */
    struct target target; /* PROXY_OPEN, PROXY_REQUEST */
    struct http_body body;
    bool plain;                /* it was PROXY_REQUEST */
    char why[PROXY_WHY_BYTES]; /* PROXY_REFUSE */
    char answer[PROXY_ANSWER_BYTES];
    size_t answer_len;
};

/* Looks at all bytes that came and were not used; *used: so many of the first are done with.
 * PROXY_MORE never comes for HTTP_HEAD_MAX_BYTES bytes. Not to be called after PROXY_OPEN,
 * PROXY_REQUEST or PROXY_REFUSE. */
enum proxy_decision proxy_take(struct proxy *p, struct view bytes, size_t *used);

/* After PROXY_REQUEST: what the target gets in place of the bytes that it used, and of those behind
 * them as many as belong to the request. Returns the number of bytes. */
#define PROXY_REQUEST_MAX_BYTES(used, behind) (HTTP_REWRITTEN_MAX_BYTES(used) + (behind))
size_t proxy_request(struct proxy *p, struct view used, struct view behind, uint8_t *out);

/* Writes the answer to a request after PROXY_OPEN or PROXY_REQUEST, whose success has none of this
 * side: code 0, the stream is open; otherwise the code and text of its RESET. */
void proxy_settle(struct proxy *p, enum reset_code code, const char *text);

/* The answer to a request after PROXY_ASSOCIATE: the UDP socket is there, at this address. When
 * there is none proxy_settle answers. */
void proxy_associated(struct proxy *p, const struct address *bound);

/* Takes the head off a datagram of the application: whom it is for, and the bytes of the head that
 * stand for that (kind, address, port). False: it is malformed, or a fragment. */
bool proxy_datagram(struct view *datagram, struct target *target, struct view *named);

/* Writes the head of an answer from whom those bytes name; how long it is. */
size_t proxy_datagram_head(uint8_t out[PROXY_SOCKS_MAX_BYTES], const uint8_t *named);

#endif
