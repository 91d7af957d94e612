/* The pipes, applications and checks that tests of sessions share. */
#include "session_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "session/internal.h"
#include "session/listen.h"
#include "session_short.h"
#include "session_walk.h"

#define START_US 5000000

static void *allocate(size_t size)
{
    void *p = calloc(1, size);
    assert_non_null(p);
    return p;
}

void session_check(const struct session *s)
{
    const char *broken = session_broken(s);
    if (broken)
        fail_msg("broken: %s", broken);
}

static void check_side(struct side *side, const struct side *peer)
{
    const struct session *s = side->s;
    session_check(s);
    /* session 2 and 3 */
    assert_true(s->receive_position >= side->last_received && s->ring.tail >= side->last_tail);
    side->last_received = s->receive_position;
    side->last_tail = s->ring.tail;
    assert_true(s->receive_position <= peer->s->sent_max);
    assert_true(peer->s->ring.tail <= s->receive_position);
}

void pair_check(struct pair *p)
{
    check_side(&p->side[CLIENT], &p->side[AGENT]);
    check_side(&p->side[AGENT], &p->side[CLIENT]);
}

/* With nothing on its way both sides count the same credit. */
static void check_credit(struct pair *p)
{
    list_each (link, &p->side[CLIENT].s->all) {
        struct stream *a = container_of(link, struct stream, all_link);
        struct stream *b = a->id ? stream_find(p->side[AGENT].s, a->id) : NULL;
        if (!b || a->reset_sent || b->reset_sent || !a->answered)
            continue;
        if (!a->eof_sent)
            assert_int_equal(a->send_credit, b->credit_out);
        if (!b->eof_sent)
            assert_int_equal(b->send_credit, a->credit_out);
    }
}

void pair_check_empty(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct session *s = p->side[i].s;
        assert_true(list_empty(&s->all) && list_empty(&s->owing) && list_empty(&s->closing));
        assert_int_equal(s->own_open + s->peer_open + s->listeners + s->refused, 0);
        assert_int_equal(s->streams.count, 0);
    }
    pair_check(p);
}

/* --- Applications --- */

uint8_t app_byte(unsigned number, int direction, uint64_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 29 + (i >> 16) * 101 + number * 53 + (unsigned)direction);
}

static bool hooked(struct app *app, enum app_event event)
{
    return !app->hook || app->hook(app, event);
}

static ssize_t app_pull(void *owner, struct iovec *piece, int pieces)
{
    struct app *app = owner;
    size_t n = 0, most = app->slice ? app->slice : SIZE_MAX;
    app->pulls++;
    if (!hooked(app, APP_PULL))
        return STREAM_PULL_GONE;
    for (int i = 0; i < pieces; i++) {
        uint8_t *out = piece[i].iov_base;
        for (size_t k = 0; k < piece[i].iov_len && n < most && app->available; k++) {
            out[k] = app_byte(app->number, app->side->which, app->sent++);
            app->available--;
            n++;
        }
    }
    if (n)
        return (ssize_t)n;
    return app->closing && !app->available ? STREAM_PULL_EOF : STREAM_PULL_NONE;
}

static size_t app_push(void *owner, const uint8_t *data, size_t len)
{
    struct app *app = owner;
    size_t n = app->bite && app->bite < len ? app->bite : len;
    assert_true(len > 0);
    assert_int_equal(app->eofs, 0);
    if (!hooked(app, APP_PUSH))
        return 0;
    if (n > app->appetite)
        n = (size_t)app->appetite;
    for (size_t i = 0; i < n; i++)
        if (data[i] != app_byte(app->number, !app->side->which, app->received + i))
            fail_msg("stream %u: byte %llu is not the one sent", app->number,
                     (unsigned long long)(app->received + i));
    app->received += n;
    if (app->appetite != EVERYTHING)
        app->appetite -= n;
    return n;
}

static void app_on_datagram(void *owner, struct view datagram)
{
    struct app *app = owner;
    app->datagrams++;
    if (app->on_datagram)
        app->on_datagram(app, datagram);
}

