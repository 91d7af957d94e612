/* Dialling: literals, names, the filter, fallback to the next address, cancelling, time-outs.
 * Loopback only: name servers of the test's own stand in for the system's, so that no name leaves
 * the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/dial.h"
#include "net/name_servers.h"

#define LONG_US (20 * CLOCK_US_PER_S) /* never waited for */

static struct loop *loop;

/* ---- Name servers of the test's own, in place of net/name_servers.c. ---- */

struct name {
    const char *name;
    const char *addresses[6];
    enum answer_kind ipv6, ipv4; /* 0: as the addresses are; but ANSWER_ADDRESSES: when asked to */
};

#define LATER ANSWER_ADDRESSES

static const struct name names[] = {
    {.name = "one.test", .addresses = {"127.0.0.1"}},
    {.name = "two.test", .addresses = {"127.0.0.2", "127.0.0.1"}},
    {.name = "three.test", .addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.1"}},
    {.name = "six.test", .addresses = {"::1", "127.0.0.1"}},
    {.name = "turns.test", .addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "::1", "::2"}},
    {.name = "empty.test"},
    {.name = "failing.test", .ipv6 = ANSWER_FAILURE, .ipv4 = ANSWER_FAILURE},
    {.name = "silent.test", .ipv6 = ANSWER_TIMED_OUT, .ipv4 = ANSWER_TIMED_OUT},
    {.name = "memory.test", .ipv6 = ANSWER_NO_MEMORY, .ipv4 = ANSWER_NO_MEMORY},
    {.name = "no-six.test", .addresses = {"127.0.0.1"}, .ipv6 = ANSWER_FAILURE},
    {.name = "late-six.test", .addresses = {"127.0.0.1", "::1"}, .ipv6 = LATER},
    {.name = "late-four.test", .addresses = {"127.0.0.1", "::1"}, .ipv4 = LATER},
    {.name = "slow.test", .addresses = {"127.0.0.1"}, .ipv6 = LATER, .ipv4 = LATER},
};

struct name_servers {
    struct list link; /* on those_asked */
    struct loop *loop;
    struct timer timer;
    const struct name *name; /* NULL: not there */
    struct name_answer answers[QUESTION_FAMILIES];
    void (*on_answer)(void *arg);
    void *arg;
};

static struct list those_asked = {&those_asked, &those_asked};
static unsigned asked, running, most_running;
static bool answer_later; /* no more: now */

static void fake_answer(struct name_servers *ns, int family, enum answer_kind kind)
{
    struct name_answer *answer = &ns->answers[family];
    if (kind == LATER && answer_later)
        return;
    if (kind != ANSWER_AWAITED && kind != LATER) {
        answer->kind = kind;
        return;
    }
    answer->count = 0;
    for (size_t i = 0; i < 6 && ns->name->addresses[i]; i++)
        if (!strchr(ns->name->addresses[i], ':') == (family == QUESTION_IPV4))
            address_from_literal(&answer->addresses[answer->count++], ns->name->addresses[i], 0);
    answer->kind = answer->count > 0 ? ANSWER_ADDRESSES : ANSWER_NO_ADDRESS;
}

static void on_fake_timer(struct timer *timer)
{
    struct name_servers *ns = container_of(timer, struct name_servers, timer);
    fake_answer(ns, QUESTION_IPV6, ns->name ? ns->name->ipv6 : ANSWER_NO_NAME);
    fake_answer(ns, QUESTION_IPV4, ns->name ? ns->name->ipv4 : ANSWER_NO_NAME);
    ns->on_answer(ns->arg);
}

/* The answers that are still awaited come after_us from now. */
static void answer_now(uint64_t after_us)
{
    answer_later = false;
    list_each (link, &those_asked) {
        struct name_servers *ns = container_of(link, struct name_servers, link);
        timer_set(ns->loop, &ns->timer, loop_now(ns->loop) + after_us);
    }
}

struct name_servers *name_servers_new(struct loop *its_loop, bool kept_low,
                                      void (*on_answer)(void *arg), void *arg)
{
    struct name_servers *ns = calloc(1, sizeof *ns);
    (void)kept_low;
    assert_non_null(ns);
    ns->loop = its_loop;
    ns->timer.on_fire = on_fake_timer;
    ns->on_answer = on_answer;
    ns->arg = arg;
    list_append(&those_asked, &ns->link);
    if (++running > most_running)
        most_running = running;
    return ns;
}

