/* The two UDP ends of a stream of datagrams, over real sockets, with a clock of the test's own. */
#include "session_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forward/associate.h"
#include "forward/failures.h"
#include "forward/target.h"
#include "forward/udp_listener.h"
#include "forward/udp_target.h"
#include "net/socket.h"
#include "session/internal.h"

#define IDLE_US (DATAGRAM_IDLE_S * CLOCK_US_PER_S)
#define TARGET "udp:192.0.2.7:53"

/* --- The clock (base/clock.h) --- */

static uint64_t now_us = 1000 * CLOCK_US_PER_S;

uint64_t clock_now_us(void)
{
    return now_us;
}

void clock_wall_text(char out[25])
{
    snprintf(out, 25, "2026-01-31T12:00:00.000Z");
}

int64_t clock_wall_s(void)
{
    return 0;
}

/* --- The loop --- */

static struct loop *loop;
static struct turns turns;
static struct log_rates rates;
static const struct log_party by = {.all = &rates};
static struct failures failures = {.agent = "boston", .by = &by};

static void stop(struct deferred *d)
{
    (void)d;
    loop_stop(loop);
}

/* Some rounds: what a socket has is read, what is due is done. */
static void pump(void)
{
    for (int i = 0; i < 8; i++) {
        struct deferred end = {.run = stop};
        loop_defer(loop, &end);
        loop_run(loop);
    }
}

/* Each round of the loop has a time of its own, so that it goes a little ahead of a clock that
 * stands. */
static void pass(uint64_t us)
{
    now_us += us + 1000;
    pump();
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    turns_init(&turns, loop);
    log_rates_init(&rates, (const uint8_t[16]){0});
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    turns_end(&turns);
    loop_free(loop);
    log_rates_free(&rates);
    return 0;
}

/* --- Sockets of the test --- */

static int new_socket(struct address *own)
{
    struct error e = {0};
    struct address any;
    int fd;
    assert_true(address_from_literal(&any, "127.0.0.1", 0));
    fd = socket_bind_datagram(&any, &e);
    assert_true(fd >= 0);
    assert_true(address_of_socket(own, fd, false));
    return fd;
}

static void send_to(int fd, const struct address *to, const char *text)
{
    assert_int_equal(
        sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&to->storage, to->len),
        (int)strlen(text));
}

/* The text that has come, or "" for nothing. */
static const char *come(int fd)
{
    static char text[100];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* --- What the engine has said --- */

/* The DATAGRAMs, as "id:text id:text ", and RESETs, as "id!code ". */
static const char *said(struct raw *r)
{
    static char text[8192];
    const struct sent *sent = raw_output(r);
    size_t n = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < sent->count; i++) {
        unsigned id = sent->frame[i].stream;
        if (sent->frame[i].type == FRAME_DATAGRAM)
            n += (size_t)snprintf(text + n, sizeof text - n, "%u:%.*s ", id,
                                  (int)sent->frame[i].len, (const char *)sent->frame[i].payload);
        else if (sent->frame[i].type == FRAME_RESET)
            n += (size_t)snprintf(text + n, sizeof text - n, "%u!%u ", id,
                                  load_be16(sent->frame[i].payload));
        assert_true(n < sizeof text);
    }
    return text;
}

/* --- The client's end --- */

struct local {
    struct raw *r;
    struct udp_listener *l;
    struct address address;
};

static struct local new_local(void)
{
    struct local x = {.r = raw_new(true, NULL)};
    struct forward forward = {.kind = FORWARD_UDP, .target = {.kind = TARGET_UDP}};
    struct error e = {0};
    unsigned port = 0;
    raw_start(x.r);
    assert_true(address_from_literal(&forward.listen, "127.0.0.1", 0));
    forward.target.at = (struct host_port){.host = "192.0.2.7", .port = 53};
    x.l = udp_listener_new(loop, &forward, &failures, &e);
    assert_non_null(x.l);
    assert_int_equal(sscanf(udp_listener_address(x.l), "127.0.0.1:%u", &port), 1);
    assert_true(address_from_literal(&x.address, "127.0.0.1", (uint16_t)port));
    udp_listener_set_session(x.l, x.r->s);
    return x;
}

