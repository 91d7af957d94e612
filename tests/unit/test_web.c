/* Unit tests of modules/web and of what it asks an agent with: who may use the page, and for how
 * long; connections that another process opens; questions in a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/dialogue.h"
#include "control/opener.h"
#include "control/server.h"
#include "web/page.h"
#include "web/passes.h"

/* ---- Passes. ---- */

#define S CLOCK_US_PER_S

static void test_tokens(void **state)
{
    struct passes p = {0};
    char first[PASS_BYTES], second[PASS_BYTES], bearer[PASS_BYTES] = "";
    (void)state;
    assert_false(passes_redeem(&p, 0, "", bearer));
    passes_issue(&p, 5 * S, first);
    assert_int_equal(strlen(first), PASS_BYTES - 1);
    passes_issue(&p, 6 * S, second);
    assert_string_not_equal(first, second);
    assert_false(passes_redeem(&p, 7 * S, first, bearer));
    assert_false(passes_redeem(&p, 7 * S, "", bearer));
    assert_false(passes_redeem(&p, (6 + TOKEN_S) * S, second, bearer));
    assert_true(passes_redeem(&p, (6 + TOKEN_S) * S - 1, second, bearer));
    assert_string_not_equal(second, bearer);
    assert_false(passes_redeem(&p, 7 * S, second, bearer));
    assert_false(passes_admit(&p, 7 * S, second));
    assert_true(passes_admit(&p, 7 * S, bearer));
}

static void sign_in(struct passes *p, uint64_t now_us, char bearer[PASS_BYTES])
{
    char token[PASS_BYTES];
    passes_issue(p, now_us, token);
    assert_true(passes_redeem(p, now_us, token, bearer));
}

static void test_bearers(void **state)
{
    struct passes p = {0};
    char idle[PASS_BYTES], used[PASS_BYTES];
    uint64_t now = 100 * S;
    (void)state;
    assert_false(passes_admit(&p, now, ""));
    sign_in(&p, now, idle);
    sign_in(&p, now, used);
    for (; now < (100 + BEARER_S - 1) * S; now += (BEARER_IDLE_S - 1) * S)
        assert_true(passes_admit(&p, now, used));
    assert_false(passes_admit(&p, now, idle));
    assert_false(passes_admit(&p, (100 + BEARER_S) * S, used));
    sign_in(&p, now, used);
    passes_end(&p, "");
    assert_true(passes_admit(&p, now, used));
    passes_end(&p, used);
    assert_false(passes_admit(&p, now, used));
}

/* One more than there may be takes the place of the one that was used least recently. */
static void test_many_bearers(void **state)
{
    struct passes p = {0};
    char bearers[BEARERS_MAX + 1][PASS_BYTES];
    (void)state;
    for (unsigned i = 0; i < BEARERS_MAX; i++)
        sign_in(&p, (i + 1) * S, bearers[i]);
    assert_true(passes_admit(&p, 20 * S, bearers[0]));
    sign_in(&p, 21 * S, bearers[BEARERS_MAX]);
    for (unsigned i = 0; i <= BEARERS_MAX; i++)
        assert_int_equal(passes_admit(&p, 22 * S, bearers[i]), i != 1);
}

static void test_page(void **state)
{
    (void)state;
    for (const struct page_file *f = page_files; f->path; f++)
        assert_true(f->path[0] == '/' && f->content().len > 100);
}

/* ---- An agent's control socket, an opener and an dialogue. ---- */

static struct {
    char path[64];
    struct loop *loop;
    struct control_server *server;
    struct opener *opener;
    struct dialogue *dialogue;
    int fd, error;
    unsigned opened, lines, failed;
    char over[64], lost[64];
} t;

static void run_list(struct control_request *r)
{
    for (unsigned i = 0; i < 3; i++)
        control_request_send(r, view_of_string("{\"kind\":\"row\"}\n"));
    control_done(r, "%s", "three");
}

static void run_fail(struct control_request *r)
{
    control_failed(r, FAILURE_DENIED, "%s", "no");
}

static void run_babble(struct control_request *r)
{
    control_request_send(r, view_of_string("hello\n"));
}

static const struct control_verb verbs[] = {
    {"list", NULL, run_list}, {"fail", NULL, run_fail}, {"babble", NULL, run_babble}, {0}};

static void start_server(void)
{
    const struct control_settings settings = {.path = t.path, .verbs = verbs, .owner = &t};
    struct error e = {0};
    t.server = control_server_new(t.loop, &settings, &e);
    assert_non_null(t.server);
}

