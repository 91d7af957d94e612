/* A connection's requests, one after another: reading a line, checking it, and sending the answer
 * as its asker reads it. Nothing ends it but its own turn in the loop, so that a verb may go on
 * using it. */
#include "control/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/exits.h"
#include "base/fifo.h"
#include "base/text.h"

#define SEND_BYTES (64U << 10) /* in one turn */

enum control_state {
    STATE_IDLE,
    STATE_ANSWERING,
    STATE_WATCHING,
};

struct control_request {
    struct list place;
    struct io io;
    struct loop *loop;
    const struct control_verb *verbs;
    void *owner;
    uint32_t uid;
    char caller[48];
    enum control_state state;
    bool input_ended;          /* the asker sends nothing more */
    bool over, over_when_sent; /* it ends with its next turn, or with the one that sends the rest */
    bool ended;                /* it is only memory */
    struct timer patience;
    struct deferred turn;
    struct fifo out;
    const struct control_work *work; /* or NULL */
    void *work_state;
    struct json_object line; /* points into in */
    size_t line_len;         /* of the request in progress, with its newline */
    size_t in_len;
    char in[CONTROL_REQUEST_BYTES];
};

/* ---- Checking a request. ---- */

static const struct control_argument *find_argument(const struct control_verb *verb,
                                                    const struct json_member *m)
{
    const struct control_argument *a = verb->arguments;
    for (; a && a->name; a++)
        if (view_equal(m->name, view_of_string(a->name)))
            return a;
    return NULL;
}

static bool check_member(const struct control_verb *verb, const struct json_member *m,
                         struct error *e)
{
    static const char *const kinds[] = {
        [JSON_TEXT] = "text", [JSON_NUMBER] = "number", [JSON_TRUTH] = "true or false"};
    const struct control_argument *a = find_argument(verb, m);
    if (view_equal(m->name, view_of_string("verb")) || (a && a->kind == m->kind))
        return true;
    if (a)
        return error_set(e, FAILURE_USAGE, "%s: expected a %s", a->name, kinds[a->kind]);
    return error_set(e, FAILURE_USAGE, "unknown argument '%.*s'", (int)m->name.len,
                     (const char *)m->name.data);
}

static bool check_arguments(const struct control_verb *verb, const struct json_object *line,
                            struct error *e)
{
    for (size_t i = 0; i < line->count; i++)
        if (!check_member(verb, &line->members[i], e))
            return false;
    for (const struct control_argument *a = verb->arguments; a && a->name; a++)
        if (a->required && !json_find(line, a->name))
            return error_set(e, FAILURE_USAGE, "missing argument: %s", a->name);
    return true;
}