static void app_on_eof(void *owner)
{
    struct app *app = owner;
    app->eofs++;
    assert_int_equal(app->eofs, 1);
    hooked(app, APP_EOF);
}

static void app_on_opened(void *owner, struct view address)
{
    struct app *app = owner;
    app->opened++;
    text_clean(app->address, sizeof app->address, address);
    hooked(app, APP_OPENED);
}

static void app_gone(struct app *app)
{
    assert_non_null(app->stream);
    app->stream = NULL;
}

static void app_on_reset(void *owner, enum reset_code code, const char *text)
{
    struct app *app = owner;
    app_gone(app);
    app->resets++;
    app->reset_code = code;
    snprintf(app->reset_text, sizeof app->reset_text, "%s", text);
    hooked(app, APP_RESET);
}

static void app_on_done(void *owner)
{
    struct app *app = owner;
    app_gone(app);
    app->dones++;
    assert_int_equal(app->eofs, 1);
    hooked(app, APP_DONE);
}

static const struct stream_events app_events = {
    .pull = app_pull,
    .push = app_push,
    .on_datagram = app_on_datagram,
    .on_eof = app_on_eof,
    .on_opened = app_on_opened,
    .on_reset = app_on_reset,
    .on_done = app_on_done,
};

static struct app *app_new(struct side *side, unsigned number)
{
    struct app *app = allocate(sizeof *app);
    app->side = side;
    app->number = number;
    app->appetite = EVERYTHING;
    return app;
}

/* The application with the stream it got, or NULL. */
static struct app *app_tie(struct app *app, struct stream *st)
{
    if (!st) {
        free(app);
        return NULL;
    }
    app->stream = st;
    list_append(&app->side->apps, &app->link);
    return app;
}

struct app *app_open(struct side *side, unsigned number)
{
    struct app *app = app_new(side, number);
    char target[32];
    snprintf(target, sizeof target, "tcp:app:%u", number);
    return app_tie(app, stream_open(side->s, target, &app_events, app));
}

struct app *app_open_datagrams(struct side *side, unsigned number)
{
    struct app *app = app_new(side, number);
    char target[32];
    snprintf(target, sizeof target, "udp:app:%u", number);
    return app_tie(app, stream_open(side->s, target, &app_events, app));
}

struct app *app_open_for(struct side *side, struct stream *listener, unsigned number)
{
    struct app *app = app_new(side, number);
    char peer[32];
    snprintf(peer, sizeof peer, "tcp:app:%u", number);
    return app_tie(app, stream_open_for(listener, peer, &app_events, app));
}

struct app *app_find(struct side *side, unsigned number)
{
    list_each (link, &side->apps) {
        struct app *app = container_of(link, struct app, link);
        if (app->number == number)
            return app;
    }
    return NULL;
}

void app_write(struct app *app, uint64_t bytes)
{
    app->available += bytes;
    if (app->stream)
        stream_readable(app->stream);
}

void app_close(struct app *app)
{
    app->closing = true;
    if (app->stream)
        stream_readable(app->stream);
}

void app_take(struct app *app, uint64_t bytes)
{
    app->appetite = bytes == EVERYTHING ? EVERYTHING : app->appetite + bytes;
    if (app->stream)
        stream_writable(app->stream);
}

void app_accept(struct app *app, const char *address)
{
    stream_accept(app->stream, address);
    if (app->stream && (app->available || app->closing))
        stream_readable(app->stream);
}

void app_reset(struct app *app, enum reset_code code, const char *text)
{
    stream_reset(app->stream, code, text);
    app->stream = NULL;
}

/* --- The pair --- */

static void on_open(struct session *s, struct stream *stream, struct view target)
{
    struct side *side = s->owner;
    if (side->on_open)
        side->on_open(side, stream, target);
    else
        app_answer(side, stream, target);
}

