/* SOCKS and HTTP CONNECT, byte for byte: what was asked, and what to answer. */
#include "forward/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/codes.h"

/* RFC 1928 sections 3 to 7. */
#define SOCKS_VERSION 5
#define SOCKS_COMMAND_CONNECT 1
#define SOCKS_COMMAND_ASSOCIATE 3
#define SOCKS_NO_AUTHENTICATION 0x00
#define SOCKS_NO_METHOD 0xff
#define SOCKS_METHODS_HEADER 2 /* version, number of methods */
#define SOCKS_ADDRESS_AT 3     /* behind version, command or reply, reserved; also in a datagram */
#define SOCKS_PORT_BYTES 2

enum socks_kind { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

enum socks_reply {
    SOCKS_SUCCEEDED = 0,
    SOCKS_FAILURE = 1,
    SOCKS_NOT_ALLOWED = 2,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_REFUSED = 5,
    SOCKS_EXPIRED = 6,
    SOCKS_NO_COMMAND = 7,
    SOCKS_NO_ADDRESS_KIND = 8,
};

static enum proxy_decision refuse_request(struct proxy *p, const char *why)
{
    p->why = why;
    return PROXY_REFUSE;
}

/* ---- SOCKS ---- */

static void socks_choose(struct proxy *p, uint8_t method)
{
    p->answer[0] = SOCKS_VERSION;
    p->answer[1] = (char)method;
    p->answer_len = 2;
}

static enum proxy_decision socks_methods(struct proxy *p, struct view bytes, size_t *used)
{
    size_t len;
    if (bytes.len < SOCKS_METHODS_HEADER)
        return PROXY_MORE;
    len = SOCKS_METHODS_HEADER + bytes.data[1];
    if (bytes.len < len)
        return PROXY_MORE;
    *used = len;
    p->phase = SOCKS_REQUEST;
    if (memchr(bytes.data + SOCKS_METHODS_HEADER, SOCKS_NO_AUTHENTICATION, bytes.data[1])) {
        socks_choose(p, SOCKS_NO_AUTHENTICATION);
        return PROXY_ANSWER;
    }
    socks_choose(p, SOCKS_NO_METHOD);
    return refuse_request(p, "the application asks for authentication, which is not offered");
}

/* Where the connection comes from at the agent is not told: 0.0.0.0:0. */
static void socks_reply(struct proxy *p, enum socks_reply reply)
{
    static const uint8_t rest[] = {0, SOCKS_IPV4, 0, 0, 0, 0, 0, 0};
    p->answer[0] = SOCKS_VERSION;
    p->answer[1] = (char)reply;
    memcpy(p->answer + 2, rest, sizeof rest);
    p->answer_len = 2 + sizeof rest;
}

static enum proxy_decision socks_refuse(struct proxy *p, enum socks_reply reply, const char *why)
{
    socks_reply(p, reply);
    return refuse_request(p, why);
}

/* A host and a port as they were named; false: they are none. */
static bool set_target(struct target *t, const char *kind, const char *host, uint16_t port)
{
    char text[TARGET_TEXT_BYTES];
    struct error ignored = {0};
    bool brackets = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof text, "%s:%s%s%s:%u", kind, brackets ? "[" : "", host,
                       brackets ? "]" : "", port);
    return len > 0 && (size_t)len < sizeof text && value_target(t, text, &ignored);
}

/* The dot at the end of an absolute name is not part of a target. */
static void cut_last_dot(char *host, size_t len)
{
    if (len > 1 && host[len - 1] == '.')
        host[len - 1] = '\0';
}

/* Kind, address or name, port: where they stand in a request or in the head of a datagram. */
struct socks_address {
    enum socks_kind kind;
    const uint8_t *host; /* the port follows */
    size_t host_len;
    size_t len; /* of all */
};

enum address_result { ADDRESS_WHOLE, ADDRESS_MORE, ADDRESS_NO_KIND };

