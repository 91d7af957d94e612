/* Splicing: with pipes and without, in order, to the end, within the budget, and with few pipes for
 * many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/splice.h"
#include "net/tcp_carrier.h"
#include "open_pipes.h"

#define PIPE_BYTES (256 * 1024)
#define NO_LIMIT (64 * 1024 * 1024)

/* The socket that feeds the source, the two ends the direction joins, and the one that drains the
 * sink. */
struct line {
    int feed, drain;
    struct carrier *source, *sink;
    struct splice splice;
    uint64_t fed, drained; /* byte i of the stream is byte_at(i) */
};

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 17 + (i >> 16));
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&in, len), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
}

static void unix_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

typedef void (*pair_maker)(int fds[2]);

static void line_open(struct line *line, pair_maker make)
{
    int in[2], out[2];
    memset(line, 0, sizeof *line);
    make(in);
    make(out);
    line->feed = in[0];
    line->source = tcp_carrier_new(in[1]);
    line->sink = tcp_carrier_new(out[0]);
    assert_true(line->source && line->sink);
    line->drain = out[1];
}

static void line_close(struct line *line, struct pipe_pool *pool)
{
    splice_end(&line->splice, pool);
    if (line->feed >= 0)
        close(line->feed);
    if (line->drain >= 0)
        close(line->drain);
    carrier_close(line->source);
    carrier_close(line->sink);
}

static void make_bytes(uint8_t *out, size_t len, uint64_t from)
{
    for (size_t i = 0; i < len; i++)
        out[i] = byte_at(from + i);
}

/* Feeds up to len bytes, as many as the socket takes. */
static size_t feed(struct line *line, size_t len)
{
    static uint8_t buffer[65536];
    size_t before = (size_t)line->fed;
    while (len > 0) {
        size_t piece = len < sizeof buffer ? len : sizeof buffer;
        make_bytes(buffer, piece, line->fed);
        ssize_t n = write(line->feed, buffer, piece);
        if (n <= 0)
            break;
        line->fed += (size_t)n;
        len -= (size_t)n;
    }
    return (size_t)line->fed - before;
}

/* Drains up to len bytes and checks each; false: the end. */
static bool drain(struct line *line, size_t len)
{
    static uint8_t buffer[65536], expected[65536];
    while (len > 0) {
        size_t piece = len < sizeof buffer ? len : sizeof buffer;
        ssize_t n = read(line->drain, buffer, piece);
        if (n == 0)
            return false;
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            return true;
        }
        make_bytes(expected, (size_t)n, line->drained);
        assert_memory_equal(buffer, expected, (size_t)n);
        line->drained += (size_t)n;
        len -= (size_t)n;
    }
    return true;
}

static enum splice_result run(struct line *line, struct pipe_pool *pool, size_t budget,
                              size_t *moved)
{
    line->source->io.readable = true; /* as if the loop had said so */
    enum splice_result result =
        splice_run(&line->splice, pool, line->source, line->sink, budget, moved);

    /* A pipe is held only while bytes are in it. */
    assert_int_equal(line->splice.has_pipe, line->splice.in_pipe > 0);
    return result;
}

static unsigned ends_before; /* of pipes, before the first test */

static struct pipe_pool *pool_new(unsigned pipes)
{
    struct pipe_pool *pool = pipe_pool_new(PIPE_BYTES, pipes);
    assert_non_null(pool);
    return pool;
}

/* ---- All of these run over UNIX and TCP sockets, with pipes and without. ---- */

static void all_ways(void (*test)(struct pipe_pool *pool, pair_maker make))
{
    static const pair_maker makers[] = {unix_pair, tcp_pair};
    for (unsigned pipes = 0; pipes <= 4; pipes += 4) {
        for (size_t i = 0; i < 2; i++) {
            struct pipe_pool *pool = pool_new(pipes);
            test(pool, makers[i]);
            assert_true(pipes_since(ends_before) <= pipes);
            pipe_pool_free(pool);
        }
    }
}

/* A stream of some MB with a source and a sink that stop in turn, the sink taking odd pieces; then
 * its end. */