void app_answer(struct side *side, struct stream *stream, struct view target)
{
    struct app *app;
    char text[TARGET_MAX_BYTES + 1];
    text_clean(text, sizeof text, target);
    side->opens++;
    if (side->answer == OPEN_REFUSE) {
        stream_reset(stream, RESET_REFUSED, "nobody listens there");
        return;
    }
    app = allocate(sizeof *app);
    *app = side->model;
    app->side = side;
    app->stream = stream;
    assert_int_equal(sscanf(text, "%*3s:app:%u", &app->number), 1);
    list_append(&side->apps, &app->link);
    stream_set_owner(stream, &app_events, app);
    if (side->answer == OPEN_ACCEPT)
        app_accept(app, "127.0.0.1:22");
}

static void on_listen(struct session *s, struct stream *listener, struct view address)
{
    struct side *side = s->owner;
    if (side->on_listen)
        side->on_listen(side, listener, address);
    else
        stream_reset(listener, RESET_UNSUPPORTED, "no listening here");
}

static void on_connection(struct session *s, struct stream *stream, struct stream *listener,
                          struct view peer)
{
    struct side *side = s->owner;
    assert_non_null(side->on_connection);
    side->on_connection(side, stream, listener, peer);
}

static void on_wake(struct session *s)
{
    struct side *side = s->owner;
    side->woken = true;
}

static void on_room(struct session *s)
{
    struct side *side = s->owner;
    side->rooms++;
    if (side->on_room)
        side->on_room(side);
}

static bool may_grow(struct session *s, size_t more)
{
    struct side *side = s->owner;
    assert_int_equal(more, s->ring.size);
    return !side->no_growth;
}

static void on_silence(struct session *s)
{
    struct side *side = s->owner;
    side->silences++;
}

static void on_stall(struct session *s, uint64_t since_us)
{
    struct side *side = s->owner;
    side->stalls++;
    side->stalled_since = since_us;
}

static void on_head(struct session *s, struct view head)
{
    struct side *side = session_owner(s);
    side->heads++;
    side->head_len = head.len;
    memcpy(side->head, head.data, head.len);
}

static void on_access(struct session *s, const struct access_frame *access)
{
    struct side *side = s->owner;
    side->accesses++;
    side->access_state = access->state;
    side->access_until_s = access->until_s;
    text_clean(side->access_text, sizeof side->access_text, access->text);
}

static void on_move(struct session *s, struct circuit *c)
{
    struct side *side = s->owner;
    assert_ptr_equal(s->circuit, c);
    side->moves++;
}

/* Two audits of one stream must be possible: see docs/AUDIT.md. */
static void check_direction(const struct stream_end *from, const struct stream_end *to)
{
    assert_true(from->acknowledged <= from->sent);
    assert_true(to->received <= from->sent);
    if (to->clean || to->by_peer)
        assert_true(from->acknowledged <= to->received);
    if (from->clean && to->clean && from->acknowledged)
        assert_true(from->acknowledged == from->sent && to->received == from->sent);
}

static void on_stream(struct session *s, const struct stream_report *r)
{
    struct side *side = session_owner(s);
    struct stream_end *end = &side->ends[r->id % STREAM_ENDS];
    const struct stream_end *theirs;
    side->reports[r->step]++;
    assert_non_null(r->target);
    assert_int_equal(*r->stamp, r->step == STREAM_ENDED);
    *r->stamp = r->step == STREAM_OPENED ? 1 : *r->stamp;
    if (r->step != STREAM_ENDED)
        return;
    *end = (struct stream_end){.id = r->id,
                               .clean = r->code == RESET_NONE,
                               .by_peer = r->by_peer && r->code != RESET_SESSION_OVER,
                               .sent = r->sent,
                               .acknowledged = r->acknowledged,
                               .received = r->received};
    if (!side->other)
        return;
    theirs = &side->other->ends[r->id % STREAM_ENDS];
    if (theirs->id != r->id)
        return;
    check_direction(end, theirs);
    check_direction(theirs, end);
}