static enum address_result read_address(struct socks_address *a, struct view bytes)
{
    if (bytes.len < 2)
        return ADDRESS_MORE;
    a->host = bytes.data + 1;
    a->kind = (enum socks_kind)bytes.data[0];
    switch (a->kind) {
    case SOCKS_IPV4:
        a->host_len = sizeof(struct in_addr);
        break;
    case SOCKS_IPV6:
        a->host_len = sizeof(struct in6_addr);
        break;
    case SOCKS_NAME:
        a->host_len = *a->host++;
        break;
    default:
        return ADDRESS_NO_KIND;
    }
    a->len = (size_t)(a->host - bytes.data) + a->host_len + SOCKS_PORT_BYTES;
    return bytes.len < a->len ? ADDRESS_MORE : ADDRESS_WHOLE;
}

/* An address, or a name that the agent looks up; false: it is none. */
static bool address_to_target(struct target *t, const char *kind, const struct socks_address *a)
{
    char host[HOST_TEXT_BYTES] = "";
    if (a->kind != SOCKS_NAME) {
        inet_ntop(a->kind == SOCKS_IPV4 ? AF_INET : AF_INET6, a->host, host, sizeof host);
    } else if (memchr(a->host, '\0', a->host_len)) {
        return false;
    } else {
        memcpy(host, a->host, a->host_len); /* at most 255 */
        host[a->host_len] = '\0';
        cut_last_dot(host, a->host_len);
    }
    return set_target(t, kind, host, load_be16(a->host + a->host_len));
}

static enum proxy_decision socks_request(struct proxy *p, struct view bytes, size_t *used)
{
    struct socks_address a;
    if (bytes.len <= SOCKS_ADDRESS_AT)
        return PROXY_MORE;
    if (bytes.data[0] != SOCKS_VERSION)
        return socks_refuse(p, SOCKS_FAILURE, "the SOCKS request is not of version 5");
    switch (
        read_address(&a, view_of(bytes.data + SOCKS_ADDRESS_AT, bytes.len - SOCKS_ADDRESS_AT))) {
    case ADDRESS_MORE:
        return PROXY_MORE;
    case ADDRESS_NO_KIND:
        return socks_refuse(p, SOCKS_NO_ADDRESS_KIND, "SOCKS has no such kind of address");
    case ADDRESS_WHOLE:
    default:
        break;
    }
    *used = SOCKS_ADDRESS_AT + a.len;
    if (bytes.data[1] == SOCKS_COMMAND_ASSOCIATE)
        return PROXY_ASSOCIATE; /* where from it will send is not needed: most do not know yet */
    if (bytes.data[1] != SOCKS_COMMAND_CONNECT)
        return socks_refuse(p, SOCKS_NO_COMMAND,
                            "of SOCKS only CONNECT and UDP ASSOCIATE are supported");
    if (!address_to_target(&p->target, "tcp", &a))
        return socks_refuse(p, SOCKS_HOST_UNREACHABLE, "the SOCKS request names no host");
    return PROXY_OPEN;
}

void proxy_associated(struct proxy *p, const struct address *bound)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&bound->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&bound->storage;
    bool ipv4 = bound->storage.ss_family == AF_INET;
    const void *host = ipv4 ? (const void *)&in->sin_addr : (const void *)&in6->sin6_addr;
    size_t len = ipv4 ? sizeof in->sin_addr : sizeof in6->sin6_addr;
    socks_reply(p, SOCKS_SUCCEEDED);
    p->answer[SOCKS_ADDRESS_AT] = ipv4 ? SOCKS_IPV4 : SOCKS_IPV6;
    memcpy(p->answer + SOCKS_ADDRESS_AT + 1, host, len);
    store_be16((uint8_t *)p->answer + SOCKS_ADDRESS_AT + 1 + len, address_port(bound));
    p->answer_len = SOCKS_ADDRESS_AT + 1 + len + SOCKS_PORT_BYTES;
}