static void on_opener_failed(void *owner)
{
    assert_ptr_equal(owner, &t);
    t.failed++;
    loop_stop(t.loop);
}

static int set_up(void **state)
{
    struct error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    strcpy(t.path, "/tmp/spx-test-web-XXXXXX");
    if (!mkdtemp(t.path))
        return -1;
    strcat(t.path, "/s");
    t.opener = opener_start(t.path, &e);
    t.loop = loop_new();
    return t.opener && opener_enter(t.opener, t.loop, on_opener_failed, &t) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dialogue_free(t.dialogue);
    opener_free(t.opener);
    control_server_free(t.server);
    loop_free(t.loop);
    *strrchr(t.path, '/') = '\0';
    return rmdir(t.path);
}

static void on_open(struct connecting *w, int fd, int error)
{
    (void)w;
    t.fd = fd;
    t.error = error;
    t.opened++;
    loop_stop(t.loop);
}

/* A connection; -1: t.error says why. */
static int open_one(void)
{
    struct connecting w = {.done = on_open};
    assert_true(opener_ask(t.opener, &w));
    loop_run(t.loop);
    return t.fd;
}

static void on_line(void *owner, struct view line)
{
    assert_ptr_equal(owner, &t);
    assert_true(view_equal(line, view_of_string("{\"kind\":\"row\"}")));
    t.lines++;
}

static void on_over(void *owner, bool done, struct view line, const char *text)
{
    assert_ptr_equal(owner, &t);
    assert_int_equal(line.data[line.len - 1], '}');
    snprintf(t.over, sizeof t.over, "%s: %s", done ? "done" : "failed", text);
    loop_stop(t.loop);
}

static void on_lost(void *owner, const char *why)
{
    assert_ptr_equal(owner, &t);
    snprintf(t.lost, sizeof t.lost, "%s", why);
    dialogue_free(t.dialogue);
    t.dialogue = NULL;
    loop_stop(t.loop);
}

static void ask(const char *request)
{
    static const struct dialogue_events events = {
        .take = on_line, .over = on_over, .lost = on_lost};
    if (!t.dialogue)
        t.dialogue = dialogue_new(t.loop, open_one(), &events, &t);
    assert_non_null(t.dialogue);
    dialogue_ask(t.dialogue, view_of_string(request));
    loop_run(t.loop);
}

/* Several questions on one connection. */
static void test_asks(void **state)
{
    (void)state;
    start_server();
    ask("{\"verb\":\"list\"}\n");
    assert_int_equal(t.lines, 3);
    assert_string_equal(t.over, "done: three");
    ask("{\"verb\":\"fail\"}\n");
    assert_string_equal(t.over, "failed: no");
    ask("{\"verb\":\"other\"}\n");
    assert_string_equal(t.over, "failed: unknown command 'other'");
    assert_string_equal(t.lost, "");
    ask("{\"verb\":\"babble\"}\n");
    assert_string_equal(t.lost, "its answer is not understood");
}

static void test_lost(void **state)
{
    (void)state;
    start_server();
    ask("{\"verb\":\"fail\"}\n");
    control_server_free(t.server);
    t.server = NULL;
    loop_run(t.loop);
    assert_string_equal(t.lost, "it has closed the connection");
}

/* Nobody listens, then somebody does, again and again. */
static void test_opens(void **state)
{
    (void)state;
    assert_int_equal(open_one(), -1);
    assert_int_equal(t.error, ENOENT);
    for (int i = 0; i < 2; i++) {
        start_server();
        assert_true(open_one() >= 0);
        close(t.fd);
        control_server_free(t.server);
        t.server = NULL;
        assert_int_equal(open_one(), -1);
    }
    assert_int_equal(t.failed, 0);
}

/* The answers to others are not mistaken for those of one that was forgotten. */
static void test_forgets(void **state)
{
    struct connecting first = {.done = on_open}, second = {.done = on_open}, more[OPENINGS_MAX];
    (void)state;
    start_server();
    assert_true(opener_ask(t.opener, &first));
    assert_true(opener_ask(t.opener, &second));
    opener_forget(t.opener, &first);
    loop_run(t.loop);
    assert_int_equal(t.opened, 1);
    assert_true(t.fd >= 0);
    close(t.fd);
    for (unsigned i = 0; i < OPENINGS_MAX; i++) {
        assert_true(opener_ask(t.opener, &more[i]));
        opener_forget(t.opener, &more[i]);
    }
    assert_false(opener_ask(t.opener, &first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_bearers),
        cmocka_unit_test(test_many_bearers),
        cmocka_unit_test(test_page),
        cmocka_unit_test_setup_teardown(test_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