static const struct session_events events = {
    .on_stream = on_stream,
    .on_open = on_open,
    .on_listen = on_listen,
    .on_connection = on_connection,
    .on_wake = on_wake,
    .on_move = on_move,
    .on_room = on_room,
    .may_grow = may_grow,
    .on_silence = on_silence,
    .on_stall = on_stall,
    .on_access = on_access,
    .on_head = on_head,
};

static void side_init(struct side *side, int which, const struct session_settings *settings)
{
    struct session_settings usual = session_default_settings(which == CLIENT);
    side->which = which;
    side->model.appetite = EVERYTHING;
    list_init(&side->apps);
    side->s = session_new(settings ? settings : &usual, &events, side);
    assert_non_null(side->s);
}

struct pair *pair_new(const struct session_settings *client, const struct session_settings *agent)
{
    struct pair *p = allocate(sizeof *p);
    list_init(&p->conns);
    p->now = START_US;
    p->random = 0x9e3779b97f4a7c15ULL;
    p->pipe_bytes = 256U << 10;
    side_init(&p->side[CLIENT], CLIENT, client);
    side_init(&p->side[AGENT], AGENT, agent);
    p->side[CLIENT].other = &p->side[AGENT];
    p->side[AGENT].other = &p->side[CLIENT];
    memset(p->side[AGENT].s->id, 0xa5, SESSION_ID_BYTES);
    return p;
}

static void side_free(struct side *side)
{
    session_free(side->s);
    list_each (link, &side->apps) {
        struct app *app = container_of(link, struct app, link);
        assert_null(app->stream); /* everybody was told */
        free(app);
    }
}

void pair_free(struct pair *p)
{
    while (!list_empty(&p->conns))
        conn_drop(container_of(p->conns.next, struct conn, link));
    side_free(&p->side[CLIENT]);
    side_free(&p->side[AGENT]);
    free(p);
}

uint64_t pair_random(struct pair *p, uint64_t bound)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random % bound;
}

/* Decoded views point into static memory. */
void pair_greet(struct pair *p, struct greeting *g)
{
    static uint8_t hello[512], welcome[512];
    uint16_t unsupported;
    size_t len;
    *g = (struct greeting){.hello = {.version = 1, .agent = view_of_string("lab")}};
    session_fill_hello(p->side[CLIENT].s, &g->hello);
    len = session_hello_encode(&g->hello, hello, sizeof hello);
    assert_true(session_hello_decode(&g->hello, view_of(hello, len), &unsupported));
    g->welcome = (struct session_welcome){.version = 1, .text = view_of_string("")};
    session_fill_welcome(p->side[AGENT].s, &g->welcome);
    len = session_welcome_encode(&g->welcome, welcome, sizeof welcome);
    assert_true(session_welcome_decode(&g->welcome, view_of(welcome, len), &unsupported));
}

static void key_of(uint8_t key[KEY_BYTES], uint32_t number, int direction)
{
    memset(key, (int)number + 1, KEY_BYTES);
    key[0] = (uint8_t)direction;
    store_be32(key + 4, number);
}

struct conn *pair_attach(struct pair *p, const struct greeting *g)
{
    struct conn *c = allocate(sizeof *c);
    uint64_t told[2] = {g->welcome.receive_position, g->hello.receive_position};
    session_take_hello(p->side[AGENT].s, &g->hello);
    assert_true(session_take_welcome(p->side[CLIENT].s, &g->welcome));
    for (int i = 1; i >= 0; i--) {
        enum suite suite = g->hello.circuit & 1 ? SUITE_AESGCM : SUITE_CHACHAPOLY;
        struct cipher send, receive;
        uint8_t key[KEY_BYTES];
        key_of(key, g->hello.circuit, i);
        cipher_init(&send, suite, key);
        key_of(key, g->hello.circuit, !i);
        cipher_init(&receive, suite, key);
        assert_true(circuit_init(&c->end[i], p->side[i].s, &send, &receive, g->hello.circuit,
                                 told[i], p->now));
        assert_true(bytes_are_zero(send.key, sizeof send.key));
    }
    c->pair = p;
    p->side[CLIENT].woken = true; /* circuit_init says so */
    list_append(&p->conns, &c->link);
    p->conn = c;
    pair_check(p);
    return c;
}

