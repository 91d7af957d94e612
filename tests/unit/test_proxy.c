/* SOCKS 5 and HTTP as bytes: whole, byte by byte, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "forward/proxy.h"
#include "wire/codes.h"
#include "wire/limits.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
/* A string of bytes without its terminator, and its length. */
#define BYTES(s) (s), sizeof(s) - 1
#define GREETING "\x05\x01\x00"
#define TO_IPV4 "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"
#define SOCKS_TAIL "\x00\x01\x00\x00\x00\x00\x00\x00"

/* An application's bytes, and what becomes of them. */
struct dialogue {
    struct proxy p;
    uint8_t in[2 * HTTP_HEAD_MAX_BYTES];
    size_t len; /* in `in`, not used */
    char out[2048];
    size_t out_len;
    enum proxy_decision decision;
};

static void step(struct dialogue *d)
{
    do {
        uint8_t *exact = malloc(d->len ? d->len : 1); /* a sanitizer sees what is read beyond it */
        size_t used;
        assert_non_null(exact);
        memcpy(exact, d->in, d->len);
        d->decision = proxy_take(&d->p, view_of(exact, d->len), &used);
        free(exact);
        assert_true(used <= d->len);
        memmove(d->in, d->in + used, d->len - used);
        d->len -= used;
        if (d->decision == PROXY_ANSWER || d->decision == PROXY_REFUSE) {
            memcpy(d->out + d->out_len, d->p.answer, d->p.answer_len);
            d->out_len += d->p.answer_len;
        }
    } while (d->decision == PROXY_ANSWER);
}

/* Gives so many bytes at a time; stops at a decision, the rest is added after it. */
static void say(struct dialogue *d, const char *bytes, size_t len, size_t piece)
{
    *d = (struct dialogue){.decision = PROXY_MORE};
    for (size_t i = 0; i < len; i += piece) {
        size_t n = len - i < piece ? len - i : piece;
        assert_true(d->len + n <= sizeof d->in);
        memcpy(d->in + d->len, bytes + i, n);
        d->len += n;
        if (d->decision == PROXY_MORE)
            step(d);
    }
}

static const size_t pieces[] = {1, 2, 3, 7, SIZE_MAX / 2};

static void assert_opens(const char *bytes, size_t len, const char *target, const char *answer,
                         size_t answer_len, const char *rest)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct dialogue d;
        char text[TARGET_TEXT_BYTES];
        say(&d, bytes, len, pieces[i]);
        assert_int_equal(d.decision, PROXY_OPEN);
        target_to_text(text, &d.p.target);
        assert_string_equal(text, target);
        assert_int_equal(d.out_len, answer_len);
        assert_memory_equal(d.out, answer, answer_len);
        assert_int_equal(d.len, strlen(rest));
        assert_memory_equal(d.in, rest, d.len);
    }
}

static void assert_refuses(const char *bytes, size_t len, const char *answer, size_t answer_len)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct dialogue d;
        say(&d, bytes, len, pieces[i]);
        assert_int_equal(d.decision, PROXY_REFUSE);
        assert_true(d.p.why[0]);
        assert_true(d.out_len >= answer_len);
        assert_memory_equal(d.out, answer, answer_len);
        if (answer_len == 0)
            assert_int_equal(d.out_len, 0);
    }
}

/* No beginning of it is a decision. */
static void assert_more(const char *bytes, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        struct dialogue d;
        say(&d, bytes, n, SIZE_MAX / 2);
        assert_int_equal(d.decision, PROXY_MORE);
    }
}

