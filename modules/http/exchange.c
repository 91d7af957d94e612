/* Requests on one connection: reading one, finding its route, and sending the answer. All that may
 * end a connection happens in its own turn in the loop, so that a route may go on using it. */
#include "http/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <http_parser.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/origin.h"

#define IN_BYTES 4096
#define HEAD_BYTES 1536

enum exchange_state {
    STATE_READING,
    STATE_ANSWERING, /* the answer is owed */
    STATE_STREAMING,
    STATE_LEAVING, /* once all is sent */
};

struct http_exchange {
    struct list place;
    struct carrier *carrier;
    struct loop *loop;
    const struct http_site *site;
    struct partings *partings;
    struct http_reader *reader;
    enum exchange_state state;
    bool begun;       /* a byte of the request has come */
    bool input_ended; /* the asker sends nothing more */
    bool trusted;
    bool over;  /* it ends with its next turn */
    bool ended; /* it is only memory */
    struct timer limit;
    uint64_t read_until_us;
    uint64_t owed, sent_then; /* bytes: all that were to be sent; sent when the limit was set */
    struct deferred turn;
    void (*gone)(void *state); /* or NULL */
    void *gone_state;
    size_t in_len;
    uint8_t in[IN_BYTES];
};

/* ---- The end. ---- */

static void take_turn(struct http_exchange *x)
{
    if (!x->ended)
        loop_defer(x->loop, &x->turn);
}

static void tell_gone(struct http_exchange *x)
{
    void (*gone)(void *state) = x->gone;
    x->gone = NULL;
    if (gone)
        gone(x->gone_state);
}

/* Frees itself with its next turn. */
static void end(struct http_exchange *x)
{
    take_turn(x);
    x->ended = true;
    timer_cancel(x->loop, &x->limit);
    list_remove(&x->place);
    http_reader_free(x->reader);
    wipe(x->in, sizeof x->in);
    tell_gone(x);
}

void exchange_end(struct http_exchange *x)
{
    if (x->ended)
        return;
    carrier_close(x->carrier);
    end(x);
}

/* Bytes that the asker still sends must not make a reset of the end. */
static void leave(struct http_exchange *x)
{
    carrier_leave(x->carrier);
    partings_add(x->partings, x->carrier);
    end(x);
}

/* ---- Time. ---- */

static uint64_t sent(const struct http_exchange *x)
{
    return x->owed - x->carrier->unsent.bytes;
}

static void set_limit(struct http_exchange *x)
{
    uint64_t until = x->state == STATE_READING ? x->read_until_us : CLOCK_NEVER;
    if (exchange_unsent(x) > 0) {
        x->sent_then = sent(x);
        until = loop_now(x->loop) + EXCHANGE_SEND_S * CLOCK_US_PER_S;
    }
    timer_set(x->loop, &x->limit, until);
}

/* An asker that has read something has its time anew. */
static void on_limit(struct timer *timer)
{
    struct http_exchange *x = container_of(timer, struct http_exchange, limit);
    if (exchange_unsent(x) > 0 && sent(x) != x->sent_then) {
        set_limit(x);
        return;
    }
    exchange_end(x);
}

/* ---- Answers. ---- */

size_t exchange_unsent(const struct http_exchange *x)
{
    return x->ended ? 0 : x->carrier->unsent.bytes;
}

/* Takes the bytes over, whatever comes. */
static void send_bytes(struct http_exchange *x, struct fifo *bytes, bool whole)
{
    bool first = exchange_unsent(x) == 0;
    if (x->ended || x->over || !whole ||
        bytes->bytes > EXCHANGE_UNSENT_BYTES - exchange_unsent(x)) {
        fifo_clear(bytes);
        x->over = true;
        take_turn(x);
        return;
    }
    x->owed += bytes->bytes;
    carrier_owe(x->carrier, bytes);
    carrier_want_write(x->carrier);
    if (first)
        set_limit(x);
}

static void write_date(char out[40])
{
    time_t now = (time_t)clock_wall_s();
    struct tm date = {0};
    gmtime_r(&now, &date);
    strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &date);
}