void name_servers_ask(struct name_servers *ns, const char *name)
{
    asked++;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, name) == 0)
            ns->name = &names[i];
    timer_set(ns->loop, &ns->timer, loop_now(ns->loop));
}

const struct name_answer *name_servers_answer(const struct name_servers *ns,
                                              enum question_family family)
{
    return &ns->answers[family];
}

bool name_servers_search(char out[FULL_NAME_BYTES], const struct name_servers *ns, const char *name,
                         unsigned *n)
{
    (void)ns;
    snprintf(out, FULL_NAME_BYTES, "%s", name);
    return (*n)++ == 0;
}

void name_servers_free(struct name_servers *ns)
{
    if (!ns)
        return;
    running--;
    list_remove(&ns->link);
    timer_cancel(ns->loop, &ns->timer);
    free(ns);
}

/* ---- What a dial came to. ---- */

struct outcome {
    unsigned calls;
    enum dial_result result;
    int fd;
    struct address address;
    char address_text[ADDRESS_TEXT_BYTES];
    char text[512];
    const char *refuse; /* an address that is not allowed; "*": all */
    unsigned asked_for;
    char order[512]; /* their addresses */
};

static unsigned dials_left;
static const void *owner; /* of the dials that are started */
static bool no_servers;   /* are asked by them */

static void on_done(void *arg, enum dial_result result, int fd, const struct address *address,
                    const char *text)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->result = result;
    outcome->fd = fd;
    outcome->address = *address;
    if (address->len)
        address_to_text(outcome->address_text, address);
    snprintf(outcome->text, sizeof outcome->text, "%s", text);
    assert_int_equal(fd >= 0, result == DIAL_OK);
    assert_int_equal(text[0] == '\0', result == DIAL_OK);
    if (--dials_left == 0)
        loop_stop(loop);
}

static bool allow(void *arg, const struct address *address)
{
    struct outcome *outcome = arg;
    char text[ADDRESS_TEXT_BYTES];
    outcome->asked_for++;
    address_to_text(text, address);
    strcat(outcome->order, text);
    strcat(outcome->order, " ");
    return strcmp(outcome->refuse, "*") != 0 &&
           strncmp(text, outcome->refuse, strlen(outcome->refuse)) != 0;
}

static struct dial *start(struct outcome *outcome, const char *host, uint16_t port,
                          uint64_t timeout_us)
{
    char copy[600];
    struct dial_request request = {
        .host = copy,
        .port = port,
        .owner = owner,
        .no_servers = no_servers,
        .timeout_us = timeout_us,
        .allow = outcome->refuse ? allow : NULL,
        .done = on_done,
        .arg = outcome,
    };
    snprintf(copy, sizeof copy, "%s", host);
    loop_refresh_now(loop);
    struct dial *dial = dial_start(loop, &request);
    assert_non_null(dial);
    assert_int_equal(outcome->calls, 0); /* never inside */
    memset(copy, 'x', sizeof copy - 1);  /* the host is copied */
    dials_left++;
    return dial;
}

static void dial_to(struct outcome *outcome, const char *host, uint16_t port, uint64_t timeout_us)
{
    start(outcome, host, port, timeout_us);
    loop_run(loop);
    assert_int_equal(outcome->calls, 1);
}

/* ---- Listeners. ---- */

static int listen_at(const char *host, uint16_t *port, int backlog)
{
    struct address address;
    struct error e = {0};
    assert_true(address_from_literal(&address, host, *port));
    int fd = socket_listen(&address, backlog, &e);
    if (fd >= 0) {
        assert_true(address_of_socket(&address, fd, false));
        *port = address_port(&address);
    }
    return fd;
}

/* A listener that answers no more: its queue is full, so that a SYN is dropped. */
struct full {
    int listener, waiting[8];
};

static void fill(struct full *full, const char *host, uint16_t *port)
{
    struct address address;
    bool in_progress;
    full->listener = listen_at(host, port, 0);
    assert_true(full->listener >= 0);
    assert_true(address_from_literal(&address, host, *port));
    for (int i = 0; i < 8; i++)
        full->waiting[i] = socket_connect(&address, &in_progress);
}

static void empty(struct full *full)
{
    for (int i = 0; i < 8; i++)
        close(full->waiting[i]);
    close(full->listener);
}

/* A port on which nobody listens. */
static uint16_t closed_port(void)
{
    uint16_t port = 0;
    int fd = listen_at("127.0.0.1", &port, 1);
    assert_true(fd >= 0);
    close(fd);
    return port;
}