static void socks_opens(void **state)
{
    (void)state;
    assert_opens(BYTES(GREETING TO_IPV4), "tcp:192.0.2.1:80", BYTES("\x05\x00"), "");
    assert_opens(BYTES("\x05\x03\x02\x01\x00" TO_IPV4 "GET /"), "tcp:192.0.2.1:80",
                 BYTES("\x05\x00"), "GET /");
    assert_opens(BYTES(GREETING "\x05\x01\x00\x03\x0b"
                                "web.Example"
                                "\x01\xbb"),
                 "tcp:web.Example:443", BYTES("\x05\x00"), "");
    assert_opens(BYTES(GREETING "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x16"),
                 "tcp:[2001:db8::1]:22", BYTES("\x05\x00"), "");
    /* An address as a name, and an absolute name. */
    assert_opens(BYTES(GREETING "\x05\x01\x00\x03\x07"
                                "8.8.8.8\x00\x35"),
                 "tcp:8.8.8.8:53", BYTES("\x05\x00"), "");
    assert_opens(BYTES(GREETING "\x05\x01\x00\x03\x03::1\x00\x35"), "tcp:[::1]:53",
                 BYTES("\x05\x00"), "");
    assert_opens(BYTES(GREETING "\x05\x01\x00\x03\x05[::1]\x00\x35"), "tcp:[::1]:53",
                 BYTES("\x05\x00"), "");
    assert_opens(BYTES(GREETING "\x05\x01\x00\x03\x04web.\x00\x35"), "tcp:web:53",
                 BYTES("\x05\x00"), "");
    assert_more(BYTES(GREETING TO_IPV4));
    assert_more(BYTES(GREETING "\x05\x01\x00\x03\x03web\x01\xbb"));
}

static void socks_longest_request(void **state)
{
    static const char head[] = "\x05\xff", request[] = "\x05\x01\x00\x03\xfd";
    char bytes[1024] = {0};
    char name[254], target[300];
    size_t len = 0;
    (void)state;
    memcpy(bytes, head, 2);
    memset(bytes + 2, 0x01, 255);
    bytes[256] = 0; /* the last method */
    len = 257;
    memcpy(bytes + len, request, 5);
    memset(name, 'a', 253);
    name[253] = '\0';
    for (size_t i = 63; i < 253; i += 64)
        name[i] = '.';
    memcpy(bytes + len + 5, name, 253);
    memcpy(bytes + len + 258, "\xff\xff", 2);
    len += 260;
    snprintf(target, sizeof target, "tcp:%s:65535", name);
    assert_opens(bytes, len, target, BYTES("\x05\x00"), "");
}

static void assert_associates(const char *bytes, size_t len)
{
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct dialogue d;
        say(&d, bytes, len, pieces[i]);
        assert_int_equal(d.decision, PROXY_ASSOCIATE);
        assert_int_equal(d.out_len, 2);
    }
}

static void assert_bound(const char *host, uint16_t port, const char *answer, size_t len)
{
    struct proxy p = {.phase = SOCKS_REQUEST};
    struct address bound;
    assert_true(address_from_literal(&bound, host, port));
    proxy_associated(&p, &bound);
    assert_int_equal(p.answer_len, len);
    assert_memory_equal(p.answer, answer, len);
}