struct conn *pair_connect(struct pair *p)
{
    struct greeting g;
    pair_greet(p, &g);
    return pair_attach(p, &g);
}

void conn_drop(struct conn *c)
{
    list_remove(&c->link);
    if (c->pair->conn == c)
        c->pair->conn = NULL;
    for (int i = 0; i < 2; i++) {
        circuit_free(&c->end[i]);
        fifo_clear(&c->pipe[i]);
    }
    free(c);
}

bool conn_flush(struct conn *c, int i)
{
    struct pair *p = c->pair;
    struct side *side = &p->side[i];
    bool moved = false;
    if (!side->woken || side->s->circuit != &c->end[i])
        return false;
    while (c->pipe[i].bytes < p->pipe_bytes) {
        struct view out = circuit_output(&c->end[i], p->now);
        size_t n = out.len;
        if (!n) {
            side->woken = false;
            break;
        }
        if (p->slice == SLICE_RANDOM)
            n = 1 + (size_t)pair_random(p, n);
        assert_true(fifo_append(&c->pipe[i], out.data, n));
        circuit_written(&c->end[i], n);
        moved = true;
    }
    pair_check(p);
    return moved;
}

size_t conn_deliver(struct conn *c, int i, size_t max)
{
    struct pair *p = c->pair;
    struct circuit *to = &c->end[!i];
    struct view front = fifo_front(&c->pipe[i]);
    size_t n = front.len < max ? front.len : max, room;
    uint8_t *space = circuit_input_space(to, &room);
    assert_true(room >= 64U << 10);
    if (n > room)
        n = room;
    if (!n)
        return 0;
    memcpy(space, front.data, n);
    fifo_drop(&c->pipe[i], n);
    c->carried[i] += n;
    circuit_received(to, n, p->now);
    /* With slices a frame at a time, as a driver with others to serve. */
    while (circuit_work(to, p->slice ? 1 : SIZE_MAX, p->now))
        pair_check(p);
    assert_true(!circuit_has_work(to) || to->failed.code);
    pair_check(p);
    return n;
}

bool pair_step(struct pair *p)
{
    bool moved = false;
    list_each (link, &p->conns) {
        struct conn *c = container_of(link, struct conn, link);
        for (int i = 0; i < 2; i++) {
            size_t most = p->slice == SLICE_RANDOM ? 1 + (size_t)pair_random(p, 5000)
                          : p->slice               ? p->slice
                                                   : SIZE_MAX;
            moved = conn_flush(c, i) || moved;
            moved = conn_deliver(c, i, most) || moved;
        }
    }
    return moved;
}

void pair_run(struct pair *p)
{
    while (pair_step(p))
        ;
    list_each (link, &p->conns) {
        struct conn *c = container_of(link, struct conn, link);
        for (int i = 0; i < 2; i++)
            if (p->side[i].s->circuit == &c->end[i])
                assert_int_equal(circuit_output(&c->end[i], p->now).len, 0); /* no lost wake */
    }
    if (p->side[0].s->state == SESSION_ACTIVE && p->side[1].s->state == SESSION_ACTIVE && p->conn)
        check_credit(p);
}

/* The end that is due first, not after `until`. */
static struct circuit *next_due(struct pair *p, uint64_t until)
{
    struct circuit *due = NULL;
    list_each (link, &p->conns) {
        struct conn *c = container_of(link, struct conn, link);
        for (int i = 0; i < 2; i++) {
            uint64_t at = circuit_deadline(&c->end[i]);
            if (at <= until) {
                due = &c->end[i];
                until = at;
            }
        }
    }
    return due;
}