static void free_local(struct local *x)
{
    raw_free(x->r); /* ends its streams */
    udp_listener_free(x->l);
}

static void test_peers_have_their_streams(void **state)
{
    struct local x = new_local();
    struct address address;
    int a = new_socket(&address), b = new_socket(&address);
    (void)state;
    send_to(a, &x.address, "one");
    pump();
    send_to(b, &x.address, "two");
    pump();
    send_to(a, &x.address, "three");
    pump();
    assert_string_equal(said(x.r), "1:one 3:two 1:three ");
    raw_send_opened(x.r, 1, 0);
    raw_send_opened(x.r, 3, 0);
    raw_send(x.r, FRAME_DATAGRAM, 3, "to b", 4);
    raw_send(x.r, FRAME_DATAGRAM, 1, "to a", 4);
    assert_string_equal(come(a), "to a");
    assert_string_equal(come(b), "to b");
    assert_string_equal(come(a), "");
    close(a);
    close(b);
    free_local(&x);
}

static void test_open_frame(void **state)
{
    struct local x = new_local();
    struct address address;
    int a = new_socket(&address);
    const struct sent *sent;
    (void)state;
    send_to(a, &x.address, "one");
    pump();
    sent = raw_output(x.r);
    assert_int_equal(sent->frame[0].type, FRAME_OPEN);
    assert_int_equal(load_be32(sent->frame[0].payload), 0); /* no window */
    assert_int_equal(load_be16(sent->frame[0].payload + 4), strlen(TARGET));
    assert_memory_equal(sent->frame[0].payload + 6, TARGET, strlen(TARGET));
    close(a);
    free_local(&x);
}

static void test_idle_peer(void **state)
{
    struct local x = new_local();
    struct address address;
    int a = new_socket(&address), b = new_socket(&address);
    (void)state;
    send_to(a, &x.address, "one");
    pump();
    pass(IDLE_US / 2);
    send_to(b, &x.address, "two");
    pump();
    assert_string_equal(said(x.r), "1:one 3:two ");
    raw_send_opened(x.r, 1, 0);
    raw_send_opened(x.r, 3, 0);
    pass(IDLE_US / 2 - CLOCK_US_PER_S);
    assert_string_equal(said(x.r), "");
    pass(CLOCK_US_PER_S);
    assert_string_equal(said(x.r), "1!3 ");
    /* An answer keeps a stream as well as a question. */
    raw_send(x.r, FRAME_DATAGRAM, 3, "to b", 4);
    pass(IDLE_US - CLOCK_US_PER_S);
    assert_string_equal(said(x.r), "");
    pass(CLOCK_US_PER_S);
    assert_string_equal(said(x.r), "3!3 ");
    /* Who comes back gets a new one, and its own end. */
    send_to(a, &x.address, "again");
    pump();
    assert_string_equal(said(x.r), "5:again ");
    pass(IDLE_US);
    assert_string_equal(said(x.r), "5!3 ");
    close(a);
    close(b);
    free_local(&x);
}

static void test_peer_after_reset(void **state)
{
    struct local x = new_local();
    struct address address;
    int a = new_socket(&address);
    (void)state;
    for (unsigned id = 1; id < 9; id += 2) {
        char expected[16];
        snprintf(expected, sizeof expected, "%u:one ", id);
        send_to(a, &x.address, "one");
        pump();
        assert_string_equal(said(x.r), expected);
        raw_send_code(x.r, FRAME_RESET, id, RESET_NOT_PERMITTED, "no");
    }
    assert_string_equal(come(a), "");
    close(a);
    free_local(&x);
}