static void assert_connected(struct outcome *outcome, int listener)
{
    struct address peer, own;
    assert_int_equal(outcome->result, DIAL_OK);
    int fd = socket_accept(listener, &peer);
    assert_true(fd >= 0);
    assert_true(address_of_socket(&own, outcome->fd, false));
    assert_int_equal(address_port(&own), address_port(&peer));
    close(fd);
    close(outcome->fd);
}

static unsigned open_before;

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int set_up(void **state)
{
    (void)state;
    open_before = count_descriptors();
    dials_left = 0;
    asked = running = most_running = 0;
    answer_later = true;
    no_servers = false;
    loop = loop_new();
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    assert_int_equal(running, 0);
    assert_int_equal(count_descriptors(), open_before);
    return 0;
}

/* ---- The tests. ---- */

static void test_literal(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    char expected[32];
    (void)state;
    dial_to(&outcome, "127.0.0.1", port, LONG_US);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
    assert_string_equal(outcome.address_text, expected);
    assert_connected(&outcome, listener);
    assert_int_equal(asked, 0);
    close(listener);
}

static void test_literal_ipv6(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("::1", &port, 8);
    (void)state;
    if (listener < 0)
        skip(); /* a machine without IPv6 */
    dial_to(&outcome, "::1", port, LONG_US);
    assert_connected(&outcome, listener);
    close(listener);
}

static void test_link_local_without_an_interface(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("::1", &port, 8);
    (void)state;
    if (listener < 0)
        skip(); /* a machine without IPv6 */
    dial_to(&outcome, "fe80::1", port, LONG_US);
    assert_int_equal(outcome.result, DIAL_UNREACHABLE);
    assert_string_equal(outcome.text,
                        "a link-local address needs its interface, as in fe80::1%eth0");
    close(listener);
}

static void test_unix_paths(void **state)
{
    struct outcome good = {0}, absent = {0}, too_long = {0}, nothing = {0};
    char dir[] = "/tmp/test_dial.XXXXXX", path[64], target[600];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct address address = {.len = sizeof un};
    struct error e = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    strcpy(un.sun_path, path);
    memcpy(&address.storage, &un, sizeof un);
    int listener = socket_listen(&address, 8, &e);
    assert_true(listener >= 0);

    snprintf(target, sizeof target, "unix:%s", path);
    dial_to(&good, target, 0, LONG_US);
    assert_int_equal(good.result, DIAL_OK);
    close(good.fd);
    /* Nobody listens any more: then the file may be taken over, but not while somebody does. */
    assert_int_equal(socket_listen(&address, 8, &e), -1);
    close(listener);
    dial_to(&absent, target, 0, LONG_US);
    assert_int_equal(absent.result, DIAL_REFUSED);
    listener = socket_listen(&address, 8, &e);
    assert_true(listener >= 0);
    close(listener);
    unlink(path);

    snprintf(target, sizeof target, "unix:/%0200d", 1);
    dial_to(&too_long, target, 0, LONG_US);
    assert_int_equal(too_long.result, DIAL_UNREACHABLE);
    dial_to(&nothing, "unix:", 0, LONG_US);
    assert_int_equal(nothing.result, DIAL_UNREACHABLE);
    rmdir(dir);
}

struct late_accept {
    struct timer timer;
    int listener, fd;
};

static void accept_late(struct timer *timer)
{
    struct late_accept *late = container_of(timer, struct late_accept, timer);
    struct address peer;
    late->fd = socket_accept(late->listener, &peer);
}

/* A UNIX socket whose queue is full is tried again until there is room. */
static void test_unix_queue_full(void **state)
{
    struct outcome first = {0}, second = {0}, third = {0};
    struct late_accept late = {.timer.on_fire = accept_late, .fd = -1};
    char dir[] = "/tmp/test_dial.XXXXXX", path[64], target[72];
    struct address address;
    struct error e = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(target, sizeof target, "unix:%s", path);
    assert_true(address_from_path(&address, path));
    late.listener = socket_listen(&address, 0, &e); /* room for one */
    assert_true(late.listener >= 0);
    dial_to(&first, target, 0, LONG_US);
    assert_int_equal(first.result, DIAL_OK);
    dial_to(&second, target, 0, 100 * CLOCK_US_PER_MS);
    assert_int_equal(second.result, DIAL_TIMED_OUT);

    timer_set(loop, &late.timer, loop_now(loop) + 50 * CLOCK_US_PER_MS);
    dial_to(&third, target, 0, LONG_US);
    assert_int_equal(third.result, DIAL_OK);
    assert_true(late.fd >= 0);
    close(first.fd);
    close(third.fd);
    close(late.fd);
    close(late.listener);
    socket_remove_file(&address);
    assert_int_equal(access(path, F_OK), -1);
    rmdir(dir);
}