void pair_wait(struct pair *p, uint64_t us)
{
    uint64_t until = p->now + us;
    struct circuit *due;
    pair_run(p);
    while ((due = next_due(p, until)) != NULL) {
        uint64_t at = circuit_deadline(due);
        if (at > p->now)
            p->now = at;
        circuit_tick(due, p->now);
        assert_true(circuit_deadline(due) > p->now); /* a tick does what was due */
        pair_run(p);
    }
    p->now = until;
}

/* --- A peer played frame by frame --- */

void raw_circuit(struct raw *r, struct circuit *c, struct cipher *send, struct cipher *receive,
                 uint32_t number, uint64_t told)
{
    struct cipher own_send, own_receive;
    uint8_t key[KEY_BYTES];
    key_of(key, number, 0);
    cipher_init(&own_send, SUITE_CHACHAPOLY, key);
    cipher_init(receive, SUITE_CHACHAPOLY, key);
    key_of(key, number, 1);
    cipher_init(&own_receive, SUITE_CHACHAPOLY, key);
    cipher_init(send, SUITE_CHACHAPOLY, key);
    assert_true(circuit_init(c, r->s, &own_send, &own_receive, number, told, r->now));
}

struct raw *raw_new(bool client, const struct session_settings *settings)
{
    struct raw *r = allocate(sizeof *r);
    r->now = START_US;
    side_init(&r->side, client ? CLIENT : AGENT, settings);
    r->s = r->side.s;
    if (client) {
        struct session_hello hello;
        struct session_welcome welcome = {.ring = RAW_RING,
                                          .receive_limit = 16U << 20,
                                          .streams = STREAMS_DEFAULT,
                                          .early_credit = RAW_EARLY_CREDIT};
        memset(welcome.session_id, 0xa5, sizeof welcome.session_id);
        session_fill_hello(r->s, &hello);
        assert_true(session_take_welcome(r->s, &welcome));
    } else {
        struct session_hello hello = {
            .ring = RAW_RING, .receive_limit = 16U << 20, .streams = STREAMS_DEFAULT, .circuit = 1};
        session_take_hello(r->s, &hello);
    }
    raw_circuit(r, &r->c, &r->send, &r->receive, 1, 0);
    return r;
}

void raw_free(struct raw *r)
{
    side_free(&r->side);
    assert_null(r->c.session);
    circuit_free(&r->c);
    free(r);
}

void record_frame(struct record *record, unsigned type, uint32_t stream, const void *payload,
                  size_t len)
{
    uint8_t *out = record->bytes + 2 + record->len;
    assert_true(record->len + FRAME_HEADER_BYTES + len <= RECORD_PLAINTEXT_MAX);
    frame_header(out, type, stream, len);
    if (len)
        memcpy(out + FRAME_HEADER_BYTES, payload, len);
    record->len += FRAME_HEADER_BYTES + len;
}

size_t record_seal(struct record *record, struct cipher *cipher)
{
    uint8_t *plain = record->bytes + 2;
    store_be16(record->bytes, (uint16_t)(record->len + TAG_BYTES));
    cipher_seal(cipher, view_of(NULL, 0), plain, record->len, plain + record->len);
    return 2 + record->len + TAG_BYTES;
}

void raw_feed(struct raw *r, struct circuit *c, const uint8_t *bytes, size_t len)
{
    while (len) {
        size_t room, n;
        uint8_t *space = circuit_input_space(c, &room);
        assert_true(room >= 64U << 10);
        n = len < room ? len : room;
        memcpy(space, bytes, n);
        circuit_input(c, n, r->now);
        bytes += n;
        len -= n;
        session_check(r->s);
    }
}

void raw_send(struct raw *r, unsigned type, uint32_t stream, const void *payload, size_t len)
{
    static struct record record;
    record.len = 0;
    record_frame(&record, type, stream, payload, len);
    if (frame_sequenced(type))
        r->sequenced += record.len;
    raw_feed(r, &r->c, record.bytes, record_seal(&record, &r->send));
}