static void test_too_many_peers(void **state)
{
    static int fd[UDP_STREAMS_MAX + 1];
    struct local x = new_local();
    struct address address;
    (void)state;
    for (unsigned i = 0; i <= UDP_STREAMS_MAX; i++) {
        fd[i] = new_socket(&address);
        if (i < UDP_STREAMS_MAX)
            send_to(fd[i], &x.address, "hello");
        pass(1000);
    }
    said(x.r);
    assert_int_equal(x.r->s->own_open, UDP_STREAMS_MAX);
    send_to(fd[0], &x.address, "still here"); /* now the second is idle longest */
    pump();
    send_to(fd[UDP_STREAMS_MAX], &x.address, "new");
    pump();
    assert_string_equal(said(x.r), "3!7 1:still here 513:new ");
    for (unsigned i = 0; i <= UDP_STREAMS_MAX; i++)
        close(fd[i]);
    free_local(&x);
}

static void test_without_session(void **state)
{
    struct local x = new_local();
    struct address address;
    int a = new_socket(&address);
    (void)state;
    udp_listener_set_session(x.l, NULL);
    send_to(a, &x.address, "lost");
    pump();
    udp_listener_set_session(x.l, x.r->s);
    send_to(a, &x.address, "taken");
    pump();
    assert_string_equal(said(x.r), "1:taken ");
    close(a);
    free_local(&x);
}

/* --- UDP ASSOCIATE --- */

#define HEAD_A "\0\0\0\x01\xc0\x00\x02\x01\x00\x35" /* 192.0.2.1:53 */
#define HEAD_B "\0\0\0\x03\x03ntp\x00\x7b"

struct association {
    struct raw *r;
    struct associate *a;
    int control[2], application;
    struct address to; /* where the application sends */
};

/* Two ends of a TCP connection on loopback. */
static void connect_control(int control[2])
{
    struct address any, peer;
    struct error e = {0};
    bool in_progress;
    int listener;
    assert_true(address_from_literal(&any, "127.0.0.1", 0));
    listener = socket_listen(&any, 1, &e);
    assert_true(listener >= 0 && address_of_socket(&any, listener, false));
    control[0] = socket_connect(&any, &in_progress);
    assert_true(control[0] >= 0);
    while ((control[1] = socket_accept(listener, &peer)) < 0)
        assert_int_equal(errno, EAGAIN);
    close(listener);
}

static struct association new_association(void)
{
    struct association x = {.r = raw_new(true, NULL)};
    struct address own;
    struct error e = {0};
    raw_start(x.r);
    connect_control(x.control);
    x.a = associate_new(loop, x.control[1], x.r->s, &failures, &e);
    assert_non_null(x.a);
    x.to = *associate_bound(x.a);
    x.application = new_socket(&own);
    return x;
}

static void free_association(struct association *x)
{
    raw_free(x->r);
    associate_free(x->a);
    close(x->control[0]);
    close(x->control[1]);
    close(x->application);
}

static void send_bytes(int fd, const struct address *to, const char *bytes, size_t len)
{
    assert_int_equal(sendto(fd, bytes, len, 0, (const struct sockaddr *)&to->storage, to->len),
                     (int)len);
    pump();
}

#define SEND(fd, to, bytes) send_bytes(fd, to, bytes, sizeof(bytes) - 1)
#define CAME(fd, bytes)                                                               \
    do {                                                                              \
        char got[100];                                                                \
        assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), sizeof(bytes) - 1); \
        assert_memory_equal(got, bytes, sizeof(bytes) - 1);                           \
    } while (0)

static void test_associate(void **state)
{
    struct association x = new_association();
    (void)state;
    SEND(x.application, &x.to, HEAD_A "one");
    SEND(x.application, &x.to, HEAD_B "two");
    SEND(x.application, &x.to, HEAD_A "three");
    SEND(x.application, &x.to,
         "\0\0\x01\x01\xc0\x00\x02\x01\x00\x35"
         "fragment");
    SEND(x.application, &x.to, "rubbish");
    assert_string_equal(said(x.r), "1:one 3:two 1:three ");
    raw_send_opened(x.r, 1, 0);
    raw_send_opened(x.r, 3, 0);
    raw_send(x.r, FRAME_DATAGRAM, 3, "time", 4);
    raw_send(x.r, FRAME_DATAGRAM, 1, "name", 4);
    CAME(x.application, HEAD_B "time");
    CAME(x.application, HEAD_A "name");
    free_association(&x);
}