static void test_refused(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = closed_port();
    (void)state;
    dial_to(&outcome, "127.0.0.1", port, LONG_US);
    assert_int_equal(outcome.result, DIAL_REFUSED);
    assert_int_equal(address_port(&outcome.address), port);
    assert_string_equal(outcome.text, "connection refused");
}

static void test_name(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    (void)state;
    dial_to(&outcome, "one.test", port, LONG_US);
    assert_int_equal(asked, 1);
    assert_connected(&outcome, listener);
    close(listener);
}

static void expect_no_name(const char *host, enum dial_result expected, const char *text)
{
    struct outcome outcome = {0};
    dial_to(&outcome, host, 1, LONG_US);
    assert_int_equal(outcome.result, expected);
    assert_string_equal(outcome.text, text);
    assert_int_equal(outcome.address.len, 0);
}

static void test_names_without_address(void **state)
{
    char too_long[400];
    (void)state;
    expect_no_name("gone.test", DIAL_NO_NAME, "no such host name");
    expect_no_name("empty.test", DIAL_NO_NAME, "the name has no address");
    expect_no_name("failing.test", DIAL_UNREACHABLE, "the name servers cannot answer");
    expect_no_name("silent.test", DIAL_TIMED_OUT, "no answer from the name servers in time");
    expect_no_name("memory.test", DIAL_INTERNAL, "out of memory");
    assert_int_equal(asked, 5);
    snprintf(too_long, sizeof too_long, "%0300d.test", 1);
    expect_no_name(too_long, DIAL_NO_NAME, "no such host name");
    expect_no_name("", DIAL_NO_NAME, "no such host name");
    expect_no_name("host.invalid", DIAL_NO_NAME, "no such host name");
    expect_no_name("Host.INVALID.", DIAL_NO_NAME, "no such host name");
    expect_no_name("invalid", DIAL_NO_NAME, "no such host name");
    assert_int_equal(asked, 5); /* these were not asked for */
    expect_no_name("notinvalid", DIAL_NO_NAME, "no such host name");
    assert_int_equal(asked, 6);
}

static void test_filter(void **state)
{
    struct outcome all = {.refuse = "*"}, first = {.refuse = "127.0.0.2"},
                   literal = {.refuse = "*"};
    uint16_t port = 0;
    int listener = listen_at("0.0.0.0", &port, 8);
    (void)state;
    dial_to(&all, "two.test", port, LONG_US);
    assert_int_equal(all.result, DIAL_NOT_ALLOWED);
    assert_int_equal(all.asked_for, 2);
    dial_to(&literal, "127.0.0.1", port, LONG_US);
    assert_int_equal(literal.result, DIAL_NOT_ALLOWED);
    struct address peer;
    assert_int_equal(socket_accept(listener, &peer), -1); /* nothing was sent */

    dial_to(&first, "two.test", port, LONG_US);
    assert_int_equal(first.asked_for, 2);
    assert_non_null(strstr(first.address_text, "127.0.0.1"));
    assert_connected(&first, listener);
    close(listener);
}

static void test_a_failure_says_more_than_the_filter(void **state)
{
    struct outcome outcome = {.refuse = "127.0.0.1"};
    (void)state;
    dial_to(&outcome, "two.test", closed_port(), LONG_US);
    assert_int_equal(outcome.result, DIAL_REFUSED);
    assert_non_null(strstr(outcome.address_text, "127.0.0.2"));
}

static void test_next_address_when_refused(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    uint64_t start_us = clock_now_us();
    (void)state;
    dial_to(&outcome, "three.test", port, LONG_US);
    assert_true(clock_now_us() - start_us < 450 * CLOCK_US_PER_MS); /* not twice 250 */
    assert_connected(&outcome, listener);
    close(listener);
}

static void test_next_address_of_the_other_family(void **state)
{
    struct outcome outcome = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    (void)state;
    dial_to(&outcome, "six.test", port, LONG_US); /* ::1 refuses, or there is no IPv6 */
    assert_connected(&outcome, listener);
    close(listener);
}