void raw_send_position(struct raw *r, unsigned type, uint64_t position)
{
    uint8_t payload[8];
    store_be64(payload, position);
    raw_send(r, type, 0, payload, sizeof payload);
}

void raw_send_open(struct raw *r, uint32_t stream, uint32_t window)
{
    char target[32];
    uint8_t payload[64];
    struct open_frame open = {.window = window};
    snprintf(target, sizeof target, "tcp:app:%u", stream);
    open.target = view_of_string(target);
    raw_send(r, FRAME_OPEN, stream, payload, open_encode(&open, false, payload, sizeof payload));
}

void raw_send_opened(struct raw *r, uint32_t stream, uint32_t window)
{
    uint8_t payload[64];
    struct opened_frame opened = {.window = window, .address = view_of_string("10.0.0.1:22")};
    raw_send(r, FRAME_OPENED, stream, payload, opened_encode(&opened, payload, sizeof payload));
}

void raw_send_data(struct raw *r, uint32_t stream, uint64_t from, size_t len)
{
    static uint8_t payload[FRAME_PAYLOAD_MAX];
    for (size_t i = 0; i < len; i++)
        payload[i] = app_byte(stream, !r->side.which, from + i);
    raw_send(r, FRAME_DATA, stream, payload, len);
}

void raw_send_code(struct raw *r, unsigned type, uint32_t stream, unsigned code, const char *text)
{
    uint8_t payload[TEXT_MAX_BYTES + 8];
    struct reset_frame reset = {.code = (enum reset_code)code, .text = view_of_string(text)};
    raw_send(r, type, stream, payload, reset_encode(&reset, payload, sizeof payload));
}

void raw_send_window(struct raw *r, uint32_t stream, uint32_t credit)
{
    uint8_t payload[4];
    store_be32(payload, credit);
    raw_send(r, FRAME_WINDOW, stream, payload, sizeof payload);
}

void raw_start(struct raw *r)
{
    raw_send_position(r, FRAME_START, 0);
    assert_true(r->c.started && r->s->circuit == &r->c);
    raw_output(r);
}

static void note_record(struct sent *sent, struct view plain)
{
    sent->records++;
    if (plain.len > sent->largest)
        sent->largest = plain.len;
    while (plain.len) {
        struct frame f;
        size_t kept;
        assert_true(frame_next(&f, &plain));
        assert_true(sent->count < sizeof sent->frame / sizeof sent->frame[0]);
        kept = f.payload.len < sizeof sent->frame[0].payload ? f.payload.len
                                                             : sizeof sent->frame[0].payload;
        sent->frame[sent->count].type = f.type;
        sent->frame[sent->count].stream = f.stream;
        sent->frame[sent->count].len = f.payload.len;
        if (kept)
            memcpy(sent->frame[sent->count].payload, f.payload.data, kept);
        sent->count++;
    }
}

const struct sent *raw_output(struct raw *r)
{
    return raw_output_on(r, &r->c, &r->receive);
}

const struct sent *raw_output_on(struct raw *r, struct circuit *c, struct cipher *receive)
{
    static struct sent sent;
    memset(&sent, 0, sizeof sent);
    for (;;) {
        struct view out = circuit_output(c, r->now);
        uint8_t *copy;
        if (!out.len)
            break;
        copy = allocate(out.len);
        memcpy(copy, out.data, out.len);
        for (size_t at = 0; at < out.len;) {
            size_t len = load_be16(copy + at) - (size_t)TAG_BYTES;
            uint8_t *plain = copy + at + 2;
            assert_true(cipher_open(receive, view_of(NULL, 0), plain, len, plain + len));
            note_record(&sent, view_of(plain, len));
            at += 2 + len + TAG_BYTES;
        }
        free(copy);
        circuit_written(c, out.len);
        session_check(r->s);
    }
    r->side.woken = false;
    return &sent;
}

unsigned sent_count(const struct sent *sent, unsigned type)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sent->count; i++)
        n += sent->frame[i].type == type;
    return n;
}
