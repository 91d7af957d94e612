/* Unit tests of modules/http: requests as bytes, where they come from, and a server on a real
 * socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/origin.h"
#include "http/server.h"

/* ---- Requests. ---- */

#define HOST "Host: localhost:80\r\n"

/* Reads a request in pieces of this size, with something behind it that is not of it. */
static enum http_progress read_cut(struct http_reader *r, const char *text, size_t piece)
{
    enum http_progress progress = HTTP_MORE;
    size_t len = strlen(text), at = 0, used;
    while (at < len && progress == HTTP_MORE) {
        size_t now = len - at < piece ? len - at : piece;
        progress = http_reader_take(r, view_of(text + at, now), &used);
        at += used;
    }
    return progress == HTTP_READ && strcmp(text + at, "MORE") != 0 ? HTTP_MORE : progress;
}

static void assert_read(const char *text, void (*check)(const struct http_message *m))
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct http_reader *r = http_reader_new();
        assert_int_equal(read_cut(r, text, piece), HTTP_READ);
        check(http_reader_message(r));
        http_reader_free(r);
    }
}

static void check_get(const struct http_message *m)
{
    assert_string_equal(m->method, "GET");
    assert_string_equal(m->target, "/live?x=1");
    assert_string_equal(m->fields[FIELD_HOST], "localhost:80");
    assert_string_equal(m->fields[FIELD_AUTHORIZATION], "Bearer abc");
    assert_string_equal(m->fields[FIELD_ORIGIN], "");
    assert_int_equal(m->content_len, 0);
    assert_true(m->keeps);
}

static void check_post(const struct http_message *m)
{
    assert_string_equal(m->method, "POST");
    assert_string_equal(m->fields[FIELD_CONTENT_TYPE], "application/json");
    assert_string_equal(m->fields[FIELD_FETCH_SITE], "same-origin");
    assert_int_equal(m->content_len, 5);
    assert_memory_equal(m->content, "{\"a\"}", 5);
    assert_false(m->keeps);
}

static void test_reads(void **state)
{
    (void)state;
    assert_read("GET /live?x=1 HTTP/1.1\r\n" HOST "Accept: */*\r\nauthorization: Bearer abc\r\n"
                "Origin:\r\nX-A-Name-That-Is-Longer-Than-All-Others: 1\r\n\r\nMORE",
                check_get);
    assert_read("POST /order HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"
                "Sec-Fetch-Site: same-origin\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
                "{\"a\"}MORE",
                check_post);
}

static void assert_malformed(const char *text, unsigned status)
{
    for (size_t piece = 1; piece <= strlen(text); piece += 1 + piece / 2) {
        struct http_reader *r = http_reader_new();
        const char *why = NULL;
        if (read_cut(r, text, piece) != HTTP_MALFORMED)
            fail_msg("taken in pieces of %zu: %.80s", piece, text);
        assert_int_equal(http_reader_status(r, &why), status);
        assert_non_null(why);
        http_reader_free(r);
    }
}

/* A text with `count` times this letter in place of its '@'. */
static char *with_many(const char *text, char letter, size_t count)
{
    char *out = malloc(strlen(text) + count), *at;
    size_t before = (size_t)(strchr(text, '@') - text);
    assert_non_null(out);
    memcpy(out, text, before);
    at = out + before;
    memset(at, letter, count);
    strcpy(at + count, text + before + 1);
    return out;
}

static void assert_most(const char *text, char letter, size_t most, unsigned status)
{
    char *fits = with_many(text, letter, most), *longer = with_many(text, letter, most + 1);
    struct http_reader *r = http_reader_new();
    assert_int_equal(read_cut(r, fits, 4096), HTTP_READ);
    assert_malformed(longer, status);
    http_reader_free(r);
    free(fits);
    free(longer);
}