static void test_next_address_beside_a_silent_one(void **state)
{
    struct outcome outcome = {0};
    struct full full;
    uint16_t port = 0;
    uint64_t start_us = clock_now_us();
    (void)state;
    int listener = listen_at("127.0.0.1", &port, 8);
    assert_true(listener >= 0);
    fill(&full, "127.0.0.2", &port);
    dial_to(&outcome, "two.test", port, LONG_US);
    assert_in_range(clock_now_us() - start_us, 250 * CLOCK_US_PER_MS, LONG_US / 2);
    assert_non_null(strstr(outcome.address_text, "127.0.0.1"));
    assert_connected(&outcome, listener);
    close(listener);
    empty(&full);
}

/* The last address has failed, but one before it may still answer. */
static void test_a_silent_one_is_waited_for(void **state)
{
    struct outcome outcome = {0};
    struct full full;
    uint16_t port = closed_port();
    uint64_t start_us = clock_now_us();
    (void)state;
    fill(&full, "127.0.0.2", &port); /* 127.0.0.1 refuses after 250 ms */
    dial_to(&outcome, "two.test", port, 400 * CLOCK_US_PER_MS);
    assert_int_equal(outcome.result, DIAL_TIMED_OUT);
    assert_non_null(strstr(outcome.address_text, "127.0.0.2"));
    assert_true(clock_now_us() - start_us >= 400 * CLOCK_US_PER_MS);
    empty(&full);
}

static void test_time_out(void **state)
{
    struct outcome outcome = {0}, at_once = {0};
    struct full full;
    uint16_t port = 0;
    (void)state;
    fill(&full, "127.0.0.1", &port);
    uint64_t start_us = clock_now_us();
    dial_to(&outcome, "127.0.0.1", port, 50 * CLOCK_US_PER_MS);
    assert_int_equal(outcome.result, DIAL_TIMED_OUT);
    assert_true(clock_now_us() - start_us >= 50 * CLOCK_US_PER_MS);
    assert_int_equal(address_port(&outcome.address), port);
    dial_to(&at_once, "127.0.0.1", port, 0);
    assert_int_equal(at_once.result, DIAL_TIMED_OUT);
    empty(&full);
}

static void test_time_out_of_the_look_up(void **state)
{
    struct outcome outcome = {0};
    (void)state;
    dial_to(&outcome, "slow.test", 1, 50 * CLOCK_US_PER_MS);
    assert_int_equal(outcome.result, DIAL_TIMED_OUT);
    assert_int_equal(outcome.address.len, 0);
    assert_int_equal(running, 0);
}

static void test_cancel_connecting(void **state)
{
    struct outcome outcome = {0}, other = {0};
    struct full full;
    uint16_t port = 0;
    (void)state;
    fill(&full, "127.0.0.1", &port);
    struct dial *unborn = start(&outcome, "127.0.0.1", port, LONG_US);
    dial_cancel(unborn); /* before its first round */
    struct dial *dial = start(&outcome, "127.0.0.1", port, LONG_US);
    dials_left -= 2;
    dial_to(&other, "127.0.0.1", port, 20 * CLOCK_US_PER_MS); /* meanwhile it connects */
    dial_cancel(dial);
    other.calls = 0;
    dial_to(&other, "127.0.0.1", port, 20 * CLOCK_US_PER_MS);
    assert_int_equal(outcome.calls, 0);
    empty(&full);
}

/* The loop ends with the round in which the connect begins. */
static bool stop_and_allow(void *arg, const struct address *address)
{
    (void)arg;
    (void)address;
    loop_stop(loop);
    return true;
}

