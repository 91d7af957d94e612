/* The two applications: the bytes that they send, and the checks of what they get. */
#include "app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define HEADER_BYTES 8 /* the talk's number, first of what the application sends */
#define SIZE_MOST ((uint64_t)1 << 20)
#define PIECES_MOST 200
#define TAKE_BYTES 16384
#define LASTS_MOST_US (60 * CLOCK_US_PER_S)

/* The one service of a world. */
static struct {
    struct talks *talks;
    struct tcp *listener;
    struct event accept;
} service;

/* The bytes that it sends, from the i-th on: its talk's number, then what chance makes of it. */
static void talk_bytes(const struct app *a, uint64_t i, uint8_t *out, size_t len)
{
    uint64_t key = mix64(a->talk->number * 2 + a->is_service), word = 0;
    for (size_t n = 0; n < len; n++, i++) {
        if (n == 0 || i % 8 == 0)
            word = i < HEADER_BYTES && !a->is_service ? a->talk->number : mix64(key + i / 8);
        out[n] = (uint8_t)(word >> (8 * (i % 8)));
    }
}

static struct app *other(const struct app *a)
{
    return a->is_service ? &a->talk->app : &a->talk->service;
}

static void act_soon(struct app *a)
{
    event_set(&timeline, &a->act, timeline.now_us);
}

/* ---- How it ends. ---- */

static void leave(struct app *a, enum app_state state)
{
    a->state = state;
    a->socket->file.told = NULL;
    event_cancel(&timeline, &a->act);
    if (state != APP_DONE)
        a->socket->reset_on_close = true;
    tcp_close(a->socket);
    note(&timeline, a->is_service ? "serv" : "app", "ends", a->talk->number, state);
}

static void end_reset(struct talks *ts, struct app *a)
{
    leave(a, APP_RESET);
    ts->reset++;
    if (other(a)->state != APP_BROKE_OFF)
        ts->was_reset(a->talk);
}

static void end_clean(struct talks *ts, struct app *a)
{
    leave(a, APP_DONE);
    ts->done++;
}

static void see_end(struct talks *ts, struct app *a)
{
    const struct app *o = other(a);
    a->eof_seen = true;
    if (!o->eof_sent || a->received != o->size)
        ts->wrong(a->talk, "an end of file that is none: something is missing");
}

/* ---- What it does. ---- */

static bool check(struct talks *ts, const struct app *a, const uint8_t *bytes, size_t len)
{
    uint8_t right[TAKE_BYTES];
    talk_bytes(other(a), a->received, right, len);
    if (memcmp(bytes, right, len) != 0) {
        ts->wrong(a->talk, "a byte is wrong");
        return false;
    }
    if (a->received + len > other(a)->sent)
        ts->wrong(a->talk, "more arrived than was sent");
    return true;
}

/* False: it has ended. */
static bool take(struct talks *ts, struct app *a, size_t most)
{
    uint8_t bytes[TAKE_BYTES];
    while (!a->eof_seen && most > 0) {
        ssize_t n = tcp_receive(a->socket, bytes, most < sizeof bytes ? most : sizeof bytes);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            end_reset(ts, a);
            return false;
        }
        if (n == 0)
            see_end(ts, a);
        if (!check(ts, a, bytes, (size_t)n))
            return false;
        a->received += (size_t)n;
        ts->bytes += (size_t)n;
        most -= (size_t)n;
    }
    return true;
}

static bool give(struct talks *ts, struct app *a, size_t most)
{
    uint8_t bytes[TAKE_BYTES];
    while (a->sent < a->size && most > 0) {
        uint64_t left = a->size - a->sent;
        size_t len = left < most ? (size_t)left : most;
        len = len < sizeof bytes ? len : sizeof bytes;
        talk_bytes(a, a->sent, bytes, len);
        ssize_t n = tcp_send(a->socket, bytes, len);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            end_reset(ts, a);
            return false;
        }
        a->sent += (size_t)n;
        most -= (size_t)n;
    }
    return true;
}

static bool wants_break(const struct talks *ts, const struct app *a)
{
    return !ts->hurried && a->sent + a->received >= a->break_at;
}

static void send_end(struct app *a)
{
    if (a->eof_sent || a->sent < a->size || (a->lazy && !a->eof_seen))
        return;
    a->eof_sent = true;
    tcp_shutdown(a->socket, SHUT_WR);
}

static void on_act(struct event *e)
{
    struct app *a = container_of(e, struct app, act);
    struct talks *ts = service.talks;
    size_t most = ts->hurried ? SIZE_MAX : (size_t)a->piece;
    if (a->state != APP_TALKS || a->socket->state == TCP_CONNECTS)
        return;
    if (wants_break(ts, a)) {
        leave(a, APP_BROKE_OFF);
        return;
    }
    if (!take(ts, a, most) || !give(ts, a, most))
        return;
    send_end(a);
    if (a->eof_sent && a->eof_seen)
        end_clean(ts, a);
    else if (!ts->hurried && (a->sent < a->size || tcp_readable(a->socket)))
        event_set(&timeline, &a->act, timeline.now_us + a->pause_us);
}

