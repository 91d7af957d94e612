/* Streams with nobody's socket at an end: one side has a text, the other side wants it whole. */
#include "forward/statement.h"

#include <stdlib.h>
#include <string.h>

#include "base/fifo.h"

/* ---- Saying. ---- */

struct statement {
    struct stream *stream;
    bool held;
    char *text;
    size_t len, said;
    struct statement **here;
};

static ssize_t say(void *owner, struct iovec *piece, int pieces)
{
    struct statement *t = owner;
    size_t total = 0;
    if (t->held)
        return STREAM_PULL_NONE;
    if (t->said == t->len)
        return STREAM_PULL_EOF;
    for (int i = 0; i < pieces; i++) {
        size_t left = t->len - t->said, n = left < piece[i].iov_len ? left : piece[i].iov_len;
        memcpy(piece[i].iov_base, t->text + t->said, n);
        t->said += n;
        total += n;
    }
    return (ssize_t)total;
}

static size_t take_nothing_of(void *owner, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)data;
    return len;
}

static void nothing(void *owner)
{
    (void)owner;
}

static void said(void *owner)
{
    struct statement *t = owner;
    *t->here = NULL;
    free(t->text);
    free(t);
}

static void not_said(void *owner, enum reset_code code, const char *text)
{
    (void)code;
    (void)text;
    said(owner);
}

static const struct stream_events saying = {
    .pull = say,
    .push = take_nothing_of,
    .on_eof = nothing,
    .on_reset = not_said,
    .on_done = said,
};

void statement_start(struct stream *stream, char *text, bool held, struct statement **here)
{
    struct statement *t = text ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        free(text);
        stream_reset(stream, RESET_INTERNAL, NO_MEMORY_TEXT);
        return;
    }
    *t = (struct statement){
        .stream = stream, .held = held, .text = text, .len = strlen(text), .here = here};
    *here = t;
    stream_set_owner(stream, &saying, t);
    stream_accept(stream, QUESTION_TARGETS);
    if (*here) /* it did not end inside the call */
        stream_readable(stream);
}

void statement_release(struct statement *t)
{
    if (!t->held)
        return;
    t->held = false;
    stream_readable(t->stream);
}

/* ---- Hearing. ---- */

struct hearing {
    struct stream *stream;
    struct fifo answer;
    statement_heard *heard;
    void *arg;
};

static ssize_t say_nothing(void *owner, struct iovec *piece, int pieces)
{
    (void)owner;
    (void)piece;
    (void)pieces;
    return STREAM_PULL_EOF;
}

static void end(struct hearing *h, enum reset_code code, const char *text)
{
    struct view answer = view_of(NULL, 0);
    if (!code && h->answer.bytes)
        answer = view_of(fifo_front_whole(&h->answer, h->answer.bytes), h->answer.bytes);
    if (!code && h->answer.bytes && !answer.data)
        h->heard(h->arg, RESET_INTERNAL, NO_MEMORY_TEXT, view_of(NULL, 0));
    else
        h->heard(h->arg, code, text, answer);
    fifo_clear(&h->answer);
    free(h);
}

static size_t hear(void *owner, const uint8_t *data, size_t len)
{
    struct hearing *h = owner;
    if (h->answer.bytes + len <= STATEMENT_MAX_BYTES && fifo_append(&h->answer, data, len))
        return len;
    stream_reset(h->stream, RESET_LIMIT, "the answer is too long");
    end(h, RESET_LIMIT, "the answer is too long");
    return 0;
}

static void not_heard(void *owner, enum reset_code code, const char *text)
{
    struct hearing *h = owner;
    if (code == RESET_SESSION_OVER) {
        fifo_clear(&h->answer);
        free(h);
        return;
    }
    end(h, code, text);
}

static void heard(void *owner)
{
    end(owner, 0, "");
}

static const struct stream_events hearing_events = {
    .pull = say_nothing,
    .push = hear,
    .on_eof = nothing,
    .on_reset = not_heard,
    .on_done = heard,
};

bool statement_ask(struct session *s, const char *question, statement_heard *heard_by, void *arg)
{
    struct hearing *h = calloc(1, sizeof *h);
    if (!h)
        return false;
    h->heard = heard_by;
    h->arg = arg;
    h->stream = stream_open(s, question, &hearing_events, h);
    if (!h->stream) {
        free(h);
        return false;
    }
    stream_readable(h->stream);
    return true;
}