/* A target that had connected when its stream was reset sees no end of file. */
static void test_cancel_connected(void **state)
{
    struct outcome outcome = {0};
    struct address peer;
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    const struct dial_request request = {.host = "127.0.0.1",
                                         .port = port,
                                         .owner = &outcome,
                                         .timeout_us = LONG_US,
                                         .allow = stop_and_allow,
                                         .done = on_done,
                                         .arg = &outcome};
    char byte;
    (void)state;
    loop_refresh_now(loop);
    struct dial *dial = dial_start(loop, &request);
    assert_non_null(dial);
    loop_run(loop);
    int accepted = socket_accept(listener, &peer);
    assert_true(accepted >= 0);
    dial_cancel(dial);
    assert_int_equal(read(accepted, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(outcome.calls, 0);
    close(accepted);
    close(listener);
}

static void on_pause(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* Lets happen all that is due. */
static void run_a_while(void)
{
    struct timer pause = {.on_fire = on_pause};
    timer_set(loop, &pause, loop_refresh_now(loop) + 10 * CLOCK_US_PER_MS);
    loop_run(loop);
}

/* Before it begins, while it waits for its turn, and while the name servers are asked. */
static void test_cancel_looking_up(void **state)
{
    enum { COUNT = 100, AT_A_TIME = 64 };
    static struct outcome outcomes[COUNT];
    struct dial *dials[COUNT];
    struct outcome other = {0};

    (void)state;
    memset(outcomes, 0, sizeof outcomes);
    for (int i = 0; i < COUNT; i++)
        dials[i] = start(&outcomes[i], "slow.test", closed_port(), LONG_US);
    dial_cancel(dials[0]);
    run_a_while();
    assert_int_equal(running, AT_A_TIME);
    for (int i = 1; i < 5; i++)
        dial_cancel(dials[i]); /* asking */
    for (int i = COUNT - 4; i < COUNT; i++)
        dial_cancel(dials[i]); /* waiting */
    run_a_while();
    assert_int_equal(running, AT_A_TIME);
    answer_now(0);
    dials_left = COUNT - 9;
    loop_run(loop);
    dials_left = 0;
    dial_to(&other, "one.test", closed_port(), LONG_US);
    assert_int_equal(most_running, AT_A_TIME);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(outcomes[i].calls, i >= 5 && i < COUNT - 4 ? 1 : 0);
}

/* An owner whose names nobody answers for holds up its own ones only. */
static void test_names_of_one_owner(void **state)
{
    enum { COUNT = 30, OF_OWNER = 6 };
    static struct outcome outcomes[COUNT];
    struct dial *dials[COUNT];
    struct outcome other = {0}, own = {0};

    (void)state;
    memset(outcomes, 0, sizeof outcomes);
    owner = &outcomes;
    for (int i = 0; i < COUNT; i++)
        dials[i] = start(&outcomes[i], "slow.test", closed_port(), LONG_US);
    run_a_while();
    assert_int_equal(running, OF_OWNER);
    dials_left = 0;
    dial_to(&own, "one.test", closed_port(), 50 * CLOCK_US_PER_MS);
    assert_int_equal(own.result, DIAL_TIMED_OUT);
    owner = &other;
    dial_to(&other, "one.test", closed_port(), LONG_US);
    assert_int_equal(other.result, DIAL_REFUSED);
    assert_int_equal(most_running, OF_OWNER + 1);
    for (int i = 0; i < COUNT / 2; i++)
        dial_cancel(dials[i]); /* asking, and waiting */
    dials_left = COUNT - COUNT / 2;
    answer_now(0);
    loop_run(loop);
    owner = NULL;
    assert_int_equal(most_running, OF_OWNER + 1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(outcomes[i].calls, i >= COUNT / 2);
}

static void test_cancel_and_free_the_loop(void **state)
{
    struct outcome outcome = {0};
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct dial *dial = start(&outcome, "one.test", 1, LONG_US);
        dial_cancel(dial);
        loop_free(loop);
        loop = loop_new();
        assert_non_null(loop);
    }
    assert_int_equal(outcome.calls, 0);
}

/* ---- The two families. ---- */

/* The port of listeners on both loopback addresses. */
static bool listen_at_both(int listeners[2], uint16_t *port)
{
    listeners[0] = listen_at("::1", port, 8);
    if (listeners[0] < 0)
        return false; /* a machine without IPv6 */
    listeners[1] = listen_at("127.0.0.1", port, 8);
    assert_true(listeners[1] >= 0);
    return true;
}

static void close_both(const int listeners[2])
{
    close(listeners[0]);
    close(listeners[1]);
}

/* The first answer counts, whatever comes of the other question. */
static void test_other_family_is_not_needed(void **state)
{
    static const char *const hosts[] = {"no-six.test", "late-six.test", "late-four.test"};
    int listeners[2];
    uint16_t port = 0;

    (void)state;
    if (!listen_at_both(listeners, &port))
        skip();
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct outcome outcome = {0};
        dial_to(&outcome, hosts[i], port, LONG_US);
        assert_connected(&outcome, listeners[i < 2]);
    }
    close_both(listeners);
}

/* For a moment IPv4 waits for IPv6. */
static void test_ipv6_is_waited_for(void **state)
{
    struct outcome outcome = {0};
    int listeners[2];
    uint16_t port = 0;
    (void)state;
    if (!listen_at_both(listeners, &port))
        skip();
    start(&outcome, "late-six.test", port, LONG_US);
    run_a_while();
    assert_int_equal(outcome.calls, 0);
    answer_now(10 * CLOCK_US_PER_MS); /* timers come in their order: before the 50 ms are over */
    loop_run(loop);
    assert_connected(&outcome, listeners[0]);
    close_both(listeners);
}

/* One that comes when all others have failed is tried. */
static void test_late_answer_is_used(void **state)
{
    struct outcome outcome = {0}, nothing = {0};
    uint16_t port = 0;
    int listener = listen_at("::1", &port, 8);
    (void)state;
    if (listener < 0)
        skip();
    start(&outcome, "late-six.test", port, LONG_US);
    for (int i = 0; i < 8; i++)
        run_a_while(); /* 127.0.0.1 refuses */
    assert_int_equal(outcome.calls, 0);
    answer_now(0);
    loop_run(loop);
    assert_connected(&outcome, listener);
    close(listener);
    answer_later = true;
    dial_to(&nothing, "late-six.test", closed_port(), 200 * CLOCK_US_PER_MS);
    assert_int_equal(nothing.result, DIAL_REFUSED); /* says more than that the time is over */
}

static void test_families_take_turns(void **state)
{
    struct outcome outcome = {.refuse = "*"};
    (void)state;
    dial_to(&outcome, "turns.test", 1, LONG_US);
    assert_string_equal(outcome.order, "[::1]:1 127.0.0.2:1 [::2]:1 127.0.0.3:1 127.0.0.4:1 ");
}

/* A name for which no name server may be asked. */
static void test_no_name_server(void **state)
{
    struct outcome outcome = {0}, local = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    (void)state;
    no_servers = true;
    dial_to(&outcome, "one.test", port, LONG_US);
    assert_int_equal(outcome.result, DIAL_NOT_ALLOWED);
    assert_int_equal(outcome.address.len, 0);
    dial_to(&local, "LocalHost", port, LONG_US);
    assert_connected(&local, listener);
    assert_int_equal(asked, 0);
    close(listener);
}

static void test_many_at_once(void **state)
{
    enum { COUNT = 100 };
    static struct outcome outcomes[COUNT];
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, COUNT);

    (void)state;
    memset(outcomes, 0, sizeof outcomes);
    for (int i = 0; i < COUNT; i++)
        start(&outcomes[i], "one.test", port, LONG_US);
    loop_run(loop);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(outcomes[i].result, DIAL_OK);
        close(outcomes[i].fd);
    }
    close(listener);
}