/* Only who asked for it may use it, from one port. */
static void test_associate_strangers(void **state)
{
    struct association x = new_association();
    struct address address;
    struct error e = {0};
    int other_host, other_port = new_socket(&address);
    (void)state;
    assert_true(address_from_literal(&address, "127.0.0.2", 0));
    other_host = socket_bind_datagram(&address, &e);
    assert_true(other_host >= 0);
    SEND(other_host, &x.to, HEAD_A "forged");
    SEND(x.application, &x.to, HEAD_A "mine");
    SEND(other_port, &x.to, HEAD_A "forged");
    assert_string_equal(said(x.r), "1:mine ");
    raw_send_opened(x.r, 1, 0);
    raw_send(x.r, FRAME_DATAGRAM, 1, "answer", 6);
    CAME(x.application, HEAD_A "answer");
    assert_string_equal(come(other_port), "");
    close(other_host);
    close(other_port);
    free_association(&x);
}

/* Its streams end with it. */
static void test_associate_end(void **state)
{
    struct association x = new_association();
    (void)state;
    SEND(x.application, &x.to, HEAD_A "one");
    SEND(x.application, &x.to, HEAD_B "two");
    said(x.r);
    associate_free(x.a);
    x.a = NULL;
    assert_string_equal(said(x.r), "1!6 3!6 ");
    free_association(&x);
}

/* --- The agent's end --- */

static void raw_open(struct raw *r, const char *target)
{
    uint8_t payload[TARGET_MAX_BYTES + 16];
    struct open_frame open = {.target = view_of_string(target)};
    raw_send(r, FRAME_OPEN, 1, payload, open_encode(&open, false, payload, sizeof payload));
}

/* An agent's engine whose stream 1, to a target that is a socket of the test, is in no one's hands
 * yet. */
static struct raw *new_agent(int *fd, char target[64], struct stream **st)
{
    struct raw *r = raw_new(false, NULL);
    struct address address;
    raw_start(r);
    *fd = new_socket(&address);
    snprintf(target, 64, "udp:127.0.0.1:%u", address_port(&address));
    r->side.answer = OPEN_HOLD;
    raw_open(r, "udp:app:1");
    *st = app_find(&r->side, 1)->stream;
    app_find(&r->side, 1)->stream = NULL;
    return r;
}

static struct targets *new_targets(const char *allow)
{
    static struct target_pattern pattern;
    struct error e = {0};
    struct targets *t;
    assert_true(value_target_pattern(&pattern, allow, &e));
    t = targets_new(loop, &turns, "test", &by, &pattern, 1);
    assert_non_null(t);
    return t;
}

static void test_early_datagrams(void **state)
{
    char target[64];
    struct stream *st;
    int fd;
    struct raw *r = new_agent(&fd, target, &st);
    struct targets *t = new_targets("udp:127.0.0.0/8:*");
    (void)state;
    targets_open(t, st, view_of_string(target));
    for (int i = 0; i < 2 * EARLY_DATAGRAMS; i++)
        raw_send(r, FRAME_DATAGRAM, 1, &"abcdefgh"[i], 1);
    pump();
    for (int i = 0; i < EARLY_DATAGRAMS; i++)
        assert_int_equal(come(fd)[0], 'a' + i);
    assert_string_equal(come(fd), "");
    assert_int_equal(sent_count(raw_output(r), FRAME_OPENED), 1);
    raw_send(r, FRAME_DATAGRAM, 1, "later", 5);
    assert_string_equal(come(fd), "later");
    raw_free(r);
    targets_free(t);
    close(fd);
}

/* However large they are. */
static void test_early_bytes(void **state)
{
    static const uint8_t large[DATAGRAM_MAX];
    char target[64];
    struct stream *st;
    int fd;
    struct raw *r = new_agent(&fd, target, &st);
    struct targets *t = new_targets("udp:127.0.0.0/8:*");
    (void)state;
    targets_open(t, st, view_of_string(target));
    raw_send(r, FRAME_DATAGRAM, 1, large, sizeof large);
    raw_send(r, FRAME_DATAGRAM, 1, "small", 5);
    raw_send(r, FRAME_DATAGRAM, 1, large, 8192);
    pump();
    assert_string_equal(come(fd), "small");
    assert_string_equal(come(fd), "");
    raw_free(r);
    targets_free(t);
    close(fd);
}