bool proxy_datagram(struct view *datagram, struct target *target, struct view *named)
{
    const uint8_t *data = datagram->data;
    struct socks_address a;
    struct view rest;
    if (datagram->len < SOCKS_ADDRESS_AT || data[2] != 0) /* two bytes reserved, fragment */
        return false;
    rest = view_of(data + SOCKS_ADDRESS_AT, datagram->len - SOCKS_ADDRESS_AT);
    if (read_address(&a, rest) != ADDRESS_WHOLE || !address_to_target(target, "udp", &a))
        return false;
    *named = view_of(rest.data, a.len);
    *datagram = view_of(rest.data + a.len, rest.len - a.len);
    return true;
}

size_t proxy_datagram_head(uint8_t out[PROXY_SOCKS_MAX_BYTES], const uint8_t *named)
{
    struct socks_address a;
    read_address(&a, view_of(named, PROXY_SOCKS_MAX_BYTES - SOCKS_ADDRESS_AT));
    memset(out, 0, SOCKS_ADDRESS_AT);
    memcpy(out + SOCKS_ADDRESS_AT, named, a.len);
    return SOCKS_ADDRESS_AT + a.len;
}

static enum socks_reply socks_reply_of(enum reset_code code)
{
    static const uint8_t replies[] = {
        [0] = SOCKS_SUCCEEDED,
        [RESET_REFUSED] = SOCKS_REFUSED,
        [RESET_UNREACHABLE] = SOCKS_HOST_UNREACHABLE,
        [RESET_TIMEOUT] = SOCKS_EXPIRED,
        [RESET_NOT_PERMITTED] = SOCKS_NOT_ALLOWED,
        [RESET_NO_NAME] = SOCKS_HOST_UNREACHABLE,
        [RESET_BY_TARGET] = SOCKS_FAILURE,
        [RESET_LIMIT] = SOCKS_FAILURE,
        [RESET_UNSUPPORTED] = SOCKS_NO_ADDRESS_KIND,
    };
    return code < sizeof replies ? (enum socks_reply)replies[code] : SOCKS_FAILURE;
}

/* ---- HTTP CONNECT ---- */

/* An error: its body tells people why. */
static void http_answer(struct proxy *p, const char *status, const char *header, const char *why)
{
    char body[256];
    size_t len = text_clean(body, sizeof body - 1, view_of_string(why));
    body[len++] = '\n';
    p->answer_len = (size_t)snprintf(p->answer, sizeof p->answer,
                                     "HTTP/1.1 %s\r\n%s"
                                     "Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Length: %zu\r\n"
                                     "Connection: close\r\n\r\n%.*s",
                                     status, header, len, (int)len, body);
}

static enum proxy_decision http_refuse(struct proxy *p, const char *status, const char *header,
                                       const char *why)
{
    http_answer(p, status, header, why);
    return refuse_request(p, why);
}

static enum proxy_decision http_bad(struct proxy *p)
{
    return http_refuse(p, "400 Bad Request", "",
                       "the HTTP request is not CONNECT HOST:PORT HTTP/1.1");
}

/* The bytes of the header with the empty line at its end; 0: it is not whole. A line ends with LF,
 * with or without CR (RFC 9112 section 2.2). */
static size_t http_header_len(struct proxy *p, struct view bytes)
{
    for (size_t i = p->searched; i < bytes.len; i++) {
        size_t before = i > 0 && bytes.data[i - 1] == '\r' ? i - 1 : i;
        if (bytes.data[i] == '\n' && before > 0 && bytes.data[before - 1] == '\n')
            return i + 1;
    }
    p->searched = bytes.len;
    return 0;
}