static void test_listen_error_says_where(void **state)
{
    struct address address;
    struct error e = {0};
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    (void)state;
    assert_true(address_from_literal(&address, "127.0.0.1", port));
    assert_int_equal(socket_listen(&address, 8, &e), -1);
    assert_int_not_equal(e.failure, 0);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    assert_ptr_equal(socket_listen_reason(e.text), strstr(e.text, "address "));
    assert_string_equal(socket_listen_reason("it listens there: already"),
                        "it listens there: already");
    close(listener);
}

/* Of a process that was killed. */
static void close_as_the_kernel_does(int fd)
{
    close(fd);
}

/* The end of file and the reset that a peer sees. */
static void test_close_reset(void **state)
{
    struct address peer;
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8);
    char byte;
    void (*const closing[])(int fd) = {socket_close_reset, close_as_the_kernel_does};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct outcome outcome = {0};
        dial_to(&outcome, "127.0.0.1", port, LONG_US);
        int accepted = socket_accept(listener, &peer);
        assert_true(accepted >= 0);
        socket_set_carrier(accepted);
        socket_set_application(outcome.fd, &outcome.address);
        assert_int_equal(read(accepted, &byte, 1), -1);
        assert_int_equal(errno, EAGAIN);
        if (i < 2) {
            closing[i](outcome.fd);
            assert_int_equal(read(accepted, &byte, 1), -1);
            assert_int_equal(errno, ECONNRESET);
        } else {
            assert_int_equal(write(outcome.fd, "x", 1), 1);
            socket_close_clean(outcome.fd);
            assert_int_equal(read(accepted, &byte, 1), 1);
            assert_int_equal(read(accepted, &byte, 1), 0);
        }
        close(accepted);
    }
    close(listener);
}

