#include "forward/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/codes.h"

/* RFC 1928 sections 3 to 6. */
#define SOCKS_VERSION 5
#define SOCKS_COMMAND_CONNECT 1
#define SOCKS_NO_AUTHENTICATION 0x00
#define SOCKS_NO_METHOD 0xff
#define SOCKS_METHODS_HEADER 2 /* version, number of methods */
#define SOCKS_REQUEST_HEADER 4 /* version, command, reserved, kind of address */
#define SOCKS_PORT_BYTES 2

enum socks_address { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

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

static enum proxy_decision refuse(struct proxy *p, const char *why)
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
    return refuse(p, "the application asks for authentication, which is not offered");
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
    return refuse(p, why);
}

/* A host and a port as they were named; false: they are none. */
static bool set_target(struct proxy *p, const char *host, uint16_t port)
{
    char text[TARGET_TEXT_BYTES];
    struct error ignored = {0};
    bool brackets = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof text, "tcp:%s%s%s:%u", brackets ? "[" : "", host,
                       brackets ? "]" : "", port);
    return len > 0 && (size_t)len < sizeof text && value_target(&p->target, text, &ignored);
}

/* The dot at the end of an absolute name is not part of a target. */
static void cut_last_dot(char *host, size_t len)
{
    if (len > 1 && host[len - 1] == '.')
        host[len - 1] = '\0';
}

/* The host of a request: an address, or a name that the agent looks up. The port follows it. */
static bool socks_target(struct proxy *p, const uint8_t *address, size_t len)
{
    char host[HOST_TEXT_BYTES] = "";
    uint16_t port = load_be16(address + len);
    if (len == sizeof(struct in_addr))
        inet_ntop(AF_INET, address, host, sizeof host);
    else
        inet_ntop(AF_INET6, address, host, sizeof host);
    return set_target(p, host, port);
}

static bool socks_named_target(struct proxy *p, const uint8_t *name, size_t len)
{
    char host[HOST_TEXT_BYTES];
    uint16_t port = load_be16(name + len);
    if (memchr(name, '\0', len))
        return false;
    memcpy(host, name, len); /* at most 255 */
    host[len] = '\0';
    cut_last_dot(host, len);
    return set_target(p, host, port);
}

static enum proxy_decision socks_request(struct proxy *p, struct view bytes, size_t *used)
{
    const uint8_t *address = bytes.data + SOCKS_REQUEST_HEADER;
    size_t len;
    bool named, good;
    if (bytes.len <= SOCKS_REQUEST_HEADER)
        return PROXY_MORE;
    if (bytes.data[0] != SOCKS_VERSION)
        return socks_refuse(p, SOCKS_FAILURE, "the SOCKS request is not of version 5");
    named = bytes.data[3] == SOCKS_NAME;
    if (named)
        len = *address++;
    else if (bytes.data[3] == SOCKS_IPV4)
        len = sizeof(struct in_addr);
    else if (bytes.data[3] == SOCKS_IPV6)
        len = sizeof(struct in6_addr);
    else
        return socks_refuse(p, SOCKS_NO_ADDRESS_KIND, "SOCKS has no such kind of address");
    if (bytes.len < (size_t)(address - bytes.data) + len + SOCKS_PORT_BYTES)
        return PROXY_MORE;
    *used = (size_t)(address - bytes.data) + len + SOCKS_PORT_BYTES;
    if (bytes.data[1] != SOCKS_COMMAND_CONNECT)
        return socks_refuse(p, SOCKS_NO_COMMAND, "of SOCKS only CONNECT is supported");
    good = named ? socks_named_target(p, address, len) : socks_target(p, address, len);
    return good ? PROXY_OPEN
                : socks_refuse(p, SOCKS_HOST_UNREACHABLE, "the SOCKS request names no host");
}

static enum socks_reply socks_reply_of(unsigned code)
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
    return refuse(p, why);
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
    return value_endpoint(&p->target.endpoint, rest, 0, &ignored);
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

static const char *http_status_of(unsigned code)
{
    switch (code) {
    case RESET_NOT_PERMITTED:
        return "403 Forbidden";
    case RESET_LIMIT:
        return "503 Service Unavailable";
    case RESET_TIMEOUT:
        return "504 Gateway Timeout";
    default:
        return "502 Bad Gateway";
    }
}

static void http_settle(struct proxy *p, unsigned code, const char *text)
{
    static const char opened[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    char why[256];
    snprintf(why, sizeof why, "%s%s%s", reset_code_text(code), text[0] ? ": " : "", text);
    if (code) {
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
        return refuse(p, "the application speaks neither SOCKS 5 nor HTTP");
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

void proxy_settle(struct proxy *p, unsigned code, const char *text)
{
    if (p->phase == HTTP_REQUEST)
        http_settle(p, code, text);
    else
        socks_reply(p, socks_reply_of(code));
}
