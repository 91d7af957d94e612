/* The figures of flow control and scheduling, measured on simulated links: keystrokes beside a bulk
 * transfer, one stream on a long fat path, readers that stall. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path.h"
#include "session/session.h"
#include "session/stream.h"
#include "session_walk.h"

#define MBIT 125000ULL /* bytes a second */
#define KEYS_MAX 1024
#define KEY_EVERY_US 200000
#define STREAMS_OF_TEST 64

struct flow;

/* One end of a stream. */
struct app {
    struct flow *flow;
    struct stream *stream;
    int side;
    uint64_t available; /* to send; UINT64_MAX: always more */
    uint64_t received;
    uint64_t appetite;
    bool echoes;
};

struct flow {
    struct timeline t;
    struct party party[2];
    struct path path;
    struct session *s[2];
    struct app app[STREAMS_OF_TEST][2];
    unsigned opened, answered;
    struct event key;
    unsigned keys;
    uint64_t typed_us[KEYS_MAX], took_us[KEYS_MAX]; /* to the agent */
    uint64_t typed_bytes, arrived_bytes, key_ends[KEYS_MAX];
    unsigned arrived;
};

static bool failed;

static void require(bool good, const char *what)
{
    if (good)
        return;
    failed = true;
    printf("flow:   not so: %s\n", what);
}

/* ---- Applications. ---- */

static ssize_t on_pull(void *owner, struct iovec *piece, int pieces)
{
    struct app *a = owner;
    size_t n = 0;
    for (int i = 0; i < pieces; i++) {
        size_t len = piece[i].iov_len < a->available ? piece[i].iov_len : (size_t)a->available;
        memset(piece[i].iov_base, 'x', len);
        if (a->available != UINT64_MAX)
            a->available -= len;
        n += len;
    }
    return n ? (ssize_t)n : STREAM_PULL_NONE;
}

static void note_keys(struct flow *f, size_t n)
{
    f->arrived_bytes += n;
    while (f->arrived < f->keys && f->arrived_bytes >= f->key_ends[f->arrived]) {
        f->took_us[f->arrived] = f->t.now_us - f->typed_us[f->arrived];
        f->arrived++;
    }
}

static size_t on_push(void *owner, const uint8_t *data, size_t len)
{
    struct app *a = owner;
    size_t n = len < a->appetite ? len : (size_t)a->appetite;
    (void)data;
    a->received += n;
    if (a->appetite != UINT64_MAX)
        a->appetite -= n;
    if (a->echoes && a->side == AGENT) {
        a->available += n;
        stream_readable(a->stream);
    } else if (a->echoes) {
        note_keys(a->flow, n);
    }
    return n;
}

static void on_eof(void *owner)
{
    (void)owner;
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct app *a = owner;
    (void)code;
    (void)text;
    a->stream = NULL;
}

static const struct stream_events stream_events = {
    .pull = on_pull, .push = on_push, .on_eof = on_eof, .on_reset = on_reset, .on_done = on_eof};

/* Streams are answered in the order in which they were opened. */
static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct flow *f = session_owner(s);
    struct app *a = &f->app[f->answered++][AGENT];
    (void)target;
    a->stream = stream;
    stream_set_owner(stream, &stream_events, a);
    stream_accept(stream, "there");
    if (a->available)
        stream_readable(stream);
}

static void on_wake(struct session *s)
{
    struct flow *f = s->owner;
    end_wake(&f->path.end[s->settings.client ? CLIENT : AGENT]);
}

static const struct session_events session_events = {.on_open = on_open, .on_wake = on_wake};

static void on_change(struct end *e)
{
    require(false, e->circuit.failed.code ? e->circuit.failed.text : "the session is over");
    end_close(e);
}

/* ---- The path. ---- */

/* The room between two programs on a usual path: some MB in the kernels' buffers, 128 KiB not
 * sent at each of the two hops. */
