/* Lines of answers, as they come. */
#include "control/dialogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/container.h"

#define IN_BYTES ((size_t)4 * CONTROL_LINE_BYTES)

struct dialogue {
    struct io io;
    struct loop *loop;
    const struct dialogue_events *events;
    void *owner;
    bool ended;           /* it is only memory */
    const char *why;      /* it is lost, and that has to be told */
    struct deferred turn; /* tells, or frees */
    size_t len;
    char in[IN_BYTES];
};

static void lose(struct dialogue *a, const char *why)
{
    a->why = why;
    loop_defer(a->loop, &a->turn);
}

static void on_turn(struct deferred *turn)
{
    struct dialogue *a = container_of(turn, struct dialogue, turn);
    if (a->ended)
        free(a);
    else
        a->events->lost(a->owner, a->why);
}

/* False: it is no answer. */
static bool take_line(struct dialogue *a, struct view line)
{
    char result[16] = "", text[CONTROL_TEXT_BYTES] = "";
    struct json_object o;
    struct error e = {0};
    if (!json_read(&o, line, &e))
        return false;
    if (!json_find(&o, "result")) {
        a->events->take(a->owner, line);
        return true;
    }
    json_get_text(&o, "result", result, sizeof result);
    json_get_text(&o, "text", text, sizeof text);
    a->events->over(a->owner, strcmp(result, "done") == 0, line, text);
    return true;
}

static void take_lines(struct dialogue *a)
{
    size_t used = 0;
    while (!a->ended && !a->why) {
        const char *start = a->in + used, *newline = memchr(start, '\n', a->len - used);
        if (!newline)
            break;
        used += (size_t)(newline - start) + 1;
        if (!take_line(a, view_of(start, (size_t)(newline - start))) && !a->ended)
            lose(a, "its answer is not understood");
    }
    a->len -= used;
    memmove(a->in, a->in + used, a->len);
}

static void on_read(struct io *io)
{
    struct dialogue *a = container_of(io, struct dialogue, io);
    ssize_t n = recv(io->fd, a->in + a->len, sizeof a->in - a->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        io_read_drained(io);
    } else if (n <= 0) {
        lose(a, "it has closed the connection");
        return;
    } else {
        a->len += (size_t)n;
        take_lines(a);
    }
    if (!a->ended && a->len == sizeof a->in)
        lose(a, "a line of its answer is too long");
    else if (!a->ended)
        io_want_read(io);
}

struct dialogue *dialogue_new(struct loop *loop, int fd, const struct dialogue_events *events,
                              void *owner)
{
    struct dialogue *a = calloc(1, sizeof *a);
    if (!a || !io_add(loop, &a->io, fd)) {
        free(a);
        close(fd);
        return NULL;
    }
    a->io.on_read = on_read;
    a->turn.run = on_turn;
    a->loop = loop;
    a->events = events;
    a->owner = owner;
    io_want_read(&a->io);
    return a;
}

/* There is room for it: the question before is answered. */
void dialogue_ask(struct dialogue *a, struct view request)
{
    if (send(a->io.fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        lose(a, "it takes no question");
}

void dialogue_free(struct dialogue *a)
{
    if (!a || a->ended)
        return;
    a->ended = true;
    io_remove(&a->io);
    close(a->io.fd);
    loop_defer(a->loop, &a->turn);
}