/* The page and its answers are for this browser's window alone, and nothing of others is in them.
 */
static int write_head(char head[HEAD_BYTES], unsigned status, const char *type, const char *length)
{
    char date[40];
    write_date(date);
    return snprintf(
        head, HEAD_BYTES,
        "HTTP/1.1 %u %s\r\n"
        "Date: %s\r\n"
        "Content-Type: %s\r\n"
        "%s\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"
        "Cross-Origin-Opener-Policy: same-origin\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "X-Frame-Options: DENY\r\n"
        "%s",
        status, http_status_str((enum http_status)status), date, type, length,
        status == 401 ? "WWW-Authenticate: Bearer\r\n" : "");
}

/* The request is answered: the next one may come. */
static void answered(struct http_exchange *x)
{
    bool keeps = http_reader_message(x->reader)->keeps && !x->input_ended;
    x->gone = NULL;
    x->state = keeps ? STATE_READING : STATE_LEAVING;
    x->begun = false;
    x->read_until_us = loop_now(x->loop) + EXCHANGE_IDLE_S * CLOCK_US_PER_S;
    http_reader_next(x->reader);
    set_limit(x);
    take_turn(x);
}

void exchange_answer(struct http_exchange *x, unsigned status, const char *type,
                     struct view content)
{
    bool keeps = http_reader_message(x->reader)->keeps && !x->input_ended;
    char head[HEAD_BYTES], length[64];
    struct fifo out = {0};
    int len;
    snprintf(length, sizeof length, "Content-Length: %zu\r\nConnection: %s", content.len,
             keeps ? "keep-alive" : "close");
    len = write_head(head, status, type, length);
    send_bytes(x, &out,
               fifo_append(&out, head, (size_t)len) && fifo_append(&out, "\r\n", 2) &&
                   fifo_append(&out, content.data, content.len));
    answered(x);
}

void exchange_refuse(struct http_exchange *x, unsigned status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    text_format(text, sizeof text, format, args);
    va_end(args);
    exchange_answer(x, status, "text/plain; charset=utf-8", view_of_string(text));
}

void exchange_wait(struct http_exchange *x, void (*gone)(void *state), void *state)
{
    x->gone = gone;
    x->gone_state = state;
}

void exchange_stream(struct http_exchange *x, const char *type, void (*gone)(void *state),
                     void *state)
{
    char head[HEAD_BYTES];
    struct fifo out = {0};
    int len = write_head(head, 200, type, "Transfer-Encoding: chunked");
    exchange_wait(x, gone, state);
    x->state = STATE_STREAMING;
    send_bytes(x, &out, fifo_append(&out, head, (size_t)len) && fifo_append(&out, "\r\n", 2));
}

void exchange_put(struct http_exchange *x, struct view piece)
{
    char size[24];
    struct fifo out = {0};
    int len = snprintf(size, sizeof size, "%zx\r\n", piece.len);
    if (piece.len > 0) /* an empty chunk would be the last */
        send_bytes(x, &out,
                   fifo_append(&out, size, (size_t)len) &&
                       fifo_append(&out, piece.data, piece.len) && fifo_append(&out, "\r\n", 2));
}

/* ---- Requests. ---- */

static const struct http_route *find_route(const struct http_site *site,
                                           const struct http_message *m)
{
    for (const struct http_route *r = site->routes; r->path; r++)
        if (strcmp(r->path, m->target) == 0 && strcmp(r->method, m->method) == 0)
            return r;
    return NULL;
}

static void answer_request(struct http_exchange *x)
{
    const struct http_message *m = http_reader_message(x->reader);
    const struct http_route *route = find_route(x->site, m);
    x->state = STATE_ANSWERING;
    set_limit(x);
    if (!origin_is_host(m, x->site->hosts))
        exchange_refuse(x, 421, "this is not what that name stands for");
    else if (!route)
        exchange_refuse(x, 404, "nothing is here");
    else if (!route->anywhere && !origin_is_own(m))
        exchange_refuse(x, 403, "only the page that comes from here may ask for this");
    else
        route->run(x);
}

