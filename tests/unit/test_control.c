/* Unit tests of modules/control: requests on a real socket, asked by a thread or by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/exits.h"
#include "control/ask.h"
#include "control/rows.h"
#include "control/server.h"

#define LINES 1000

static struct {
    char path[64];
    struct loop *loop;
    struct control_server *server;
    struct control_request *waiting;
    unsigned put, gone, until;
} t;

/* ---- Verbs. ---- */

static void run_echo(struct control_request *r)
{
    char text[128] = "";
    uint64_t number = 0;
    assert_ptr_equal(control_owner(r), &t);
    json_get_text(control_arguments(r), "text", text, sizeof text);
    json_get_number(control_arguments(r), "number", &number);
    control_done(r, "%s %u", text, (unsigned)number);
}

static void run_refuse(struct control_request *r)
{
    control_failed(r, FAILURE_DENIED, "not for %s", control_caller(r));
}

static void on_gone(void *state)
{
    assert_ptr_equal(state, &t);
    t.gone++;
}

static void put_some(struct control_request *r, void *state)
{
    assert_ptr_equal(state, &t);
    for (int i = 0; i < 10 && t.put < t.until; i++) {
        char line[CONTROL_LINE_BYTES];
        struct json_line l;
        json_begin(&l, line, sizeof line);
        json_put_number(&l, "number", t.put++);
        json_put_text(&l, "filler", "........................................................");
        control_put(r, &l);
    }
    if (t.put == t.until)
        control_done(r, "%s", "");
}

static void run_list(struct control_request *r)
{
    static const struct control_work work = {.more = put_some, .gone = on_gone};
    t.put = 0;
    control_begin(r, &work, &t);
}

static void run_wait(struct control_request *r)
{
    static const struct control_work work = {.gone = on_gone};
    t.waiting = r;
    control_begin(r, &work, &t);
}

static void run_too_long(struct control_request *r)
{
    char line[8];
    struct json_line l;
    json_begin(&l, line, sizeof line);
    json_put_text(&l, "text", "more than there is room for");
    control_put(r, &l);
    control_done(r, "%s", "");
}

static const struct control_argument echo_arguments[] = {
    {"text", JSON_TEXT, true}, {"number", JSON_NUMBER, false}, {"loud", JSON_TRUTH, false}, {0}};

static const struct control_verb verbs[] = {
    {"echo", echo_arguments, run_echo},
    {"refuse", NULL, run_refuse},
    {"list", NULL, run_list},
    {"wait", NULL, run_wait},
    {"watch", NULL, control_watch},
    {"too_long", NULL, run_too_long},
    {0},
};

/* ---- Both sides. ---- */

static struct control_server *new_server(const struct control_settings *more, struct error *e)
{
    struct control_settings settings = more ? *more : (struct control_settings){0};
    settings.path = t.path;
    settings.verbs = verbs;
    settings.owner = &t;
    return control_server_new(t.loop, &settings, e);
}