/* A connection to port, and what was accepted for it. */
static int connect_pair(int listener, uint16_t port, int *accepted)
{
    struct outcome outcome = {0};
    struct address peer;
    dial_to(&outcome, "127.0.0.1", port, LONG_US);
    *accepted = socket_accept(listener, &peer);
    assert_true(*accepted >= 0);
    socket_set_application(outcome.fd, &outcome.address);
    return outcome.fd;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* The options that docs/PROTOCOL.md section 4 asks of a carrier, so that the kernel too notices a
 * path that is gone, and takes no more than it can soon send. */
static void test_options_of_a_carrier(void **state)
{
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8), accepted;
    int fd = connect_pair(listener, port, &accepted);
    (void)state;
    socket_set_carrier(fd);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 20000);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 << 10);
    close(fd);
    close(accepted);
    close(listener);
}

/* An application's socket is reset by the kernel whoever closes it, as when the process is killed,
 * also behind the end of one half; at its clean end all that was written still comes. */
static void test_close_of_an_application(void **state)
{
    static const char data[1 << 16];
    uint16_t port = 0;
    int listener = listen_at("127.0.0.1", &port, 8), accepted, fd;
    size_t written = 0, got = 0;
    char byte, buffer[1 << 16];
    ssize_t n;
    (void)state;
    fd = connect_pair(listener, port, &accepted);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(read(accepted, &byte, 1), 0); /* half a connection still ends cleanly */
    close(fd);
    assert_int_equal(write(accepted, "x", 1), -1);
    assert_int_equal(errno, EPIPE); /* the reset of a connection whose end was read */
    close(accepted);

    fd = connect_pair(listener, port, &accepted);
    while ((n = write(fd, data, sizeof data)) > 0)
        written += (size_t)n;
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    socket_close_clean(fd);
    while ((n = read(accepted, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EAGAIN))
        got += n > 0 ? (size_t)n : 0;
    assert_int_equal(n, 0);
    assert_int_equal(got, written);
    close(accepted);
    close(listener);
}

/* A socket that has met itself is no connection. */
static void test_connected_to_itself(void **state)
{
    struct address address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    assert_int_equal(bind(fd, (struct sockaddr *)&address.storage, address.len), 0);
    assert_true(address_of_socket(&address, fd, false));
    assert_int_equal(connect(fd, (struct sockaddr *)&address.storage, address.len), 0);
    assert_int_equal(socket_connect_result(fd, &address), ECONNREFUSED);
    close(fd);
}

#define DIAL_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIAL_TEST(test_literal),
        DIAL_TEST(test_literal_ipv6),
        DIAL_TEST(test_link_local_without_an_interface),
        DIAL_TEST(test_unix_paths),
        DIAL_TEST(test_unix_queue_full),
        DIAL_TEST(test_refused),
        DIAL_TEST(test_name),
        DIAL_TEST(test_names_without_address),
        DIAL_TEST(test_filter),
        DIAL_TEST(test_a_failure_says_more_than_the_filter),
        DIAL_TEST(test_next_address_when_refused),
        DIAL_TEST(test_next_address_of_the_other_family),
        DIAL_TEST(test_next_address_beside_a_silent_one),
        DIAL_TEST(test_a_silent_one_is_waited_for),
        DIAL_TEST(test_time_out),
        DIAL_TEST(test_time_out_of_the_look_up),
        DIAL_TEST(test_cancel_connecting),
        DIAL_TEST(test_cancel_connected),
        DIAL_TEST(test_names_of_one_owner),
        DIAL_TEST(test_cancel_looking_up),
        DIAL_TEST(test_cancel_and_free_the_loop),
        DIAL_TEST(test_many_at_once),
        DIAL_TEST(test_other_family_is_not_needed),
        DIAL_TEST(test_ipv6_is_waited_for),
        DIAL_TEST(test_late_answer_is_used),
        DIAL_TEST(test_families_take_turns),
        DIAL_TEST(test_no_name_server),
        DIAL_TEST(test_listen_error_says_where),
        DIAL_TEST(test_close_reset),
        DIAL_TEST(test_options_of_a_carrier),
        DIAL_TEST(test_close_of_an_application),
        DIAL_TEST(test_connected_to_itself),
    };

    signal(SIGPIPE, SIG_IGN);
    alarm(60); /* a dial that never ends fails */
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