static void begin(struct app *a, struct tcp *socket)
{
    a->state = APP_TALKS;
    a->socket = socket;
    socket->file.told = &a->act;
    act_soon(a);
}

static void prepare(struct app *a, struct talk *k, bool is_service)
{
    struct timeline *t = &timeline;
    a->talk = k;
    a->is_service = is_service;
    a->act.run = on_act;
    a->size = chance(t, 3) ? chance_scaled(t, HEADER_BYTES, 4096)
                           : chance_scaled(t, HEADER_BYTES, SIZE_MOST);
    a->piece = chance_scaled(t, a->size / PIECES_MOST + 1, SIZE_MOST);
    a->pause_us = chance_scaled(t, 1000, LASTS_MOST_US) / (a->size / a->piece + 1) + 20;
    a->break_at = chance(t, 8) ? UINT64_MAX : chance(t, 2 * a->size);
    a->lazy = is_service && chance(t, 2);
}

struct talk *talk_start(struct talks *ts, struct host *host, uint16_t port, void *owner)
{
    struct talk *k = calloc(1, sizeof *k);
    struct tcp *socket = tcp_new(host);
    if (!k)
        abort();
    k->number = ++ts->count;
    k->owner = owner;
    k->began_us = timeline.now_us;
    prepare(&k->app, k, false);
    prepare(&k->service, k, true);
    list_append(&ts->all, &k->all);
    tcp_connect(socket, (struct place){LOOPBACK_ADDRESS, port});
    begin(&k->app, socket);
    return k;
}

/* ---- The service. ---- */

/* A connection that has not said yet whose it is. */
struct guest {
    struct tcp *socket;
    struct event act;
    uint8_t header[HEADER_BYTES];
    size_t len;
};

static struct talk *talk_by_number(const struct talks *ts, const uint8_t header[HEADER_BYTES])
{
    uint64_t number = 0;
    for (unsigned i = 0; i < HEADER_BYTES; i++)
        number |= (uint64_t)header[i] << (8 * i);
    list_each (link, &ts->all) {
        struct talk *k = container_of(link, struct talk, all);
        if (k->number == number)
            return k;
    }
    return NULL;
}

static void recognise(struct guest *g)
{
    struct talk *k = talk_by_number(service.talks, g->header);
    if (!k || k->service.state != APP_NOT_YET) {
        service.talks->wrong(k, k ? "connected twice" : "a connection of nobody's");
        return;
    }
    service.talks->heard(k);
    k->service.received = HEADER_BYTES;
    begin(&k->service, g->socket);
}

static void on_guest(struct event *e)
{
    struct guest *g = container_of(e, struct guest, act);
    ssize_t n = tcp_receive(g->socket, g->header + g->len, HEADER_BYTES - g->len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) { /* before it said who it is: by a reset, since nobody sends less than a header */
        if (n == 0)
            service.talks->wrong(NULL, "an end of file before the first bytes");
        tcp_close(g->socket);
        return;
    }
    g->len += (size_t)n;
    if (g->len == HEADER_BYTES)
        recognise(g);
    else
        event_set(&timeline, e, timeline.now_us);
}

static void on_accept(struct event *e)
{
    struct tcp *socket;
    (void)e;
    while ((socket = tcp_accept(service.listener)) != NULL) {
        struct guest *g = calloc(1, sizeof *g);
        if (!g)
            abort();
        g->socket = socket;
        g->act.run = on_guest;
        socket->file.told = &g->act;
        event_set(&timeline, &g->act, timeline.now_us);
    }
}

void service_start(struct talks *ts, struct host *host, uint16_t port)
{
    service.talks = ts;
    service.listener = tcp_new(host);
    service.accept.run = on_accept;
    service.listener->file.told = &service.accept;
    tcp_bind(service.listener, (struct place){LOOPBACK_ADDRESS, port});
    tcp_listen(service.listener, 1024);
}

/* ---- All of them. ---- */

void talks_begin(struct talks *ts, talk_wrong *wrong, talk_reset *was_reset, talk_heard *heard)
{
    *ts = (struct talks){.wrong = wrong, .was_reset = was_reset, .heard = heard};
    list_init(&ts->all);
}

void talks_hurry(struct talks *ts)
{
    ts->hurried = true;
    list_each (link, &ts->all) {
        struct talk *k = container_of(link, struct talk, all);
        if (k->app.state == APP_TALKS)
            act_soon(&k->app);
        if (k->service.state == APP_TALKS)
            act_soon(&k->service);
    }
}

bool talk_over(const struct talk *k)
{
    bool unheard = k->service.state == APP_NOT_YET && k->app.state != APP_DONE;
    return k->app.state > APP_TALKS && (unheard || k->service.state > APP_TALKS);
}

unsigned talks_open(const struct talks *ts)
{
    unsigned open = 0;
    list_each (link, &ts->all)
        open += !talk_over(container_of(link, struct talk, all));
    return open;
}

uint64_t talks_left(const struct talks *ts)
{
    uint64_t left = 0;
    list_each (link, &ts->all) {
        const struct talk *k = container_of(link, struct talk, all);
        if (!talk_over(k))
            left += k->app.size - k->service.received + k->service.size - k->app.received;
    }
    return left;
}