static void test_refuses(void **state)
{
    (void)state;
    assert_malformed("hello\r\n\r\n", 400);
    assert_malformed("\x16\x03\x01\x02", 400);
    assert_malformed("GET live HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_malformed("GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_malformed("GET / HTTP/1.0\r\n" HOST "\r\n", 505);
    assert_malformed("GET /\r\n\r\n", 505);
    assert_malformed("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", 400);
    assert_malformed("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
    assert_malformed("GET / HTTP/1.1\r\n" HOST "Origin: a\r\nORIGIN: b\r\n\r\n", 400);
    assert_malformed("GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", 400);
    assert_malformed("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 501);
    assert_malformed("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501);
    assert_malformed("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 411);
    assert_malformed("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                     400);
    assert_malformed("POST / HTTP/1.1\r\n" HOST "Content-Length: 4097\r\n\r\n", 413);
    assert_malformed("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n",
                     400);
}

static void test_bounds(void **state)
{
    const char *start = "GET / HTTP/1.1\r\nHost: a\r\nX: @\r\n\r\nMORE";
    (void)state;
    assert_most("GET /@ HTTP/1.1\r\nHost: a\r\n\r\nMORE", 'x', HTTP_TARGET_BYTES - 2, 414);
    assert_most("GET / HTTP/1.1\r\nHost: @\r\n\r\nMORE", 'a', HTTP_VALUE_BYTES - 1, 431);
    assert_most(start, 'c', HTTP_HEADER_BYTES - (strlen(start) - strlen("@MORE")), 431);
}

/* ---- Where they come from. ---- */

static void put(struct http_message *m, enum http_field field, const char *value)
{
    snprintf(m->fields[field], HTTP_VALUE_BYTES, "%s", value);
}

static void test_host(void **state)
{
    static const char *const here[] = {"localhost", "127.0.0.1", "[::1]", NULL};
    static const char *const good[] = {"localhost", "LocalHost:8042", "127.0.0.1:1", "[::1]:65535"};
    static const char *const bad[] = {"",           "evil.example", "localhost.evil.example",
                                      "localhost:", "localhost:x",  "localhost:0",
                                      "127.0.0.1.", "::1",          "[::1]x",
                                      "a@localhost"};
    struct http_message m = {0};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put(&m, FIELD_HOST, good[i]);
        assert_true(origin_is_host(&m, here));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(&m, FIELD_HOST, bad[i]);
        assert_false(origin_is_host(&m, here));
    }
}

static bool is_own(const char *method, const char *origin, const char *site)
{
    struct http_message m = {.method = method};
    put(&m, FIELD_HOST, "localhost:8042");
    put(&m, FIELD_ORIGIN, origin);
    put(&m, FIELD_FETCH_SITE, site);
    return origin_is_own(&m);
}

static void test_origin(void **state)
{
    (void)state;
    assert_true(is_own("GET", "", ""));
    assert_true(is_own("GET", "", "same-origin"));
    assert_true(is_own("POST", "http://localhost:8042", "same-origin"));
    assert_true(is_own("POST", "http://localhost:8042", ""));
    assert_false(is_own("POST", "", "same-origin"));
    assert_false(is_own("POST", "null", ""));
    assert_false(is_own("POST", "http://localhost:8043", ""));
    assert_false(is_own("POST", "http://localhost:80421", ""));
    assert_false(is_own("POST", "http://localhost", ""));
    assert_false(is_own("POST", "https://localhost:8042", ""));
    assert_false(is_own("POST", "http://localhost:8042", "cross-site"));
    assert_false(is_own("GET", "", "same-site"));
    assert_false(is_own("GET", "", "none"));
    assert_false(is_own("GET", "http://evil.example", ""));
}

/* ---- A server. ---- */

static struct {
    struct loop *loop;
    struct http_server *server;
    struct http_exchange *held;
    unsigned asked, gone;
} t;

static void on_gone(void *state)
{
    assert_ptr_equal(state, &t);
    t.held = NULL;
    t.gone++;
}

static void run_echo(struct http_exchange *x)
{
    const struct http_message *m = exchange_message(x);
    assert_ptr_equal(exchange_owner(x), &t);
    t.asked++;
    exchange_answer(x, 200, "text/plain", view_of(m->content, m->content_len));
}

static void run_hold(struct http_exchange *x)
{
    t.held = x;
    exchange_wait(x, on_gone, &t);
}

static void run_stream(struct http_exchange *x)
{
    t.held = x;
    exchange_trust(x);
    exchange_stream(x, "text/plain", on_gone, &t);
}

static const char *const hosts[] = {"localhost", NULL};
static const struct http_route routes[] = {{"GET", "/", true, run_echo},
                                           {"POST", "/echo", false, run_echo},
                                           {"GET", "/hold", false, run_hold},
                                           {"GET", "/stream", false, run_stream},
                                           {0}};
static const struct http_site site = {.hosts = hosts, .routes = routes, .owner = &t};

static int set_up(void **state)
{
    struct address a;
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.loop = loop_new();
    address_from_literal(&a, "127.0.0.1", 0);
    t.server = http_server_new(t.loop, &a, &site, &e);
    return t.server ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_server_free(t.server);
    loop_free(t.loop);
    return 0;
}

static void on_stop(struct timer *timer)
{
    (void)timer;
    loop_stop(t.loop);
}

/* Some rounds: all that is ready is done. */
static void run_rounds(void)
{
    struct timer timer = {.on_fire = on_stop};
    for (int i = 0; i < 50; i++) {
        timer_set(t.loop, &timer, 1);
        loop_run(t.loop);
    }
}

static int dial(void)
{
    const struct address *a = http_server_address(t.server);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a->storage, a->len), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    run_rounds();
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    run_rounds();
}

/* All that came: "" when nothing did; NULL when the other side has closed. */
static const char *hear(int fd)
{
    static char text[16384];
    ssize_t n;
    run_rounds();
    n = recv(fd, text, sizeof text - 1, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return NULL;
    assert_true(n > 0 || errno == EAGAIN);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void assert_answer(int fd, const char *request, const char *begin, const char *in)
{
    const char *answer;
    say(fd, request);
    answer = hear(fd);
    assert_non_null(answer);
    if (strncmp(answer, begin, strlen(begin)) != 0 || !strstr(answer, in))
        fail_msg("expected %s, %s in %s", begin, in, answer);
}

/* One connection, several requests, also when they come together. */
static void test_serves(void **state)
{
    int fd = dial();
    const char *answer;
    (void)state;
    assert_answer(fd, "GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
                  "\r\nContent-Length: 0\r\nConnection: keep-alive\r\n");
    say(fd,
        "POST /echo HTTP/1.1\r\n" HOST "Origin: http://localhost:80\r\nContent-Length: 3\r\n\r\n"
        "oneGET /nothing HTTP/1.1\r\n" HOST "\r\n");
    answer = hear(fd);
    assert_non_null(answer);
    assert_non_null(strstr(answer, "\r\n\r\noneHTTP/1.1 404 Not Found\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Security-Policy: default-src 'none'; "));
    assert_answer(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404 ", "nothing");
    assert_answer(fd, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421 ", "name");
    assert_answer(fd, "POST /echo HTTP/1.1\r\n" HOST "Origin: http://x\r\n\r\n", "HTTP/1.1 403 ",
                  "only the page");
    assert_answer(fd, "GET / HTTP/1.1\r\n" HOST "Sec-Fetch-Site: cross-site\r\n\r\n",
                  "HTTP/1.1 200 ", "");
    assert_int_equal(t.asked, 3);
    assert_answer(fd, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "HTTP/1.1 200 ",
                  "\r\nConnection: close\r\n");
    assert_null(hear(fd));
    close(fd);
}

/* Bytes that are no request are told so, and are the last. */
static void test_malformed(void **state)
{
    int fd = dial();
    (void)state;
    assert_answer(fd, "hello\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "no request of HTTP");
    assert_null(hear(fd));
    close(fd);
    assert_int_equal(t.asked, 0);
}

/* An answer that comes later, also to one who sends no more; and one whose asker is gone. */
static void test_later(void **state)
{
    int fd = dial();
    (void)state;
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(t.held);
    assert_string_equal(hear(fd), "");
    shutdown(fd, SHUT_WR);
    run_rounds();
    exchange_answer(t.held, 200, "text/plain", view_of_string("late"));
    assert_non_null(strstr(hear(fd), "\r\n\r\nlate"));
    assert_null(hear(fd));
    close(fd);
    assert_int_equal(t.gone, 0);
    fd = dial();
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    http_server_free(t.server);
    t.server = NULL;
    assert_int_equal(t.gone, 1);
    close(fd);
}

static void test_stream(void **state)
{
    int fd = dial();
    (void)state;
    assert_answer(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 ",
                  "\r\nTransfer-Encoding: chunked\r\n");
    exchange_put(t.held, view_of_string("0123456789abcdef!"));
    assert_string_equal(hear(fd), "11\r\n0123456789abcdef!\r\n");
    exchange_put(t.held, view_of_string(""));
    assert_string_equal(hear(fd), "");
    close(fd);
    run_rounds();
    assert_int_equal(t.gone, 1);
}

/* One who does not read falls out. */
static void test_stream_unread(void **state)
{
    static char much[1 << 20];
    int fd = dial();
    (void)state;
    memset(much, 'x', sizeof much);
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 40 && t.held; i++) {
        exchange_put(t.held, view_of(much, sizeof much));
        run_rounds();
    }
    assert_int_equal(t.gone, 1);
    close(fd);
}

/* Beyond the most, the oldest that has proven nothing makes room. */
static void test_crowd(void **state)
{
    int trusted = dial(), first, fds[HTTP_CONNECTIONS];
    (void)state;
    say(trusted, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    hear(trusted);
    first = dial();
    for (int i = 0; i < HTTP_CONNECTIONS - 2; i++)
        fds[i] = dial();
    assert_string_equal(hear(first), "");
    fds[HTTP_CONNECTIONS - 2] = dial();
    assert_null(hear(first));
    assert_string_equal(hear(fds[0]), "");
    assert_answer(fds[HTTP_CONNECTIONS - 2], "GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 ", "");
    exchange_put(t.held, view_of_string("x"));
    assert_string_equal(hear(trusted), "1\r\nx\r\n");
    for (int i = 0; i < HTTP_CONNECTIONS - 1; i++)
        close(fds[i]);
    close(first);
    close(trusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_origin),
        cmocka_unit_test_setup_teardown(test_serves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stream_unread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