static struct flow *flow_new(uint64_t rate, uint64_t round_trip_us)
{
    const struct pipe_settings one = {
        .rate = rate,
        .delay_us = round_trip_us / 2,
        .unsent_bytes = 256U << 10,
        .capacity_bytes = (size_t)(2 * rate * round_trip_us / CLOCK_US_PER_S) + (4U << 20),
    };
    const struct pipe_settings both[2] = {one, one};
    struct flow *f = calloc(1, sizeof *f);
    struct session_welcome welcome = {0};
    struct session_hello hello = {0};
    if (!f)
        abort();
    timeline_start(&f->t, 1, CLOCK_US_PER_S);
    for (int i = 0; i < 2; i++) {
        struct session_settings settings = session_default_settings(i == CLIENT);
        f->party[i] = (struct party){.t = &f->t, .name = "flow", .on_change = on_change};
        f->s[i] = session_new(&settings, &session_events, f);
    }
    memset(f->s[AGENT]->id, 1, SESSION_ID_BYTES);
    session_fill_hello(f->s[CLIENT], &hello);
    session_take_hello(f->s[AGENT], &hello);
    session_fill_welcome(f->s[AGENT], &welcome);
    session_take_welcome(f->s[CLIENT], &welcome);
    path_begin(&f->path, &f->t, both);
    f->path.serial = f->path.number = 1;
    end_open(&f->path.end[AGENT], &f->party[AGENT], f->s[AGENT], f, 0);
    end_open(&f->path.end[CLIENT], &f->party[CLIENT], f->s[CLIENT], f, 0);
    return f;
}

static void flow_free(struct flow *f)
{
    path_free(&f->path);
    session_free(f->s[CLIENT]);
    session_free(f->s[AGENT]);
    timeline_free(&f->t);
    free(f);
}

static struct app *flow_open(struct flow *f, uint64_t up, uint64_t down)
{
    struct app *pair = f->app[f->opened++];
    for (int side = 0; side < 2; side++)
        pair[side] = (struct app){
            .flow = f,
            .side = side,
            .available = side == CLIENT ? up : down,
            .appetite = UINT64_MAX,
        };
    pair[CLIENT].stream = stream_open(f->s[CLIENT], "tcp:there:1", &stream_events, &pair[CLIENT]);
    if (up)
        stream_readable(pair[CLIENT].stream);
    return pair;
}

static void flow_run(struct flow *f, uint64_t us)
{
    uint64_t until = f->t.now_us + us;
    uint64_t steps = 0;
    while (!failed && f->t.count && f->t.heap[0]->at_us <= until) {
        timeline_step(&f->t);
        if (++steps % 64 == 0)
            require(!session_broken(f->s[CLIENT]) && !session_broken(f->s[AGENT]), "an invariant");
    }
    f->t.now_us = until;
}

/* How much of the link a receiver gets over a time, in percent. */
static double share(struct flow *f, const struct app *receiver, uint64_t us)
{
    uint64_t gained = 0 - receiver->received;
    flow_run(f, us);
    gained += receiver->received;
    return 100.0 * (double)gained /
           ((double)f->path.pipe[CLIENT].settings.rate * (double)us / CLOCK_US_PER_S);
}

/* ---- Keystrokes. ---- */

static void on_key(struct event *e)
{
    struct flow *f = container_of(e, struct flow, key);
    struct app *a = &f->app[0][CLIENT];
    uint64_t n = 1 + chance(&f->t, 64);
    if (f->keys == KEYS_MAX)
        return;
    f->typed_bytes += n;
    f->typed_us[f->keys] = f->t.now_us;
    f->key_ends[f->keys++] = f->typed_bytes;
    a->available += n;
    stream_readable(a->stream);
    event_set(&f->t, e, f->t.now_us + KEY_EVERY_US);
}