static int set_up(void **state)
{
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    t.until = LINES;
    strcpy(t.path, "/tmp/spx-test-control-XXXXXX");
    if (!mkdtemp(t.path))
        return -1;
    strcat(t.path, "/s");
    t.loop = loop_new();
    t.server = new_server(NULL, &e);
    return t.loop && t.server ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    control_server_free(t.server);
    loop_free(t.loop);
    unlink(t.path);
    *strrchr(t.path, '/') = '\0';
    return rmdir(t.path);
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

static int connect_by_hand(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    strcpy(a.sun_path, t.path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
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
    static char text[4096];
    ssize_t n;
    run_rounds();
    n = recv(fd, text, sizeof text - 1, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return NULL;
    assert_true(n > 0 || errno == EAGAIN);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void assert_closed(int fd)
{
    assert_null(hear(fd));
    close(fd);
}

struct asking {
    struct control_question q;
    struct error e;
    char text[CONTROL_TEXT_BYTES];
    bool good;
    unsigned lines, stop_at;
    struct loop_call over;
};

static bool take_line(void *arg, const struct json_object *o, struct view line, struct error *e)
{
    struct asking *a = arg;
    uint64_t number = 0;
    assert_true(json_get_number(o, "number", &number) && number == a->lines);
    assert_int_equal(line.data[0], '{');
    a->lines++;
    return a->lines != a->stop_at || error_set(e, FAILURE_OTHER, "enough");
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(t.loop);
}

static void *ask(void *arg)
{
    struct asking *a = arg;
    a->good = control_ask(&a->q, a->text, &a->e);
    a->over.f = stop_loop;
    loop_post(t.loop, &a->over);
    return NULL;
}

static void ask_with(struct asking *a, const char *request)
{
    pthread_t thread;
    a->q.path = t.path;
    a->q.request = view_of_string(request);
    a->q.patience_s = 20;
    a->q.take = take_line;
    a->q.arg = a;
    assert_int_equal(pthread_create(&thread, NULL, ask, a), 0);
    loop_run(t.loop);
    pthread_join(thread, NULL);
}

static void assert_refused(const char *request, enum failure failure, const char *text)
{
    struct asking a = {0};
    ask_with(&a, request);
    assert_false(a.good);
    assert_int_equal(a.e.failure, failure);
    if (!strstr(a.e.text, text))
        fail_msg("'%s' is not in '%s'", text, a.e.text);
}

/* ---- Tests. ---- */

static void test_answers(void **state)
{
    struct asking a = {0};
    char who[64];
    (void)state;
    ask_with(&a, "{\"verb\":\"echo\",\"text\":\"hello\",\"number\":7}\n");
    assert_true(a.good);
    assert_string_equal(a.text, "hello 7");
    snprintf(who, sizeof who, "not for uid %u (process ", (unsigned)geteuid());
    assert_refused("{\"verb\":\"refuse\"}\n", FAILURE_DENIED,
                   geteuid() ? who : "not for root (process ");
}

static void test_refuses(void **state)
{
    (void)state;
    assert_refused("hello\n", FAILURE_USAGE, "no JSON object");
    assert_refused("{}\n", FAILURE_USAGE, "no verb");
    assert_refused("{\"verb\":7}\n", FAILURE_USAGE, "no verb");
    assert_refused("{\"verb\":\"ech\"}\n", FAILURE_USAGE, "unknown command 'ech'");
    assert_refused("{\"verb\":\"echo\"}\n", FAILURE_USAGE, "missing argument: text");
    assert_refused("{\"verb\":\"echo\",\"text\":1}\n", FAILURE_USAGE, "text: expected a text");
    assert_refused("{\"verb\":\"echo\",\"text\":\"\",\"number\":\"1\"}\n", FAILURE_USAGE,
                   "number: expected a number");
    assert_refused("{\"verb\":\"refuse\",\"text\":\"x\"}\n", FAILURE_USAGE,
                   "unknown argument 'text'");
    assert_refused("{\"verb\":\"too_long\"}\n", FAILURE_NETWORK, "closed by the other side");
}

/* More lines than a socket takes come whole and in order; the asker may stop. */
static void test_long_answer(void **state)
{
    struct asking a = {0}, b = {.stop_at = 5};
    (void)state;
    t.until = 20000;
    ask_with(&a, "{\"verb\":\"list\"}\n");
    assert_true(a.good);
    assert_int_equal(a.lines, 20000);
    assert_int_equal(t.gone, 1);
    ask_with(&b, "{\"verb\":\"list\"}\n");
    assert_false(b.good);
    assert_int_equal(b.lines, 5);
    run_rounds();
    run_rounds();
    assert_int_equal(t.gone, 2);
    assert_true(t.put < 20000);
}

/* Nothing is made ahead for an asker that does not read. */
static void test_slow_reader(void **state)
{
    unsigned before;
    int fd;
    (void)state;
    t.until = 1000000;
    fd = connect_by_hand();
    say(fd, "{\"verb\":\"list\"}\n");
    for (int i = 0; i < 100; i++)
        run_rounds();
    before = t.put;
    assert_true(before > 100 && before < 20000);
    run_rounds();
    assert_int_equal(t.put, before);
    assert_int_equal(t.gone, 0);
    close(fd);
    run_rounds();
    assert_int_equal(t.gone, 1);
}

/* Pieces, and several at once: each has its answer, in order. */
static void test_several_requests(void **state)
{
    int fd = connect_by_hand();
    (void)state;
    say(fd, "{\"verb\":\"echo\",");
    assert_string_equal(hear(fd), "");
    say(fd, "\"text\":\"a\"}\n{\"verb\":\"echo\",\"text\":\"b\"}\n{\"verb\":");
    assert_string_equal(hear(fd), "{\"result\":\"done\",\"text\":\"a 0\"}\n"
                                  "{\"result\":\"done\",\"text\":\"b 0\"}\n");
    say(fd, "\"x\"}\n");
    assert_string_equal(hear(fd),
                        "{\"result\":\"failed\",\"code\":2,\"text\":\"unknown command 'x'\"}\n");
    shutdown(fd, SHUT_WR);
    assert_closed(fd);
}

/* The answer comes later, also to an asker that has closed its half; others are served meanwhile.
 */
static void test_late_answer(void **state)
{
    int fd = connect_by_hand(), other = connect_by_hand();
    (void)state;
    say(fd, "{\"verb\":\"wait\"}\n");
    shutdown(fd, SHUT_WR);
    say(other, "{\"verb\":\"echo\",\"text\":\"x\"}\n");
    assert_string_equal(hear(other), "{\"result\":\"done\",\"text\":\"x 0\"}\n");
    assert_string_equal(hear(fd), "");
    control_done(t.waiting, "%s", "now");
    assert_int_equal(t.gone, 1);
    assert_string_equal(hear(fd), "{\"result\":\"done\",\"text\":\"now\"}\n");
    assert_closed(fd);
    close(other);
}

static void test_endless_request(void **state)
{
    char text[CONTROL_REQUEST_BYTES + 1];
    int fd = connect_by_hand();
    (void)state;
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    say(fd, text);
    assert_string_equal(hear(fd),
                        "{\"result\":\"failed\",\"code\":2,\"text\":\"the request is longer "
                        "than 4096 bytes\"}\n");
    assert_closed(fd);
}

static void test_watch(void **state)
{
    int fd = connect_by_hand(), deaf = connect_by_hand();
    unsigned told;
    (void)state;
    assert_false(control_server_is_watched(t.server));
    say(fd, "{\"verb\":\"watch\"}\n");
    say(deaf, "{\"verb\":\"watch\"}\n");
    assert_true(control_server_is_watched(t.server));
    control_server_tell(t.server, view_of_string("{\"event\":\"x\"}\n"));
    assert_string_equal(hear(fd), "{\"event\":\"x\"}\n");
    close(fd);
    run_rounds();
    for (told = 0; control_server_is_watched(t.server) && told < 100000; told++) {
        control_server_tell(t.server, view_of_string("{\"event\":\"something\"}\n"));
        if (told % 1000 == 0)
            run_rounds();
    }
    assert_true(told > 1000 && told < 100000); /* one that does not read is dropped */
    close(deaf);
}

/* The server ends: who waits is told what there is to tell. */
static void test_end(void **state)
{
    int fd = connect_by_hand(), watcher = connect_by_hand();
    (void)state;
    say(fd, "{\"verb\":\"wait\"}\n");
    say(watcher, "{\"verb\":\"watch\"}\n");
    control_server_tell(t.server, view_of_string("{\"event\":\"end\"}\n"));
    control_server_free(t.server);
    t.server = NULL;
    assert_int_equal(t.gone, 1);
    assert_string_equal(hear(watcher), "{\"event\":\"end\"}\n");
    assert_closed(watcher);
    assert_closed(fd);
    assert_int_not_equal(access(t.path, F_OK), 0);
}

static void test_too_many(void **state)
{
    int fds[CONTROL_CONNECTIONS_PER_USER], more;
    (void)state;
    for (int i = 0; i < CONTROL_CONNECTIONS_PER_USER; i++)
        fds[i] = connect_by_hand();
    more = connect_by_hand();
    assert_string_equal(hear(more), "{\"result\":\"failed\",\"code\":1,\"text\":\"too many "
                                    "connections to the control socket\"}\n");
    assert_closed(more);
    close(fds[0]);
    run_rounds();
    fds[0] = connect_by_hand();
    say(fds[0], "{\"verb\":\"echo\",\"text\":\"x\"}\n");
    assert_string_equal(hear(fds[0]), "{\"result\":\"done\",\"text\":\"x 0\"}\n");
    for (int i = 0; i < CONTROL_CONNECTIONS_PER_USER; i++)
        close(fds[i]);
}

static mode_t mode_of_socket(void)
{
    struct stat st = {0};
    assert_int_equal(stat(t.path, &st), 0);
    return st.st_mode & 0777;
}

static void test_socket(void **state)
{
    struct error e = {0};
    const struct control_settings grouped = {.has_group = true, .group = getegid()};
    char other[96];
    (void)state;
    assert_int_equal(mode_of_socket(), 0600);
    assert_true(control_server_is(t.server, t.path));
    assert_false(control_server_is(t.server, "/tmp"));
    assert_null(new_server(NULL, &e));
    assert_string_equal(e.text, "in use");
    assert_int_equal(e.failure, FAILURE_NETWORK);
    /* A file that took its place is not removed with it; one left behind is replaced. */
    snprintf(other, sizeof other, "%s.kept", t.path);
    assert_int_equal(link(t.path, other), 0);
    control_server_free(t.server);
    assert_int_equal(rename(other, t.path), 0);
    t.server = new_server(&grouped, &e);
    assert_non_null(t.server);
    assert_int_equal(mode_of_socket(), 0660);
    assert_int_equal(rename(t.path, other), 0);
    close(open(t.path, O_CREAT | O_WRONLY, 0600));
    control_server_free(t.server);
    t.server = NULL;
    assert_int_equal(access(t.path, F_OK), 0);
    assert_int_equal(unlink(other), 0);
}

static void test_nobody_there(void **state)
{
    struct control_question q = {.path = t.path, .patience_s = 5};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct error e = {0};
    char text[CONTROL_TEXT_BYTES];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    control_server_free(t.server);
    t.server = NULL;
    assert_false(control_ask(&q, text, &e));
    assert_int_equal(e.failure, FAILURE_OTHER);
    assert_non_null(strstr(e.text, "nothing runs with this control socket"));
    strcpy(a.sun_path, t.path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    e = (struct error){0};
    assert_false(control_ask(&q, text, &e));
    assert_non_null(strstr(e.text, "earlier release"));
    close(fd);
}

static void test_exit_codes(void **state)
{
    (void)state;
    for (int f = FAILURE_NONE; f <= FAILURE_INTERRUPTED; f++)
        assert_int_equal(exit_failure((uint64_t)exit_code((enum failure)f)), f);
    assert_int_equal(exit_failure(77), FAILURE_OTHER);
}

static void test_rows(void **state)
{
    struct json_object o;
    struct error e = {0};
    char value[ROW_VALUE_BYTES];
    (void)state;
    assert_true(json_read(&o, view_of_string("{\"n\":1500,\"t\":\"a\\u0007b\",\"e\":\"\"}"), &e));
    row_value(value, &o, "n", ROW_NUMBER);
    assert_string_equal(value, "1500");
    row_value(value, &o, "n", ROW_BYTES);
    assert_string_equal(value, "1.5 KB");
    row_value(value, &o, "n", ROW_SECONDS);
    assert_string_equal(value, "25 min");
    row_value(value, &o, "n", ROW_ROUND_TRIP_US);
    assert_string_equal(value, "1.5 ms");
    row_value(value, &o, "t", ROW_TEXT);
    assert_string_equal(value, "a?b");
    row_value(value, &o, "e", ROW_TEXT);
    assert_string_equal(value, "-");
    row_value(value, &o, "none", ROW_TEXT);
    assert_string_equal(value, "-");
}

#define WITH_SOCKET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SOCKET(test_answers),
        WITH_SOCKET(test_refuses),
        WITH_SOCKET(test_long_answer),
        WITH_SOCKET(test_slow_reader),
        WITH_SOCKET(test_several_requests),
        WITH_SOCKET(test_late_answer),
        WITH_SOCKET(test_endless_request),
        WITH_SOCKET(test_watch),
        WITH_SOCKET(test_end),
        WITH_SOCKET(test_too_many),
        WITH_SOCKET(test_socket),
        WITH_SOCKET(test_nobody_there),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