/* It is the last: where the next one would begin is not known. */
static void answer_malformed(struct http_exchange *x)
{
    const char *why;
    unsigned status = http_reader_status(x->reader, &why);
    x->input_ended = true;
    exchange_refuse(x, status, "%s", why);
}

static void read_request(struct http_exchange *x)
{
    size_t used;
    enum http_progress progress = http_reader_take(x->reader, view_of(x->in, x->in_len), &used);
    x->in_len -= used;
    memmove(x->in, x->in + used, x->in_len);
    if (!x->begun) {
        uint64_t until = loop_now(x->loop) + EXCHANGE_READ_S * CLOCK_US_PER_S;
        x->begun = true;
        x->read_until_us = until < x->read_until_us ? until : x->read_until_us;
        set_limit(x);
    }
    if (progress == HTTP_READ)
        answer_request(x);
    else if (progress == HTTP_MALFORMED)
        answer_malformed(x);
}

/* ---- Turns. ---- */

/* The next request is read once the answer before is sent. */
static void work(struct http_exchange *x)
{
    if (x->state == STATE_READING && exchange_unsent(x) == 0 && x->in_len > 0)
        read_request(x);
    if (x->input_ended && x->in_len == 0 && exchange_unsent(x) == 0 && x->state == STATE_READING)
        x->over = true;
    if (x->input_ended && x->state == STATE_STREAMING)
        x->over = true;
    if (!x->input_ended && x->in_len < sizeof x->in)
        carrier_want_read(x->carrier);
}

static void on_turn(struct deferred *turn)
{
    struct http_exchange *x = container_of(turn, struct http_exchange, turn);
    if (x->ended) {
        free(x);
        return;
    }
    work(x);
    if (x->over)
        exchange_end(x);
    else if (x->state == STATE_LEAVING && exchange_unsent(x) == 0)
        leave(x);
}

static void on_read(struct carrier *c)
{
    struct http_exchange *x = c->owner;
    size_t room = sizeof x->in - x->in_len;
    ssize_t n = room > 0 ? carrier_read(c, x->in + x->in_len, room) : 0;
    if (room == 0)
        return; /* asked for again when there is some */
    if (n > 0)
        x->in_len += (size_t)n;
    else if (n == 0 || io_can_read(&c->io)) /* an error: EAGAIN says that it cannot */
        x->input_ended = true;
    take_turn(x);
}

/* All is sent, or cannot be. */
static void on_write(struct carrier *c)
{
    struct http_exchange *x = c->owner;
    if (c->unsent.bytes > 0)
        x->over = true;
    else
        set_limit(x);
    take_turn(x);
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

/* ---- Coming in. ---- */

struct http_exchange *exchange_new(struct loop *loop, struct carrier *carrier,
                                   const struct http_site *site, struct partings *partings,
                                   struct list *all)
{
    struct http_exchange *x = calloc(1, sizeof *x);
    if (!x || !(x->reader = http_reader_new()) || !carrier_enter(carrier, loop, &user, x)) {
        if (x)
            http_reader_free(x->reader);
        free(x);
        return NULL;
    }
    x->loop = loop;
    x->carrier = carrier;
    x->site = site;
    x->partings = partings;
    x->limit.on_fire = on_limit;
    x->turn.run = on_turn;
    x->read_until_us = loop_now(loop) + EXCHANGE_READ_S * CLOCK_US_PER_S;
    list_append(all, &x->place);
    carrier_set_options(carrier); /* answers come in small pieces */
    carrier_want_read(carrier);
    set_limit(x);
    return x;
}

/* ---- How it stands. ---- */

struct http_exchange *exchange_at(struct list *place)
{
    return container_of(place, struct http_exchange, place);
}

bool exchange_is_trusted(const struct http_exchange *x)
{
    return x->trusted;
}

void exchange_trust(struct http_exchange *x)
{
    x->trusted = true;
}

void *exchange_owner(const struct http_exchange *x)
{
    return x->site->owner;
}

const struct http_message *exchange_message(const struct http_exchange *x)
{
    return http_reader_message(x->reader);
}
