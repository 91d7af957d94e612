/* Connections of applications that name their target by SOCKS or HTTP. Reads the request, lets
 * proxy.c decide, opens the stream and answers; the bytes after that are an endpoint's. */
#include "forward/dynamic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "forward/associate.h"
#include "forward/failures.h"
#include "forward/proxy.h"
#include "net/socket.h"
#include "wire/limits.h"

#define BUFFER_FIRST_BYTES 1024 /* enough for SOCKS */

struct dynamic {
    struct loop *loop;
    const char *label;
    struct failures *failures;
    struct log_rate rate; /* of other lines */
    struct session *session;
    struct list requests; /* in the order they came */
    struct list reading;  /* those whose request is not whole, the oldest first */
    struct list leaving;  /* and those that were refused */
    unsigned without_stream, associations;
    void (*on_room)(void *arg);
    void *arg;
};

/* reading -> waiting -> opening -> an endpoint's; or leaving, when it was refused. */
enum request_state {
    REQUEST_READING,    /* the request is not whole */
    REQUEST_WAITING,    /* for a session */
    REQUEST_OPENING,    /* the agent has not answered */
    REQUEST_ASSOCIATED, /* a UDP socket is there until the application closes the connection */
    REQUEST_LEAVING,    /* the application reads why it was refused; its bytes are dropped */
};

struct request {
    struct list link;  /* dynamic->requests */
    struct list place; /* dynamic->reading or leaving, in these states */
    struct dynamic *dynamic;
    enum request_state state;
    struct io io;
    struct timer deadline;
    struct stream *stream;       /* opening */
    struct associate *associate; /* associated */
    struct proxy proxy;
    uint8_t *buffer; /* received and not used */
    size_t len, size;
};

/* Keeps count of those without a stream. */
static void set_state(struct request *r, enum request_state state)
{
    struct dynamic *d = r->dynamic;
    bool had_room = dynamic_has_room(d);
    d->without_stream -= r->state != REQUEST_OPENING;
    r->state = state;
    list_remove(&r->place);
    if (state == REQUEST_LEAVING)
        list_append(&d->leaving, &r->place);
    d->without_stream += r->state != REQUEST_OPENING;
    if (!had_room && dynamic_has_room(d))
        d->on_room(d->arg);
}

/* Frees it; the caller owns the descriptor. */
static int request_release(struct request *r)
{
    int fd = r->io.fd;
    set_state(r, REQUEST_OPENING); /* it is no longer counted */
    list_remove(&r->link);
    io_remove(&r->io);
    timer_cancel(r->dynamic->loop, &r->deadline);
    r->dynamic->associations -= r->associate != NULL;
    associate_free(r->associate);
    free(r->buffer);
    free(r);
    return fd;
}

static void request_end(struct request *r)
{
    socket_close_reset(request_release(r));
}

static void set_deadline(struct request *r, uint64_t seconds)
{
    struct loop *loop = r->dynamic->loop;
    timer_set(loop, &r->deadline, loop_now(loop) + seconds * CLOCK_US_PER_S);
}

static void note(struct dynamic *d, const char *text)
{
    log_rated(&d->rate, loop_now(d->loop), LOG_INFO, "%s: %s", d->label, text);
}

static void on_deadline(struct timer *timer)
{
    struct request *r = container_of(timer, struct request, deadline);
    char text[64];
    if (r->state == REQUEST_READING) {
        snprintf(text, sizeof text, "no request from the application within %d s", REQUEST_S);
        note(r->dynamic, text);
    }
    request_end(r);
}

/* An answer fits into the socket's empty buffer; an application whose buffer is full gets none. */
static bool send_answer(struct request *r)
{
    const struct proxy *p = &r->proxy;
    return send(r->io.fd, p->answer, p->answer_len, MSG_NOSIGNAL) == (ssize_t)p->answer_len;
}

/* Sends the answer and reads to the end: closing a socket with unread bytes sends a reset, which
 * may overtake the answer. */
static void leave(struct request *r)
{
    if (!r->proxy.answer_len || !send_answer(r) || shutdown(r->io.fd, SHUT_WR) != 0) {
        request_end(r);
        return;
    }
    set_state(r, REQUEST_LEAVING);
    set_deadline(r, LEAVING_S);
    io_want_read(&r->io);
}