/* The stream of keystrokes is the first one. */
static void type(struct flow *f)
{
    struct app *pair = flow_open(f, 0, 0);
    pair[CLIENT].echoes = pair[AGENT].echoes = true;
    f->key = (struct event){.run = on_key};
    event_set(&f->t, &f->key, f->t.now_us);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Milliseconds in which so many percent of the echoes came. */
static double key_ms(struct flow *f, unsigned percent)
{
    unsigned at = f->arrived * percent / 100;
    qsort(f->took_us, f->arrived, sizeof f->took_us[0], compare);
    return f->arrived ? (double)f->took_us[at < f->arrived ? at : at - 1] / 1000 : 1e9;
}

static void keys_beside_bulk(const char *what, uint64_t up, uint64_t down)
{
    struct flow *f = flow_new(10 * MBIT, 100000);
    struct app *pair;
    double percent, p50, p99;
    type(f);
    flow_run(f, CLOCK_US_PER_S);
    pair = flow_open(f, up, down);
    flow_run(f, 5 * CLOCK_US_PER_S);
    percent = share(f, up ? &pair[AGENT] : &pair[CLIENT], 100 * CLOCK_US_PER_S);
    require(f->arrived + 3 >= f->keys, "keystrokes were lost");
    p50 = key_ms(f, 50);
    p99 = key_ms(f, 99);
    printf(
        "flow: 10 Mbit/s, 100 ms: bulk %s %.1f %% of the link, echo of %u keys: p50 %.0f ms, p99 "
        "%.0f ms, worst %.0f ms\n",
        what, percent, f->arrived, p50, p99, key_ms(f, 100));
    require(percent > 90, "the bulk transfer gets over 90 % of the link");
    require(p99 < 300, "the 99th percentile of the keystrokes' echoes is under 300 ms");
    flow_free(f);
}

/* ---- Throughput. ---- */

static void long_fat_path(const char *what, uint64_t up, uint64_t down)
{
    struct flow *f = flow_new(1000 * MBIT, 200000);
    struct app *pair = flow_open(f, up, down);
    struct app *receiver = up ? &pair[AGENT] : &pair[CLIENT];
    double second, percent;
    second = share(f, receiver, 5 * CLOCK_US_PER_S);
    percent = share(f, receiver, 4 * CLOCK_US_PER_S);
    printf("flow: 1 Gbit/s, 200 ms: one stream %s %.1f %% of the link in its first 5 s, %.1f %% "
           "then\n",
           what, second, percent);
    require(percent > 80, "one stream gets over 80 % of the link");
    flow_free(f);
}

/* ---- Readers that stall. ---- */

static void stalled_readers(unsigned stalled)
{
    struct flow *f = flow_new(100 * MBIT, 20000);
    struct app *pair;
    double percent;
    type(f);
    for (unsigned i = 0; i < stalled; i++) {
        pair = flow_open(f, UINT64_MAX, UINT64_MAX);
        pair[CLIENT].appetite = pair[AGENT].appetite = 1000;
    }
    flow_run(f, 2 * CLOCK_US_PER_S);
    pair = flow_open(f, UINT64_MAX, 0);
    flow_run(f, 3 * CLOCK_US_PER_S);
    f->keys = f->arrived = 0; /* those typed from now on */
    percent = share(f, &pair[AGENT], 20 * CLOCK_US_PER_S);
    printf(
        "flow: 100 Mbit/s, 20 ms: beside %u stalled readers a bulk stream gets %.1f %%, echo p99 "
        "%.0f ms\n",
        stalled, percent, key_ms(f, 99));
    require(percent > 90, "a stalled reader stalls nobody");
    require(key_ms(f, 99) < 100, "a stalled reader delays no keystroke");
    flow_free(f);
}

static unsigned passed, failures;

static void count(void)
{
    passed += !failed;
    failures += failed;
    failed = false;
}

int main(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    crypto_start(false);
    keys_beside_bulk("up", UINT64_MAX, 0);
    count();
    keys_beside_bulk("down", 0, UINT64_MAX);
    count();
    long_fat_path("up", UINT64_MAX, 0);
    count();
    long_fat_path("down", 0, UINT64_MAX);
    count();
    for (unsigned stalled = 0; stalled <= 60; stalled += 30) {
        stalled_readers(stalled);
        count();
    }
    printf("flow: %u passed, %u failed\n", passed, failures);
    return failures > 0;
}