static void stream_whole(struct pipe_pool *pool, pair_maker make)
{
    const uint64_t total = 5000000;
    uint64_t reported = 0;
    unsigned blocked = 0, before_end = 0;
    struct line line;
    enum splice_result result;
    line_open(&line, make);
    do {
        size_t moved;
        feed(&line, (size_t)(total - line.fed));
        if (line.fed == total && line.feed >= 0) {
            close(line.feed);
            line.feed = -1;
        }
        result = run(&line, pool, 300000, &moved);
        reported += moved;
        if (result == SPLICE_NEED_WRITE) {
            blocked++;
            assert_true(drain(&line, 70001));
        } else {
            assert_true(result == SPLICE_AGAIN || result == SPLICE_NEED_READ ||
                        result == SPLICE_END);
            if (result == SPLICE_NEED_READ && line.feed < 0 && reported == total)
                before_end++; /* TCP delivers a little later */
        }
    } while (result != SPLICE_END);
    assert_int_equal(reported, total); /* the end comes after all the rest */
    assert_true(before_end <= 1);      /* the last read was short, the end is met by the next */
    assert_int_equal(line.splice.held.bytes, 0);
    assert_true(blocked > 0);
    size_t moved;
    assert_int_equal(run(&line, pool, 1000, &moved), SPLICE_END); /* and it stays */
    assert_int_equal(moved, 0);
    carrier_end(line.sink);
    while (drain(&line, NO_LIMIT))
        ;
    assert_int_equal(line.drained, total);
    line_close(&line, pool);
}

static void prefix_first(struct pipe_pool *pool, pair_maker make)
{
    enum { PREFIX = 70000 };
    static uint8_t prefix[PREFIX];
    struct line line;
    size_t moved, all = 0;

    line_open(&line, make);
    make_bytes(prefix, PREFIX, 0);
    carrier_unread(line.source, view_of(prefix + 10, PREFIX - 10));
    carrier_unread(line.source, view_of(prefix, 10));
    line.fed = PREFIX;
    assert_int_equal(feed(&line, 50000), 50000);
    while (all < PREFIX + 50000) {
        enum splice_result result = run(&line, pool, NO_LIMIT, &moved);
        assert_true(result == SPLICE_NEED_READ || result == SPLICE_NEED_WRITE);
        all += moved;
        assert_true(drain(&line, NO_LIMIT));
    }
    while (line.drained < PREFIX + 50000)
        assert_true(drain(&line, NO_LIMIT));
    line_close(&line, pool);
}

/* The prefix alone goes too, with nothing behind it, and before the source's end. */
static void prefix_alone(struct pipe_pool *pool, pair_maker make)
{
    uint8_t prefix[100];
    struct line line;
    size_t moved;
    line_open(&line, make);
    make_bytes(prefix, sizeof prefix, 0);
    carrier_unread(line.source, view_of(prefix, sizeof prefix));
    assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
    assert_int_equal(moved, 100);
    assert_true(drain(&line, 100));
    assert_int_equal(line.drained, 100);
    line_close(&line, pool);
}

static void budget_holds(struct pipe_pool *pool, pair_maker make)
{
    struct line line;
    size_t moved, all = 0;
    line_open(&line, make);
    assert_int_equal(feed(&line, 60000), 60000);
    while (all < 60000) {
        enum splice_result result = run(&line, pool, 10000, &moved);
        assert_true(moved <= 10000);
        assert_int_equal(result, moved == 10000 ? SPLICE_AGAIN : SPLICE_NEED_READ);
        all += moved;
    }
    assert_int_equal(run(&line, pool, 10000, &moved), SPLICE_NEED_READ);
    assert_int_equal(moved, 0);
    while (line.drained < 60000)
        assert_true(drain(&line, NO_LIMIT));
    line_close(&line, pool);
}