/* The method and a space are cut off: HOST:PORT HTTP/1.x is left. */
static bool http_target(struct proxy *p, char *rest)
{
    struct error ignored = {0};
    char *space = strchr(rest, ' '), *colon;
    if (!space || strncmp(space + 1, "HTTP/1.", 7) != 0 || strlen(space + 1) != 8)
        return false;
    *space = '\0';
    colon = strrchr(rest, ':');
    if (colon && colon - rest > 1 && colon[-1] == '.')
        memmove(colon - 1, colon, strlen(colon) + 1); /* an absolute name */
    p->target.kind = TARGET_TCP;
    return value_host_port(&p->target.at, rest, 0, &ignored);
}

static enum proxy_decision http_line(struct proxy *p, struct view line)
{
    static const char method[] = "CONNECT ";
    char text[TARGET_TEXT_BYTES + 32];
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len < sizeof method - 1 || memcmp(line.data, method, sizeof method - 1) != 0)
        return http_refuse(p, "405 Method Not Allowed", "Allow: CONNECT\r\n",
                           "of HTTP only CONNECT is supported (curl: --proxytunnel)");
    if (line.len >= sizeof text || memchr(line.data, '\0', line.len))
        return http_bad(p);
    memcpy(text, line.data, line.len);
    text[line.len] = '\0';
    return http_target(p, text + sizeof method - 1) ? PROXY_OPEN : http_bad(p);
}

static enum proxy_decision http_request(struct proxy *p, struct view bytes, size_t *used)
{
    size_t len = http_header_len(p, bytes);
    const uint8_t *end;
    if (len == 0 && bytes.len < PROXY_HTTP_MAX_BYTES)
        return PROXY_MORE;
    if (len == 0 || len > PROXY_HTTP_MAX_BYTES)
        return http_refuse(p, "431 Request Header Fields Too Large", "",
                           "the HTTP request is longer than 8192 bytes");
    *used = len;
    end = memchr(bytes.data, '\n', len);
    return http_line(p, view_of(bytes.data, end ? (size_t)(end - bytes.data) : len));
}

static const char *http_status_of(enum reset_code code)
{
    if (code == RESET_NOT_PERMITTED)
        return "403 Forbidden";
    if (code == RESET_LIMIT)
        return "503 Service Unavailable";
    return code == RESET_TIMEOUT ? "504 Gateway Timeout" : "502 Bad Gateway";
}

static void http_settle(struct proxy *p, enum reset_code code, const char *text)
{
    static const char opened[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    char why[RESET_TEXT_BYTES];
    if (code) {
        reset_to_text(why, code, text);
        http_answer(p, http_status_of(code), "", why);
        return;
    }
    memcpy(p->answer, opened, sizeof opened);
    p->answer_len = sizeof opened - 1;
}

/* ---- Both ---- */

static enum proxy_decision first_byte(struct proxy *p, uint8_t byte)
{
    if (byte == SOCKS_VERSION)
        p->phase = SOCKS_METHODS;
    else if (byte >= 'A' && byte <= 'Z')
        p->phase = HTTP_REQUEST;
    else
        return refuse_request(p, "the application speaks neither SOCKS 5 nor HTTP");
    return PROXY_MORE;
}

enum proxy_decision proxy_take(struct proxy *p, struct view bytes, size_t *used)
{
    *used = 0;
    p->answer_len = 0;
    if (bytes.len == 0)
        return PROXY_MORE;
    if (p->phase == PROXY_FIRST && first_byte(p, bytes.data[0]) == PROXY_REFUSE)
        return PROXY_REFUSE;
    switch (p->phase) {
    case SOCKS_METHODS:
        return socks_methods(p, bytes, used);
    case SOCKS_REQUEST:
        return socks_request(p, bytes, used);
    case HTTP_REQUEST:
        return http_request(p, bytes, used);
    case PROXY_FIRST:
    default:
        return PROXY_MORE;
    }
}

void proxy_settle(struct proxy *p, enum reset_code code, const char *text)
{
    if (p->phase == HTTP_REQUEST)
        http_settle(p, code, text);
    else
        socks_reply(p, socks_reply_of(code));
}