/* ---- The stream, until it is open. ---- */

static ssize_t pull(void *owner, struct iovec *piece, int pieces)
{
    (void)owner, (void)piece, (void)pieces;
    return STREAM_PULL_NONE;
}

static size_t push(void *owner, const uint8_t *data, size_t len)
{
    (void)owner, (void)data, (void)len;
    return 0;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

/* The application is told in its own protocol. */
static void refuse(struct request *r, enum reset_code code, const char *text)
{
    proxy_settle(&r->proxy, code, text);
    leave(r);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct request *r = owner;
    struct dynamic *d = r->dynamic;
    char target[TARGET_TEXT_BYTES];
    target_to_text(target, &r->proxy.target);
    failures_log(d->failures, loop_now(d->loop), target, code, text);
    r->stream = NULL;
    refuse(r, code ? code : RESET_INTERNAL, text);
}

/* An open one ended with an error: the application sees only a reset. */
static void on_ended(void *arg, enum reset_code code, const char *text)
{
    struct dynamic *d = arg;
    char why[RESET_TEXT_BYTES];
    if (!code)
        return;
    reset_to_text(why, code, text);
    note(d, why);
}

static void on_opened(void *owner, struct view address)
{
    struct request *r = owner;
    struct stream *st = r->stream;
    struct endpoint *e = NULL;
    (void)address;
    proxy_settle(&r->proxy, 0, "");
    io_remove(&r->io);
    if (send_answer(r))
        e = endpoint_new(r->dynamic->loop, r->io.fd, false, on_ended, r->dynamic);
    if (!e) {
        stream_reset(st, RESET_INTERNAL, "");
        request_end(r);
        return;
    }
    if (r->proxy.plain)
        endpoint_limit(e, &r->proxy.body);
    if (endpoint_unread(e, view_of(r->buffer, r->len))) {
        stream_set_owner(st, &endpoint_events, e);
        endpoint_start(e, st);
    } else {
        stream_reset(st, RESET_INTERNAL, "");
        endpoint_drop(e);
    }
    request_release(r);
}

static const struct stream_events request_events = {
    .pull = pull,
    .push = push,
    .on_eof = on_nothing,
    .on_opened = on_opened,
    .on_reset = on_reset,
    .on_done = on_nothing,
};

static void open_stream(struct request *r)
{
    struct session *s = r->dynamic->session;
    char target[TARGET_TEXT_BYTES];
    set_state(r, REQUEST_WAITING);
    timer_cancel(r->dynamic->loop, &r->deadline);
    if (s && session_is_full(s)) {
        failures_note_full(r->dynamic->failures, loop_now(r->dynamic->loop), s);
        refuse(r, RESET_LIMIT, "");
        return;
    }
    if (!s || !session_may_open(s))
        return;
    target_to_text(target, &r->proxy.target);
    r->stream = stream_open(s, target, &request_events, r);
    if (r->stream)
        set_state(r, REQUEST_OPENING);
    else
        on_reset(r, RESET_INTERNAL, system_text(errno));
}

/* ---- UDP. ---- */

static void start_association(struct request *r)
{
    struct dynamic *d = r->dynamic;
    struct error e = {0};
    if (d->associations < ASSOCIATIONS_MAX)
        r->associate = associate_new(d->loop, r->io.fd, d->session, d->failures, &e);
    else
        error_set(&e, FAILURE_OTHER, "too many UDP sockets of applications");
    if (!r->associate) {
        note(d, e.text);
        refuse(r, RESET_LIMIT, "");
        return;
    }
    d->associations++;
    set_state(r, REQUEST_ASSOCIATED);
    timer_cancel(d->loop, &r->deadline);
    proxy_associated(&r->proxy, associate_bound(r->associate));
    if (send_answer(r))
        io_want_read(&r->io);
    else
        request_end(r);
}

/* ---- The request. ---- */

/* A plain request of HTTP: its place takes what the target gets. */
static void open_rewritten(struct request *r, size_t used)
{
    size_t size = PROXY_REQUEST_MAX_BYTES(used, r->len - used);
    uint8_t *rewritten = malloc(size);
    if (!rewritten) {
        request_end(r);
        return;
    }
    r->len = proxy_request(&r->proxy, view_of(r->buffer, used),
                           view_of(r->buffer + used, r->len - used), rewritten);
    free(r->buffer);
    r->buffer = rewritten;
    r->size = size;
    open_stream(r);
}

static void step(struct request *r)
{
    enum proxy_decision decision;
    size_t used;
    do {
        decision = proxy_take(&r->proxy, view_of(r->buffer, r->len), &used);
        if (decision == PROXY_REQUEST)
            break;
        r->len -= used;
        memmove(r->buffer, r->buffer + used, r->len);
    } while (decision == PROXY_ANSWER && send_answer(r));
    switch (decision) {
    case PROXY_MORE:
        io_want_read(&r->io);
        break;
    case PROXY_OPEN:
        open_stream(r);
        break;
    case PROXY_REQUEST:
        open_rewritten(r, used);
        break;
    case PROXY_ASSOCIATE:
        start_association(r);
        break;
    case PROXY_REFUSE:
        note(r->dynamic, r->proxy.why);
        leave(r);
        break;
    case PROXY_ANSWER: /* could not be sent */
    default:
        request_end(r);
        break;
    }
}

/* Makes room for more; proxy.c limits the size of a request. */
static bool make_room(struct request *r)
{
    size_t size = r->size ? 2 * r->size : BUFFER_FIRST_BYTES;
    uint8_t *grown;
    if (r->len < r->size)
        return true;
    grown = realloc(r->buffer, size);
    if (!grown)
        return false;
    r->buffer = grown;
    r->size = size;
    return true;
}

static void on_read(struct io *io)
{
    struct request *r = container_of(io, struct request, io);
    bool ignored = r->state == REQUEST_LEAVING || r->state == REQUEST_ASSOCIATED;
    ssize_t n;
    if (ignored)
        r->len = 0;
    if (!make_room(r)) {
        request_end(r);
        return;
    }
    n = recv(io->fd, r->buffer + r->len, r->size - r->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        io_read_drained(io);
        io_want_read(io);
    } else if (n <= 0) {
        request_end(r);
    } else if (ignored) {
        io_want_read(io);
    } else {
        r->len += (size_t)n;
        step(r);
    }
}

/* ---- All of them. ---- */

struct dynamic *dynamic_new(struct loop *loop, const char *label, struct failures *failures,
                            void (*on_room)(void *arg), void *arg)
{
    struct dynamic *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->loop = loop;
    d->label = label;
    d->failures = failures;
    d->on_room = on_room;
    d->arg = arg;
    list_init(&d->requests);
    list_init(&d->reading);
    list_init(&d->leaving);
    return d;
}

bool dynamic_has_room(const struct dynamic *d)
{
    return d->without_stream < WITHOUT_STREAM_MAX || !list_empty(&d->reading) ||
           !list_empty(&d->leaving);
}

/* Connections without a request, or whose request was refused, hold up none that come later. */
static void make_place(struct dynamic *d)
{
    bool refused = !list_empty(&d->leaving);
    if (d->without_stream < WITHOUT_STREAM_MAX || (!refused && list_empty(&d->reading)))
        return;
    if (!refused)
        note(d, "too many connections without a request: the oldest is closed");
    request_end(container_of(refused ? d->leaving.next : d->reading.next, struct request, place));
}

void dynamic_take(struct dynamic *d, int fd)
{
    struct request *r = calloc(1, sizeof *r);
    make_place(d);
    if (!r || !io_add(d->loop, &r->io, fd)) {
        free(r);
        socket_close_reset(fd);
        return;
    }
    r->dynamic = d;
    r->io.on_read = on_read;
    r->deadline.on_fire = on_deadline;
    r->state = REQUEST_READING;
    d->without_stream++;
    list_append(&d->requests, &r->link);
    list_append(&d->reading, &r->place);
    set_deadline(r, REQUEST_S);
    io_want_read(&r->io);
}

void dynamic_set_session(struct dynamic *d, struct session *s)
{
    d->session = s;
    list_each (link, &d->requests) {
        struct request *r = container_of(link, struct request, link);
        if (r->associate)
            associate_set_session(r->associate, s);
        if (r->state == REQUEST_WAITING)
            open_stream(r);
    }
}

void dynamic_free(struct dynamic *d)
{
    if (!d)
        return;
    list_each (link, &d->requests)
        request_end(container_of(link, struct request, link));
    free(d);
}