static void write_error(struct pipe_pool *pool, pair_maker make)
{
    struct line line;
    enum splice_result result;
    size_t moved;
    line_open(&line, make);
    close(line.drain);
    line.drain = -1;
    do { /* TCP learns it from the first bytes' answer */
        feed(&line, 1000);
        result = run(&line, pool, NO_LIMIT, &moved);
    } while (result == SPLICE_NEED_READ);
    assert_int_equal(result, SPLICE_WRITE_ERROR);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    line_close(&line, pool);
}

/* The sink fails while bytes wait for it: the pipe with them is closed, not reused. */
static void write_error_with_bytes_held(struct pipe_pool *pool, pair_maker make)
{
    struct line line, next;
    enum splice_result result;
    size_t moved;
    line_open(&line, make);
    do {
        feed(&line, NO_LIMIT);
        result = run(&line, pool, NO_LIMIT, &moved);
    } while (result != SPLICE_NEED_WRITE);
    assert_true(line.splice.in_pipe > 0 || line.splice.held.bytes > 0);
    close(line.drain);
    line.drain = -1;
    do
        result = run(&line, pool, NO_LIMIT, &moved);
    while (result == SPLICE_NEED_WRITE);
    assert_int_equal(result, SPLICE_WRITE_ERROR);
    line_close(&line, pool);

    line_open(&next, make);
    feed(&next, 5000);
    while (next.drained < 5000) { /* drain() sees a byte of the other stream */
        run(&next, pool, NO_LIMIT, &moved);
        drain(&next, NO_LIMIT);
    }
    line_close(&next, pool);
}

static void test_stream_whole(void **state)
{
    (void)state;
    all_ways(stream_whole);
}

static void test_prefix_first(void **state)
{
    (void)state;
    all_ways(prefix_first);
}

static void test_prefix_alone(void **state)
{
    (void)state;
    all_ways(prefix_alone);
}

static void test_budget(void **state)
{
    (void)state;
    all_ways(budget_holds);
}

static void test_write_error(void **state)
{
    (void)state;
    all_ways(write_error);
}

/* Copying needs no SIGPIPE to be ignored. */
static void test_copying_raises_no_sigpipe(void **state)
{
    struct pipe_pool *pool = pool_new(0);
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    write_error_with_bytes_held(pool, unix_pair);
    signal(SIGPIPE, SIG_IGN);
    pipe_pool_free(pool);
}

static void test_write_error_with_bytes_held(void **state)
{
    (void)state;
    all_ways(write_error_with_bytes_held);
}

/* ---- Single cases. ---- */

static void test_read_error(void **state)
{
    struct linger at_once = {.l_onoff = 1};
    (void)state;
    for (unsigned pipes = 0; pipes <= 1; pipes++) {
        struct pipe_pool *pool = pool_new(pipes);
        struct line line;
        enum splice_result result;
        size_t moved;
        line_open(&line, tcp_pair);
        setsockopt(line.feed, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(line.feed);
        line.feed = -1;
        do
            result = run(&line, pool, NO_LIMIT, &moved);
        while (result == SPLICE_NEED_READ);
        assert_int_equal(result, SPLICE_READ_ERROR);
        assert_int_equal(errno, ECONNRESET);
        line_close(&line, pool);
        pipe_pool_free(pool);
    }
}

/* Many small packets use up the pipe's slots long before its bytes: that is no empty source. */
static void test_pipe_full_is_not_source_empty(void **state)
{
    struct pipe_pool *pool = pipe_pool_new(4096, 1);
    struct line line;
    size_t moved, all = 0;
    (void)state;
    assert_non_null(pool);
    line_open(&line, unix_pair);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed(&line, 1), 1);
    while (all < 100) {
        assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
        all += moved;
        assert_int_equal(all, 100); /* at once: the caller would wait for an edge that is gone */
    }
    assert_true(drain(&line, 100));
    assert_int_equal(line.drained, 100);
    line_close(&line, pool);
    pipe_pool_free(pool);
}

static ssize_t file_read(struct carrier *c, void *data, size_t len)
{
    return read(c->io.fd, data, len);
}

static ssize_t file_write(struct carrier *c, const void *data, size_t len)
{
    return write(c->io.fd, data, len);
}

static void file_close(struct carrier *c)
{
    close(c->io.fd);
    free(c);
}