static void test_reset_while_waiting(void **state)
{
    char target[64];
    struct stream *st;
    int fd;
    struct raw *r = new_agent(&fd, target, &st);
    struct targets *t = new_targets("udp:127.0.0.0/8:*");
    (void)state;
    targets_open(t, st, view_of_string(target));
    raw_send(r, FRAME_DATAGRAM, 1, "one", 3);
    raw_send_code(r, FRAME_RESET, 1, RESET_TIMEOUT, "");
    pump();
    assert_string_equal(come(fd), "");
    raw_free(r);
    targets_free(t);
    close(fd);
}

static void test_policy(void **state)
{
    static const char *const patterns[] = {"tcp:*:*", "udp:127.0.0.1:1", "udp:10.0.0.0/8:*",
                                           "udp:localhost:*"};
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char target[64];
        struct stream *st;
        int fd;
        struct raw *r = new_agent(&fd, target, &st);
        struct targets *t = new_targets(patterns[i]);
        targets_open(t, st, view_of_string(target));
        raw_send(r, FRAME_DATAGRAM, 1, "one", 3);
        pump();
        assert_string_equal(said(r), "1!4 ");
        assert_string_equal(come(fd), "");
        raw_free(r);
        targets_free(t);
        close(fd);
    }
}

static void on_target_ended(void *arg, enum reset_code code, const char *text)
{
    (void)arg;
    (void)code;
    (void)text;
}

/* A stream to a target that is no longer allowed is reset; one that stays allowed is not touched.
 */
static void test_policy_changes(void **state)
{
    char target[64];
    struct stream *st;
    int fd;
    struct raw *r = new_agent(&fd, target, &st);
    struct targets *t = new_targets("udp:127.0.0.0/8:*");
    struct target_pattern narrower;
    struct error e = {0};
    (void)state;
    targets_open(t, st, view_of_string(target));
    pump();
    assert_int_equal(sent_count(raw_output(r), FRAME_OPENED), 1);
    assert_true(value_target_pattern(&narrower, target, &e));
    targets_set_policy(t, &narrower, 1);
    raw_send(r, FRAME_DATAGRAM, 1, "one", 3);
    assert_string_equal(come(fd), "one");
    narrower.port_first ^= 1;
    narrower.port_last ^= 1;
    targets_set_policy(t, &narrower, 1);
    pump();
    assert_string_equal(said(r), "1!4 ");
    raw_send(r, FRAME_DATAGRAM, 1, "two", 3);
    assert_string_equal(come(fd), "");
    raw_free(r);
    targets_free(t);
    close(fd);
}

#define MANY 60
#define IN_A_TURN 32 /* TURN_WORK, of 8 KiB each */

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void one_round(void)
{
    struct deferred end = {.run = stop};
    loop_defer(loop, &end);
    loop_run(loop);
}