/* The address in the request does not matter. */
static void socks_associates(void **state)
{
    (void)state;
    assert_associates(BYTES(GREETING "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"));
    assert_associates(BYTES(GREETING "\x05\x03\x00\x01\x7f\x00\x00\x01\x12\x34"));
    assert_associates(BYTES(GREETING "\x05\x03\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert_associates(BYTES(GREETING "\x05\x03\x00\x03\x00\x00\x00"));
    assert_more(BYTES(GREETING "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"));
    assert_bound("127.0.0.1", 0x1234, BYTES("\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"));
    assert_bound("::1", 53, BYTES("\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x35"));
}

/* A datagram's target and rest; its answer's head is its own. */
static void assert_datagram(const char *bytes, size_t len, const char *target, const char *rest)
{
    uint8_t *exact = malloc(len), key[PROXY_SOCKS_MAX_BYTES] = {0}, head[PROXY_SOCKS_MAX_BYTES];
    struct view datagram = view_of(exact, len), named;
    struct target t;
    char text[TARGET_TEXT_BYTES];
    size_t head_len = len - strlen(rest);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    assert_true(proxy_datagram(&datagram, &t, &named));
    target_to_text(text, &t);
    assert_string_equal(text, target);
    assert_true(view_equal(datagram, view_of_string(rest)));
    memcpy(key, named.data, named.len);
    assert_int_equal(proxy_datagram_head(head, key), head_len);
    assert_memory_equal(head, bytes, head_len);
    /* Every beginning that holds no whole head is refused, and nothing is read beyond it. */
    for (size_t n = 0; n < head_len; n++) {
        uint8_t *part = malloc(n ? n : 1);
        assert_non_null(part);
        memcpy(part, bytes, n);
        datagram = view_of(part, n);
        assert_false(proxy_datagram(&datagram, &t, &named));
        free(part);
    }
    free(exact);
}

static void assert_no_datagram(const char *bytes, size_t len)
{
    struct view datagram = view_of(bytes, len), named;
    struct target t;
    assert_false(proxy_datagram(&datagram, &t, &named));
}

static void socks_datagrams(void **state)
{
    char longest[3 + 2 + 253 + 2 + 1], name[254];
    char target[300];
    (void)state;
    assert_datagram(BYTES("\0\0\0\x01\xc0\x00\x02\x01\x00\x35?"), "udp:192.0.2.1:53", "?");
    assert_datagram(BYTES("\0\0\0\x01\xc0\x00\x02\x01\x00\x35"), "udp:192.0.2.1:53", "");
    assert_datagram(BYTES("\0\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x35six"),
                    "udp:[2001:db8::1]:53", "six");
    assert_datagram(BYTES("\0\0\0\x03\x03"
                          "ntp\x00\x7btime"),
                    "udp:ntp:123", "time");
    memset(name, 'a', 253);
    name[253] = '\0';
    for (size_t i = 63; i < 253; i += 64)
        name[i] = '.';
    memcpy(longest, "\0\0\0\x03\xfd", 5);
    memcpy(longest + 5, name, 253);
    memcpy(longest + 258, "\xff\xff!", 3);
    snprintf(target, sizeof target, "udp:%s:65535", name);
    assert_datagram(longest, sizeof longest, target, "!");

    assert_no_datagram(BYTES("\0\0\x01\x01\xc0\x00\x02\x01\x00\x35?")); /* a fragment */
    assert_no_datagram(BYTES("\0\0\0\x02\xc0\x00\x02\x01\x00\x35?"));
    assert_no_datagram(BYTES("\0\0\0\x01\xc0\x00\x02\x01\x00\x00?")); /* port 0 */
    assert_no_datagram(BYTES("\0\0\0\x03\x00\x00\x35?"));
    assert_no_datagram(BYTES("\0\0\0\x03\x03"
                             "a\0b\x00\x35?"));
}

static void socks_refusals(void **state)
{
    (void)state;
    /* No method, and only those with a password. */
    assert_refuses(BYTES("\x05\x00"), BYTES("\x05\xff"));
    assert_refuses(BYTES("\x05\x02\x01\x02"), BYTES("\x05\xff"));
    /* BIND, and a command that there is not. */
    assert_refuses(BYTES(GREETING "\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50"),
                   BYTES("\x05\x00\x05\x07" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x09\x00\x01\xc0\x00\x02\x01\x00\x50"),
                   BYTES("\x05\x00\x05\x07" SOCKS_TAIL));
    /* Kinds of address, and hosts that are none. */
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x02\xc0\x00\x02\x01\x00\x50"),
                   BYTES("\x05\x00\x05\x08" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x00\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x03"
                                  "a\0b\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x03"
                                  "a:1\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x02-x\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x00"),
                   BYTES("\x05\x00\x05\x01" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x07[::1]:9\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x05\x01\x00\x03\x04[::1\x00\x50"),
                   BYTES("\x05\x00\x05\x04" SOCKS_TAIL));
    assert_refuses(BYTES(GREETING "\x04\x01\x00\x01\xc0\x00\x02\x01\x00\x50"),
                   BYTES("\x05\x00\x05\x01" SOCKS_TAIL));
}

static void socks_replies(void **state)
{
    static const uint8_t replies[] = {[0] = 0,
                                      [RESET_REFUSED] = 5,
                                      [RESET_UNREACHABLE] = 4,
                                      [RESET_TIMEOUT] = 6,
                                      [RESET_NOT_PERMITTED] = 2,
                                      [RESET_NO_NAME] = 4,
                                      [RESET_BY_TARGET] = 1,
                                      [RESET_LIMIT] = 1,
                                      [RESET_UNSUPPORTED] = 8,
                                      [RESET_INTERNAL] = 1,
                                      [10] = 1};
    struct dialogue d;
    (void)state;
    say(&d, BYTES(GREETING TO_IPV4), 100);
    for (enum reset_code code = 0; code < COUNT(replies); code++) {
        proxy_settle(&d.p, code, "text");
        assert_int_equal(d.p.answer_len, 10);
        assert_int_equal(d.p.answer[0], 5);
        assert_int_equal(d.p.answer[1], replies[code]);
        assert_memory_equal(d.p.answer + 2, SOCKS_TAIL, 8);
    }
    proxy_settle(&d.p, 65535, "");
    assert_int_equal(d.p.answer[1], 1);
}

static void http_opens(void **state)
{
    (void)state;
    assert_opens(BYTES("CONNECT web:443 HTTP/1.1\r\nHost: web:443\r\n\r\nrest"), "tcp:web:443",
                 BYTES(""), "rest");
    assert_opens(BYTES("CONNECT web:443 HTTP/1.0\r\n\r\n"), "tcp:web:443", BYTES(""), "");
    assert_opens(BYTES("CONNECT web:443 HTTP/1.1\nHost: web\n\n\n"), "tcp:web:443", BYTES(""),
                 "\n");
    assert_opens(BYTES("CONNECT [2001:db8::1]:22 HTTP/1.1\r\n\r\n"), "tcp:[2001:db8::1]:22",
                 BYTES(""), "");
    assert_opens(BYTES("CONNECT 192.0.2.1:22 HTTP/1.1\r\n\r\n"), "tcp:192.0.2.1:22", BYTES(""), "");
    assert_opens(BYTES("CONNECT web.example.:22 HTTP/1.1\r\n\r\n"), "tcp:web.example:22", BYTES(""),
                 "");
    assert_opens(BYTES("CONNECT ::1:443 HTTP/1.0\r\n\r\n"), "tcp:[::1]:443", BYTES(""), "");
    assert_more(BYTES("CONNECT web:443 HTTP/1.1\r\nHost: web:443\r\n\r\n"));
}

static void http_refusals(void **state)
{
    static const char *const bad[] = {
        "CONNECT web HTTP/1.1",
        "CONNECT web:0 HTTP/1.1",
        "CONNECT web:65536 HTTP/1.1",
        "CONNECT  web:1 HTTP/1.1",
        "CONNECT web:1  HTTP/1.1",
        "CONNECT web:1 HTTP/2.0",
        "CONNECT web:1 HTTP/1.1 ",
        "CONNECT web:1",
        "CONNECT web:1 HTTP/1.",
        "CONNECT :1 HTTP/1.1",
        "CONNECT a@b:1 HTTP/1.1",
        "CONNECT ::g:1 HTTP/1.1",
        "CONNECT http://a HTTP/1.1",
        "CONNECT .:1 HTTP/1.1",
        "CONNECT ",
        "CONNECT unix:/x HTTP/1.1",
        "CONNECT [::1] HTTP/1.1",
        "CONNECT [::1:1 HTTP/1.1",
        "GET / HTTP/1.1",
        "GET https://a/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://a:0/ HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://a/",
        "GET http://a/ HTTP/2.0",
        "GET http://a/ x HTTP/1.1",
        "G(T http://a/ HTTP/1.1",
        "GET\thttp://a/ HTTP/1.1",
        "X",
        "CONNECTS web:1 HTTP/1.1",
    };
    static const char nul[] = "CONNECT web:443 HTTP/1.1\0 \r\n\r\n";
    char bytes[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        int len = snprintf(bytes, sizeof bytes, "%s\r\n\r\n", bad[i]);
        assert_refuses(bytes, (size_t)len, BYTES("HTTP/1.1 400 Bad Request\r\n"));
    }
    assert_refuses(BYTES(nul), BYTES("HTTP/1.1 400 Bad Request\r\n"));
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, "CONNECT ", 8);
    memcpy(bytes + sizeof bytes - 15, ":1 HTTP/1.1\r\n\r\n", 15);
    assert_refuses(bytes, sizeof bytes, BYTES("HTTP/1.1 400 Bad Request\r\n"));
    assert_refuses(BYTES("X\n\n"), BYTES("HTTP/1.1 400 "));
}

static void assert_reason(const char *bytes, size_t len, const char *why)
{
    struct dialogue d;
    say(&d, bytes, len, 1);
    assert_int_equal(d.decision, PROXY_REFUSE);
    assert_string_equal(d.p.why, why);
    if (bytes[0] != 5) { /* HTTP tells the application too */
        d.out[d.out_len] = '\0';
        assert_non_null(strstr(d.out, why));
    }
}

/* A wrong request is answered with its real reason. */
static void reasons(void **state)
{
    static const char too_long[] =
        "the application names a host of more than 253 characters: "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...";
    char bytes[512] = GREETING "\x05\x01\x00\x03\xfe";
    (void)state;
    assert_reason(BYTES(GREETING "\x05\x01\x00\x03\x03web\x00\x00"),
                  "the application asks for port 0 of web");
    assert_reason(BYTES("CONNECT web:0 HTTP/1.1\r\n\r\n"),
                  "the application asks for port 0 of web");
    assert_reason(BYTES("CONNECT web:70000 HTTP/1.1\r\n\r\n"),
                  "the application asks for port 70000 of web");
    assert_reason(BYTES("CONNECT web HTTP/1.1\r\n\r\n"), "the application names no port of web");
    assert_reason(BYTES("CONNECT web: HTTP/1.1\r\n\r\n"), "the application names no port of web");
    assert_reason(BYTES("CONNECT ::1 HTTP/1.1\r\n\r\n"), "the application names no port of ::1");
    assert_reason(BYTES("CONNECT [::1] HTTP/1.1\r\n\r\n"),
                  "the application names no port of [::1]");
    assert_reason(BYTES("CONNECT :0 HTTP/1.1\r\n\r\n"), "the application names no host");
    assert_reason(BYTES(GREETING "\x05\x01\x00\x03\x00\x00\x50"), "the application names no host");
    assert_reason(BYTES(GREETING "\x05\x01\x00\x03\x02-\x1b\x00\x50"),
                  "the application names the host -?, which is neither a name nor an address");
    memset(bytes + 8, 'a', 254);
    memcpy(bytes + 8 + 254, "\x00\x50", 2);
    assert_reason(bytes, 8 + 256, too_long);
    assert_reason(BYTES("GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                  "this is a proxy, not a web server: an application names it as SOCKS 5 or HTTP "
                  "proxy");
}

/* The bytes that the target gets for a request and those behind it. */
static void assert_rewrites(const char *bytes, size_t len, const char *target, const char *expected)
{
    struct dialogue d;
    struct view all = view_of(bytes, len);
    char text[TARGET_TEXT_BYTES];
    size_t used = (size_t)(strstr(bytes, "\r\n\r\n") - bytes) + 4, got;
    uint8_t *out = malloc(PROXY_REQUEST_MAX_BYTES(used, len - used));
    assert_non_null(out);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        say(&d, bytes, len, pieces[i]);
        assert_int_equal(d.decision, PROXY_REQUEST);
        assert_int_equal(d.out_len, 0);
        assert_int_equal(d.len, len - used);
        target_to_text(text, &d.p.target);
        assert_string_equal(text, target);
        got =
            proxy_request(&d.p, view_of(all.data, used), view_of(all.data + used, len - used), out);
        assert_int_equal(got, strlen(expected));
        assert_memory_equal(out, expected, got);
        proxy_settle(&d.p, 0, "");
        assert_int_equal(d.p.answer_len, 0);
        proxy_settle(&d.p, RESET_REFUSED, "");
        assert_memory_equal(d.p.answer, "HTTP/1.1 502 ", 13);
    }
    free(out);
}

/* A plain request reaches its server as if there were no proxy, and as the only one. */
static void http_requests(void **state)
{
    (void)state;
    assert_rewrites(BYTES("GET http://Web.example./a?b HTTP/1.1\r\nhost: other\r\nAccept: */*\r\n"
                          "Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\r\n"),
                    "tcp:Web.example:80",
                    "GET /a?b HTTP/1.1\r\nHost: Web.example.\r\nAccept: */*\r\n"
                    "Connection: close\r\n\r\n");
    assert_rewrites(BYTES("GET HTTP://[::1]:8080 HTTP/1.0\nX:y\r\n\r\nGET http://b/ HTTP/1.0"),
                    "tcp:[::1]:8080",
                    "GET / HTTP/1.0\r\nHost: [::1]:8080\r\nX:y\r\nConnection: close\r\n\r\n");
    assert_rewrites(BYTES("OPTIONS http://a:1 HTTP/1.1\r\n\r\n"), "tcp:a:1",
                    "OPTIONS * HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n");
    assert_rewrites(BYTES("GET http://a?q HTTP/1.1\r\n\r\n"), "tcp:a:80",
                    "GET /?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_rewrites(
        BYTES("POST http://a/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET "), "tcp:a:80",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
}

/* Where the server might see another end of the request than the proxy does. */
static void http_framing(void **state)
{
    static const char *const bad[] = {
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: +1",
        "Content-Length:",
        "Content-Length: 1234567890123456789",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
        "Content-Length : 1",
        " folded",
        "no colon",
        ": x",
        "A: \rb",
        "Content-Length: 1\r\n X: 1",
    };
    char bytes[256];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        int len = snprintf(bytes, sizeof bytes, "POST http://a/ HTTP/1.1\r\n%s\r\n\r\n", bad[i]);
        assert_refuses(bytes, (size_t)len, BYTES("HTTP/1.1 400 "));
    }
}

static void assert_body(struct http_body body, const char *bytes, size_t belonging)
{
    size_t len = strlen(bytes);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct http_body b = body;
        size_t taken = 0;
        for (size_t at = 0; at < len; at += pieces[i])
            taken += http_body_take(
                &b, view_of(bytes + at, len - at < pieces[i] ? len - at : pieces[i]));
        assert_int_equal(taken, belonging);
        if (belonging < len)
            assert_int_equal(b.state, BODY_DONE);
    }
}

static void http_bodies(void **state)
{
    const struct http_body chunked = {.state = CHUNK_SIZE};
    (void)state;
    assert_body((struct http_body){0}, "GET", 0);
    assert_body((struct http_body){.state = BODY_LENGTH, .left = 5}, "abc", 3);
    assert_body((struct http_body){.state = BODY_LENGTH, .left = 5}, "abcdeGET", 5);
    assert_body(chunked, "3\r\nabc\r\n0\r\n\r\nGET", 13);
    assert_body(chunked, "A;x=y\r\n0123456789\r\n00\r\nT: 1\r\nU: 2\r\n\r\nGET", 37);
    assert_body(chunked, "1\na\n0\n\nGET", 7);
    assert_body(chunked, "3\r\nabcd", 7); /* no end of the line: it is cut off */
    assert_body(chunked, "GET", 1);
    assert_body(chunked, "0000000000000001\r\nabc", 16);
}

/* A header of exactly 8 KiB is taken; one that has not ended then is refused. */
static void http_limit(void **state)
{
    static const char line[] = "CONNECT web:443 HTTP/1.1\r\nX: ";
    static char bytes[HTTP_HEAD_MAX_BYTES + 1];
    struct dialogue d;
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, line, sizeof line - 1);
    say(&d, bytes, HTTP_HEAD_MAX_BYTES - 1, 1000);
    assert_int_equal(d.decision, PROXY_MORE);
    assert_refuses(bytes, HTTP_HEAD_MAX_BYTES, BYTES("HTTP/1.1 431 "));
    memcpy(bytes + HTTP_HEAD_MAX_BYTES - 4, "\r\n\r\n", 4);
    say(&d, bytes, HTTP_HEAD_MAX_BYTES, 1000);
    assert_int_equal(d.decision, PROXY_OPEN);
    memset(bytes + HTTP_HEAD_MAX_BYTES - 4, 'x', 4);
    memcpy(bytes + HTTP_HEAD_MAX_BYTES - 3, "\r\n\r\n", 4);
    assert_refuses(bytes, HTTP_HEAD_MAX_BYTES + 1, BYTES("HTTP/1.1 431 "));
}

static void http_answers(void **state)
{
    static const struct {
        enum reset_code code;
        const char *status;
    } cases[] = {
        {RESET_REFUSED, "HTTP/1.1 502 Bad Gateway\r\n"},
        {RESET_UNREACHABLE, "HTTP/1.1 502 Bad Gateway\r\n"},
        {RESET_TIMEOUT, "HTTP/1.1 504 Gateway Timeout\r\n"},
        {RESET_NOT_PERMITTED, "HTTP/1.1 403 Forbidden\r\n"},
        {RESET_NO_NAME, "HTTP/1.1 502 Bad Gateway\r\n"},
        {RESET_LIMIT, "HTTP/1.1 503 Service Unavailable\r\n"},
        {RESET_INTERNAL, "HTTP/1.1 502 Bad Gateway\r\n"},
        {65535, "HTTP/1.1 502 Bad Gateway\r\n"},
    };
    char text[TEXT_MAX_BYTES + 1];
    struct dialogue d;

    (void)state;
    say(&d, BYTES("CONNECT web:443 HTTP/1.1\r\n\r\n"), 100);
    proxy_settle(&d.p, 0, "");
    assert_int_equal(d.p.answer_len, 39);
    assert_memory_equal(d.p.answer, "HTTP/1.1 200 Connection established\r\n\r\n", 39);
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *texts[] = {"", "why", text};
        for (size_t t = 0; t < COUNT(texts); t++) {
            const char *body, *length;
            proxy_settle(&d.p, cases[i].code, texts[t]);
            assert_true(d.p.answer_len < sizeof d.p.answer);
            assert_int_equal(strlen(d.p.answer), d.p.answer_len);
            assert_memory_equal(d.p.answer, cases[i].status, strlen(cases[i].status));
            body = strstr(d.p.answer, "\r\n\r\n");
            length = strstr(d.p.answer, "Content-Length: ");
            assert_non_null(body);
            assert_non_null(length);
            assert_int_equal(strlen(body + 4), strtoul(length + 16, NULL, 10));
            assert_memory_equal(body + 4, reset_code_text(cases[i].code),
                                strlen(reset_code_text(cases[i].code)));
        }
    }
}

static void neither(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        struct dialogue d;
        say(&d, &c, 1, 1);
        if (byte == 5 || (byte >= 'A' && byte <= 'Z'))
            assert_int_equal(d.decision, PROXY_MORE);
        else
            assert_refuses(&c, 1, BYTES(""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socks_opens),      cmocka_unit_test(socks_longest_request),
        cmocka_unit_test(socks_refusals),   cmocka_unit_test(socks_replies),
        cmocka_unit_test(http_opens),       cmocka_unit_test(http_refusals),
        cmocka_unit_test(http_limit),       cmocka_unit_test(http_answers),
        cmocka_unit_test(socks_associates), cmocka_unit_test(socks_datagrams),
        cmocka_unit_test(neither),          cmocka_unit_test(reasons),
        cmocka_unit_test(http_requests),    cmocka_unit_test(http_framing),
        cmocka_unit_test(http_bodies),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