const struct control_verb *control_find_verb(const struct control_verb *verbs,
                                             const struct json_object *line, struct error *e)
{
    char name[32] = "";
    if (!json_get_text(line, "verb", name, sizeof name)) {
        error_set(e, FAILURE_USAGE, "no verb");
        return NULL;
    }
    for (const struct control_verb *v = verbs; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return check_arguments(v, line, e) ? v : NULL;
    error_set(e, FAILURE_USAGE, "unknown command '%s'", name);
    return NULL;
}

/* ---- The end. ---- */

static void take_turn(struct control_request *r)
{
    if (!r->ended)
        loop_defer(r->loop, &r->turn);
}

static void end_work(struct control_request *r)
{
    const struct control_work *work = r->work;
    r->work = NULL;
    if (work && work->gone)
        work->gone(r->work_state);
}

/* Frees itself with its next turn. */
static void end(struct control_request *r)
{
    if (r->ended)
        return;
    take_turn(r);
    r->ended = true;
    end_work(r);
    timer_cancel(r->loop, &r->patience);
    io_remove(&r->io);
    close(r->io.fd);
    fifo_clear(&r->out);
    list_remove(&r->place);
}

static void on_patience(struct timer *timer)
{
    end(container_of(timer, struct control_request, patience));
}

/* Time runs while nothing is asked, or nothing of the answer is read. */
static void wait_again(struct control_request *r)
{
    if (r->ended)
        return;
    if (r->state == STATE_IDLE || r->out.bytes > 0)
        timer_set(r->loop, &r->patience, loop_now(r->loop) + CONTROL_IDLE_S * CLOCK_US_PER_S);
    else
        timer_cancel(r->loop, &r->patience);
}

/* ---- Answers. ---- */

void control_request_send(struct control_request *r, struct view line)
{
    bool first = r->out.bytes == 0;
    if (r->ended || r->over)
        return;
    r->over = r->out.bytes + line.len > CONTROL_UNSENT_BYTES ||
              !fifo_append(&r->out, line.data, line.len);
    if (first && !r->over)
        wait_again(r);
    take_turn(r);
}

void control_put(struct control_request *r, struct json_line *l)
{
    size_t len = json_end(l);
    if (len == 0)
        r->over = true;
    control_request_send(r, view_of(l->out, len));
}

/* The request is answered: the next one may come. */
static void answered(struct control_request *r)
{
    end_work(r);
    r->in_len -= r->line_len;
    memmove(r->in, r->in + r->line_len, r->in_len);
    r->line_len = 0;
    r->state = STATE_IDLE;
    if (!r->ended && !r->input_ended)
        io_want_read(&r->io);
    wait_again(r);
    take_turn(r);
}

static void put_result(struct control_request *r, enum failure failure, const char *text)
{
    char line[CONTROL_LINE_BYTES];
    struct json_line l;
    json_begin(&l, line, sizeof line);
    json_put_text(&l, "result", failure ? "failed" : "done");
    if (failure)
        json_put_number(&l, "code", (uint64_t)exit_code(failure));
    if (failure || text[0])
        json_put_text(&l, "text", text);
    control_put(r, &l);
}

void control_done(struct control_request *r, const char *format, ...)
{
    char text[CONTROL_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    text_format(text, sizeof text, format, args);
    va_end(args);
    put_result(r, FAILURE_NONE, text);
    answered(r);
}

void control_failed(struct control_request *r, enum failure failure, const char *format, ...)
{
    char text[CONTROL_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    text_format(text, sizeof text, format, args);
    va_end(args);
    put_result(r, failure, text);
    answered(r);
}

void control_begin(struct control_request *r, const struct control_work *work, void *state)
{
    r->work = work;
    r->work_state = state;
    take_turn(r);
}

void control_watch(struct control_request *r)
{
    r->state = STATE_WATCHING;
    wait_again(r);
}

/* ---- Turns. ---- */

/* Bounded: what is left goes when the socket takes it. */
static void send_some(struct control_request *r)
{
    size_t sent = 0;
    while (r->out.bytes > 0 && sent < SEND_BYTES) {
        struct view front = fifo_front(&r->out);
        ssize_t n = send(r->io.fd, front.data, front.len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            io_write_blocked(&r->io);
            break;
        }
        if (n < 0) {
            r->over = true;
            return;
        }
        fifo_drop(&r->out, (size_t)n);
        sent += (size_t)n;
    }
    if (sent > 0)
        wait_again(r);
    if (r->out.bytes > 0)
        io_want_write(&r->io);
}

static void run(struct control_request *r)
{
    struct error e = {0};
    const struct control_verb *verb;
    r->state = STATE_ANSWERING;
    wait_again(r);
    verb = json_read(&r->line, view_of(r->in, r->line_len - 1), &e)
               ? control_find_verb(r->verbs, &r->line, &e)
               : NULL;
    if (verb)
        verb->run(r);
    else
        control_failed(r, FAILURE_USAGE, "%s", e.text);
}

void control_refuse(struct control_request *r, const char *why)
{
    put_result(r, FAILURE_OTHER, why);
    r->over_when_sent = true;
}

/* Runs one request, if one is there whole. */
static void read_request(struct control_request *r)
{
    const char *newline = memchr(r->in, '\n', r->in_len);
    if (newline) {
        r->line_len = (size_t)(newline - r->in) + 1;
        run(r);
    } else if (r->in_len == sizeof r->in) {
        put_result(r, FAILURE_USAGE, "the request is longer than 4096 bytes");
        r->over_when_sent = true;
    } else if (r->input_ended) {
        r->over_when_sent = true;
    }
}

/* The next request is read once the answer before is sent. */
static void on_turn(struct deferred *turn)
{
    struct control_request *r = container_of(turn, struct control_request, turn);
    if (r->ended) {
        free(r);
        return;
    }
    if (!r->over)
        send_some(r);
    if (!r->over && r->state == STATE_IDLE && !r->over_when_sent && r->out.bytes == 0)
        read_request(r);
    else if (!r->over && r->work && r->work->more && r->out.bytes < CONTROL_AHEAD_BYTES)
        r->work->more(r, r->work_state);
    if (r->over || (r->over_when_sent && r->out.bytes == 0) ||
        (r->input_ended && r->state == STATE_WATCHING))
        end(r);
}

static void on_read(struct io *io)
{
    struct control_request *r = container_of(io, struct control_request, io);
    size_t room = sizeof r->in - r->in_len;
    ssize_t n = room > 0 ? recv(io->fd, r->in + r->in_len, room, 0) : 0;
    if (room == 0)
        return; /* asked for again when the request is answered */
    if (n > 0)
        r->in_len += (size_t)n;
    else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        io_read_drained(io);
    else
        r->input_ended = true;
    if (!r->input_ended)
        io_want_read(io);
    take_turn(r);
}

static void on_write(struct io *io)
{
    take_turn(container_of(io, struct control_request, io));
}

/* ---- Coming in. ---- */

static void identify(struct control_request *r)
{
    struct ucred peer = {.uid = UINT32_MAX};
    socklen_t len = sizeof peer;
    getsockopt(r->io.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    r->uid = peer.uid;
    if (r->uid == 0)
        snprintf(r->caller, sizeof r->caller, "root (process %d)", (int)peer.pid);
    else
        snprintf(r->caller, sizeof r->caller, "uid %u (process %d)", (unsigned)r->uid,
                 (int)peer.pid);
}

struct control_request *control_request_new(struct loop *loop, int fd,
                                            const struct control_verb *verbs, void *owner,
                                            struct list *all)
{
    struct control_request *r = calloc(1, sizeof *r);
    if (!r || !io_add(loop, &r->io, fd)) {
        free(r);
        return NULL;
    }
    r->loop = loop;
    r->verbs = verbs;
    r->owner = owner;
    r->io.on_read = on_read;
    r->io.on_write = on_write;
    r->patience.on_fire = on_patience;
    r->turn.run = on_turn;
    identify(r);
    list_append(all, &r->place);
    io_want_read(&r->io);
    wait_again(r);
    return r;
}

void control_request_end(struct control_request *r)
{
    if (!r->over)
        send_some(r);
    end(r);
}

/* ---- How it stands. ---- */

struct control_request *control_request_at(struct list *place)
{
    return container_of(place, struct control_request, place);
}

bool control_request_watches(const struct control_request *r)
{
    return r->state == STATE_WATCHING;
}

uint32_t control_request_uid(const struct control_request *r)
{
    return r->uid;
}

void *control_owner(const struct control_request *r)
{
    return r->owner;
}

const struct json_object *control_arguments(const struct control_request *r)
{
    return &r->line;
}

const char *control_caller(const struct control_request *r)
{
    return r->caller;
}
