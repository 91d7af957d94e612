/* SOCKS and HTTP, byte for byte: what was asked, and what to answer. */
#include "forward/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
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
    if (why != p->why)
        snprintf(p->why, sizeof p->why, "%s", why);
    return PROXY_REFUSE;
}

/* ---- Targets. ---- */

static bool is_port(const char *text)
{
    uint64_t port;
    return text_number(&port, view_of_string(text), 1, UINT16_MAX);
}

/* The reason why a host and a port are no target, into out. */
static void why_no_target(char out[PROXY_WHY_BYTES], const char *host, const char *port)
{
    char name[96];
    size_t len = strlen(host);
    text_clean(name, sizeof name, view_of_string(host));
    if (len == 0)
        snprintf(out, PROXY_WHY_BYTES, "the application names no host");
    else if (port[0] == '\0')
        snprintf(out, PROXY_WHY_BYTES, "the application names no port of %s", name);
    else if (!is_port(port))
        snprintf(out, PROXY_WHY_BYTES, "the application asks for port %.8s of %s", port, name);
    else if (len > HOST_NAME_MAX_BYTES)
        snprintf(out, PROXY_WHY_BYTES,
                 "the application names a host of more than %d characters: %.64s...",
                 HOST_NAME_MAX_BYTES, name);
    else
        snprintf(out, PROXY_WHY_BYTES,
                 "the application names the host %s, which is neither a name nor an address", name);
}

/* A host and a port as they were named, IPv6 in brackets or without. False: why says what is wrong.
 */
static bool set_target(struct target *t, enum target_kind kind, const char *host, const char *port,
                       char why[PROXY_WHY_BYTES])
{
    char text[TARGET_TEXT_BYTES];
    struct error ignored = {0};
    bool bare = strchr(host, ':') && host[0] != '[';
    int len =
        snprintf(text, sizeof text, "%s%s%s:%s", bare ? "[" : "", host, bare ? "]" : "", port);
    t->kind = kind;
    if (is_port(port) && len > 0 && (size_t)len < sizeof text &&
        value_host_port(&t->at, text, 0, &ignored))
        return true;
    why_no_target(why, host, port);
    return false;
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

/* An address, or a name that the agent looks up. False: why says what is wrong. */
static bool address_to_target(struct target *t, enum target_kind kind,
                              const struct socks_address *a, char why[PROXY_WHY_BYTES])
{
    char host[HOST_TEXT_BYTES] = "", port[8];
    snprintf(port, sizeof port, "%u", load_be16(a->host + a->host_len));
    if (a->kind != SOCKS_NAME) {
        inet_ntop(a->kind == SOCKS_IPV4 ? AF_INET : AF_INET6, a->host, host, sizeof host);
    } else if (memchr(a->host, '\0', a->host_len)) {
        snprintf(why, PROXY_WHY_BYTES, "the application names a host with a zero byte in it");
        return false;
    } else {
        memcpy(host, a->host, a->host_len); /* at most 255 */
        host[a->host_len] = '\0';
    }
    return set_target(t, kind, host, port, why);
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
    if (address_to_target(&p->target, TARGET_TCP, &a, p->why))
        return PROXY_OPEN;
    return socks_refuse(p, load_be16(a.host + a.host_len) ? SOCKS_HOST_UNREACHABLE : SOCKS_FAILURE,
                        p->why);
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
    char ignored[PROXY_WHY_BYTES];
    if (datagram->len < SOCKS_ADDRESS_AT || data[2] != 0) /* two bytes reserved, fragment */
        return false;
    rest = view_of(data + SOCKS_ADDRESS_AT, datagram->len - SOCKS_ADDRESS_AT);
    if (read_address(&a, rest) != ADDRESS_WHOLE ||
        !address_to_target(target, TARGET_UDP, &a, ignored))
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

/* ---- HTTP ---- */

/* An error: its body tells people why. */
static void http_answer(struct proxy *p, const char *status, const char *why)
{
    char body[256];
    size_t len = text_clean(body, sizeof body - 1, view_of_string(why));
    body[len++] = '\n';
    p->answer_len = (size_t)snprintf(p->answer, sizeof p->answer,
                                     "HTTP/1.1 %s\r\n"
                                     "Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Length: %zu\r\n"
                                     "Connection: close\r\n\r\n%.*s",
                                     status, len, (int)len, body);
}

static enum proxy_decision http_refuse(struct proxy *p, const char *status, const char *why)
{
    http_answer(p, status, why);
    return refuse_request(p, why);
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

static bool is_ipv6(const char *text)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET6, text, &ignored) == 1;
}

/* The colon before the port; NULL: there is none. An IPv6 address without brackets ends at the last
 * colon if it can: python3's urllib asks for ::1:443, but ::1 is an address without a port. */
static char *find_port(char *authority)
{
    char *colon = strrchr(authority, ':'), *bracket = strchr(authority, ']');
    bool whole = is_ipv6(authority);
    if (!colon || (bracket && bracket > colon))
        return NULL;
    *colon = '\0';
    whole = whole && !is_ipv6(authority);
    *colon = ':';
    return whole ? NULL : colon;
}

/* HOST:PORT; port 80 may go without saying for http://. */
static bool http_target(struct proxy *p, char *authority, bool connect)
{
    char *colon = find_port(authority);
    const char *port = connect ? "" : "80";
    if (colon) {
        *colon = '\0';
        port = colon + 1;
    }
    return set_target(&p->target, TARGET_TCP, authority, port, p->why);
}

static enum proxy_decision http_head(struct proxy *p, struct view head)
{
    struct http_request r;
    const char *why = http_read(&r, head);
    if (!why && !http_target(p, r.authority, r.connect))
        why = p->why;
    if (why)
        return http_refuse(p, "400 Bad Request", why);
    p->plain = !r.connect;
    p->body = r.body;
    return r.connect ? PROXY_OPEN : PROXY_REQUEST;
}

size_t proxy_request(struct proxy *p, struct view used, struct view behind, uint8_t *out)
{
    struct http_request r;
    size_t len, body = http_body_take(&p->body, behind);
    http_read(&r, used); /* as before */
    len = http_rewrite(&r, (char *)out);
    memcpy(out + len, behind.data, body);
    return len + body;
}

static enum proxy_decision http_request(struct proxy *p, struct view bytes, size_t *used)
{
    size_t len = http_header_len(p, bytes);
    if (len == 0 && bytes.len < HTTP_HEAD_MAX_BYTES)
        return PROXY_MORE;
    if (len == 0 || len > HTTP_HEAD_MAX_BYTES)
        return http_refuse(p, "431 Request Header Fields Too Large",
                           "the HTTP request is longer than 8192 bytes");
    *used = len;
    return http_head(p, view_of(bytes.data, len));
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
        http_answer(p, http_status_of(code), why);
        return;
    }
    p->answer_len = p->plain ? 0 : sizeof opened - 1; /* the server's answer is the answer */
    memcpy(p->answer, opened, p->answer_len);
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