/* A file as a carrier that says its descriptor may be spliced. */
static struct carrier *file_carrier(const char *path, int flags)
{
    static const struct carrier_kind kind = {
        .read = file_read, .write = file_write, .close = file_close};
    struct carrier *c = malloc(sizeof *c);
    assert_non_null(c);
    carrier_init(c, &kind, open(path, flags | O_CLOEXEC));
    assert_true(c->io.fd >= 0);
    c->raw_in = c->raw_out = c->io.fd;
    return c;
}

/* A sink that splice(2) refuses (O_APPEND) gets the bytes by copying, also those in the pipe
 * already. */
static void test_sink_that_cannot_be_spliced(void **state)
{
    struct pipe_pool *pool = pool_new(2);
    char path[] = "/tmp/test_splice.XXXXXX";
    struct line line;
    size_t moved, all = 0;
    (void)state;
    line_open(&line, unix_pair);
    carrier_close(line.sink);
    close(line.drain);
    line.drain = mkstemp(path);
    assert_true(line.drain >= 0);
    line.sink = file_carrier(path, O_WRONLY | O_APPEND);
    unlink(path);
    for (int i = 0; i < 5; i++) {
        size_t fed = feed(&line, 30000);
        assert_int_equal(fed, 30000);
        while (all < line.fed) {
            assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
            all += moved;
        }
    }
    assert_true(line.splice.copy_only);
    assert_true(drain(&line, 150000));
    assert_int_equal(line.drained, 150000);
    line_close(&line, pool);
    pipe_pool_free(pool);
}

/* A source that splice(2) refuses. */
static void test_source_that_cannot_be_spliced(void **state)
{
    struct pipe_pool *pool = pool_new(2);
    struct line line;
    size_t moved;
    (void)state;
    line_open(&line, unix_pair);
    carrier_close(line.source);
    line.source = file_carrier("/proc/self/mem", O_RDONLY);
    line.splice.bulk = true;
    /* Nothing is mapped at its beginning: reading fails, but only after copying was tried. */
    assert_int_equal(run(&line, pool, 1000, &moved), SPLICE_READ_ERROR);
    assert_int_equal(errno, EIO);
    assert_true(line.splice.copy_only);
    splice_end(&line.splice, pool);
    assert_false(line.splice.copy_only);
    line_close(&line, pool);
    pipe_pool_free(pool);
}

/* Small portions are copied and need no pipe; much at once goes through one, until little comes
 * again. */
static void test_small_portions_take_no_pipe(void **state)
{
    struct pipe_pool *pool = pool_new(2);
    struct line line;
    size_t moved;
    (void)state;
    line_open(&line, unix_pair);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(feed(&line, 100), 100);
        assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
        assert_int_equal(moved, 100);
        assert_int_equal(pipes_since(ends_before), 0);
        assert_false(line.splice.bulk);
    }
    assert_int_equal(feed(&line, 60000), 60000);
    assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
    assert_int_equal(moved, 60000);
    assert_int_equal(pipes_since(ends_before), 1);
    assert_true(line.splice.bulk);
    assert_int_equal(feed(&line, 100), 100);
    assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
    assert_false(line.splice.bulk);
    assert_true(drain(&line, NO_LIMIT));
    assert_int_equal(line.drained, 61100);
    line_close(&line, pool);
    pipe_pool_free(pool);
}

static void test_many_directions_with_few_pipes(void **state)
{
    enum { LINES = 40, PIPES = 3 };
    static struct line lines[LINES];
    const uint64_t total = 400000;
    struct pipe_pool *pool = pool_new(PIPES);
    unsigned open_lines = LINES, most = 0;

    (void)state;
    for (int i = 0; i < LINES; i++)
        line_open(&lines[i], i % 2 ? unix_pair : tcp_pair);
    while (open_lines > 0) {
        for (int i = 0; i < LINES; i++) {
            struct line *line = &lines[i];
            size_t moved;
            if (line->drain < 0)
                continue;
            feed(line, (size_t)(total - line->fed));
            enum splice_result result = run(line, pool, 100000, &moved);
            assert_true(result != SPLICE_READ_ERROR && result != SPLICE_WRITE_ERROR);
            unsigned pipes = pipes_since(ends_before);
            most = pipes > most ? pipes : most;
            if (result == SPLICE_NEED_WRITE || line->fed == total)
                drain(line, 50000);
            if (line->drained == total) {
                open_lines--;
                close(line->drain);
                line->drain = -1;
            }
        }
    }
    assert_int_equal(most, PIPES);
    for (int i = 0; i < LINES; i++)
        line_close(&lines[i], pool);
    pipe_pool_free(pool);
}