/* Connecting is work, of which a turn does so much. */
static void test_many_connects(void **state)
{
    struct address address;
    char target[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct raw *r = raw_new(false, NULL);
    struct targets *t = new_targets("tcp:127.0.0.0/8:*");
    unsigned before, most = 0, all = 0;
    (void)state;
    assert_int_equal(listen(fd, MANY), 0);
    assert_true(address_of_socket(&address, fd, false));
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", address_port(&address));
    raw_start(r);
    r->side.answer = OPEN_HOLD;
    for (uint32_t i = 1; i < 2 * MANY; i += 2) {
        raw_send_open(r, i, 0);
        struct app *app = app_find(&r->side, i);
        struct stream *st = app->stream;
        app->stream = NULL;
        targets_open(t, st, view_of_string(target));
    }
    before = open_descriptors();
    while (all < MANY) {
        one_round();
        unsigned more = open_descriptors() - before;
        most = more > most ? more : most;
        all += more;
        before += more;
    }
    assert_in_range(most, 1, IN_A_TURN);
    raw_free(r);
    targets_free(t);
    close(fd);
}

/* A connected socket in the hands of stream 1; the address it sends from. */
static struct raw *new_connected(int *fd, struct address *from)
{
    char target[64];
    struct stream *st;
    struct address to;
    struct raw *r = new_agent(fd, target, &st);
    struct udp_target *u;
    int connected;
    assert_true(address_of_socket(&to, *fd, false));
    connected = socket_connect_datagram(&to);
    assert_true(connected >= 0 && address_of_socket(from, connected, false));
    u = udp_target_new(loop, connected, &to, false, "test", &by, on_target_ended, NULL);
    assert_non_null(u);
    stream_set_owner(st, &udp_target_events, u);
    udp_target_start(u, st);
    stream_accept(st, "");
    raw_output(r);
    return r;
}

static void test_target_idle(void **state)
{
    struct address from = {0};
    int fd;
    struct raw *r = new_connected(&fd, &from);
    (void)state;
    pass(IDLE_US - CLOCK_US_PER_S);
    raw_send(r, FRAME_DATAGRAM, 1, "question", 8);
    assert_string_equal(come(fd), "question");
    pass(IDLE_US - CLOCK_US_PER_S);
    send_to(fd, &from, "answer");
    pump();
    assert_string_equal(said(r), "1:answer ");
    pass(IDLE_US - CLOCK_US_PER_S);
    assert_string_equal(said(r), "");
    pass(CLOCK_US_PER_S);
    assert_string_equal(said(r), "1!3 ");
    send_to(fd, &from, "too late"); /* the socket is closed */
    pump();
    assert_string_equal(said(r), "");
    raw_free(r);
    close(fd);
}

/* Only the target's own answers come in. */
static void test_target_only(void **state)
{
    struct address from = {0}, other;
    int fd, stranger = new_socket(&other);
    struct raw *r = new_connected(&fd, &from);
    (void)state;
    send_to(stranger, &from, "forged");
    send_to(fd, &from, "genuine");
    pump();
    assert_string_equal(said(r), "1:genuine ");
    raw_free(r);
    close(fd);
    close(stranger);
}

/* A refusal by the target ends nothing, and costs no later datagram. */
static void test_target_refuses(void **state)
{
    struct address from = {0}, own;
    int fd, again;
    struct error e = {0};
    struct raw *r = new_connected(&fd, &from);
    (void)state;
    assert_true(address_of_socket(&own, fd, false));
    close(fd);
    raw_send(r, FRAME_DATAGRAM, 1, "refused", 7); /* the ICMP comes at once on loopback */
    again = socket_bind_datagram(&own, &e);
    assert_true(again >= 0);
    raw_send(r, FRAME_DATAGRAM, 1, "taken", 5);
    assert_string_equal(come(again), "taken");
    close(again);
    raw_send(r, FRAME_DATAGRAM, 1, "refused", 7);
    pump(); /* here reading meets the error */
    assert_string_equal(said(r), "");
    again = socket_bind_datagram(&own, &e);
    assert_true(again >= 0);
    send_to(again, &from, "back");
    pump();
    assert_string_equal(said(r), "1:back ");
    raw_free(r);
    close(again);
}

/* A flood at the agent's socket is read in parts that the session can send. */
static void test_flood(void **state)
{
    enum { COUNT = 60 };
    static const char large[1400];
    struct address from = {0};
    unsigned got = 0;
    int fd;
    struct raw *r = new_connected(&fd, &from);
    (void)state;
    for (int i = 0; i < COUNT; i++)
        assert_true(sendto(fd, large, sizeof large, 0, (const struct sockaddr *)&from.storage,
                           from.len) > 0);
    for (int i = 0; i < 10; i++) {
        struct deferred end = {.run = stop};
        loop_defer(loop, &end);
        loop_run(loop);
        got += sent_count(raw_output(r), FRAME_DATAGRAM);
    }
    assert_int_equal(got, COUNT);
    raw_free(r);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_peers_have_their_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_idle_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peer_after_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_peers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_associate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_associate_strangers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_associate_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_early_datagrams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_early_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset_while_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_policy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_policy_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_connects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_target_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_target_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_target_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