/* At most 64 empty pipes stay open. */
static void test_spare_pipes_are_bounded(void **state)
{
    enum { LINES = 80 };
    static struct line lines[LINES];
    struct pipe_pool *pool = pipe_pool_new(4096, 1000);
    size_t moved;

    (void)state;
    assert_non_null(pool);
    for (int i = 0; i < LINES; i++) {
        line_open(&lines[i], unix_pair);
        do
            feed(&lines[i], NO_LIMIT);
        while (run(&lines[i], pool, NO_LIMIT, &moved) != SPLICE_NEED_WRITE);
        assert_true(lines[i].splice.has_pipe);
    }
    assert_int_equal(pipes_since(ends_before), LINES);
    for (int i = 0; i < LINES; i++) { /* each pipe becomes empty and goes back */
        while (lines[i].splice.has_pipe) {
            drain(&lines[i], NO_LIMIT);
            run(&lines[i], pool, 1, &moved);
        }
    }
    assert_int_equal(pipes_since(ends_before), 64);
    for (int i = 0; i < LINES; i++)
        line_close(&lines[i], pool);
    pipe_pool_free(pool);
}

/* A pipe closed with bytes in it makes room for another. */
static void test_pipe_ended_with_bytes_is_closed(void **state)
{
    struct pipe_pool *pool = pool_new(1);
    struct line line;
    size_t moved;
    (void)state;
    for (int i = 0; i < 3; i++) {
        line_open(&line, unix_pair);
        do
            feed(&line, NO_LIMIT);
        while (run(&line, pool, NO_LIMIT, &moved) != SPLICE_NEED_WRITE);
        assert_true(line.splice.has_pipe);
        assert_int_equal(pipes_since(ends_before), 1);
        line_close(&line, pool);
        assert_int_equal(pipes_since(ends_before), 0);
        assert_false(line.splice.has_pipe);
    }
    pipe_pool_free(pool);
    pipe_pool_free(NULL);
}

/* No descriptor left: bytes are copied, and none is lost. */
static void test_without_descriptors(void **state)
{
    struct pipe_pool *pool = pool_new(4);
    struct rlimit usual, none;
    struct line line;
    size_t moved, all = 0;
    (void)state;
    line_open(&line, unix_pair);
    feed(&line, 50000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (all < 50000) {
        assert_int_equal(run(&line, pool, NO_LIMIT, &moved), SPLICE_NEED_READ);
        all += moved;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(pipes_since(ends_before), 0);
    assert_true(drain(&line, 50000));
    assert_int_equal(line.drained, 50000);
    line_close(&line, pool);
    pipe_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_whole),
        cmocka_unit_test(test_prefix_first),
        cmocka_unit_test(test_prefix_alone),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_write_error_with_bytes_held),
        cmocka_unit_test(test_copying_raises_no_sigpipe),
        cmocka_unit_test(test_read_error),
        cmocka_unit_test(test_pipe_full_is_not_source_empty),
        cmocka_unit_test(test_sink_that_cannot_be_spliced),
        cmocka_unit_test(test_source_that_cannot_be_spliced),
        cmocka_unit_test(test_small_portions_take_no_pipe),
        cmocka_unit_test(test_many_directions_with_few_pipes),
        cmocka_unit_test(test_spare_pipes_are_bounded),
        cmocka_unit_test(test_pipe_ended_with_bytes_is_closed),
        cmocka_unit_test(test_without_descriptors),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(60);
    ends_before = pipe_ends();
    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
