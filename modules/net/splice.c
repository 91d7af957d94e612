/* One direction of a junction: bytes from a source to a sink, by the kernel where that is cheaper.
 *
 * The arithmetic. Copying a portion takes two system calls (read, write) and two copies of its
 * bytes; moving it by splice(2) takes two as well, and none of the copies, but it needs a kernel
 * pipe between the sockets: two descriptors, some memory, and now and then a call to learn that
 * there is no more, since splice does not tell a short read from a full pipe. So small portions are
 * copied and large ones are spliced. `bulk` says which: a read that filled its SMALL_BYTES sets it,
 * a run that moved fewer clears it. A keystroke never takes a pipe, a transfer takes one at its
 * second read.
 *
 * Pipes belong to a pool. A direction holds one only while bytes are in it, that is, while its sink
 * takes no more: thousands of idle circuits share a few. A pipe that is given back is empty; one
 * with bytes in it is closed instead, for its next user would find another's bytes. Without a pipe
 * the direction copies, and works.
 *
 * The order. Bytes reach the sink as they left the source though they travel by three ways:
 * `held` (in memory), the pipe, and straight from a read to a write. Each round delivers what is
 * held, then what is in the pipe, and reads the source only when both are empty. That is also the
 * backpressure: a sink that takes no more stops the reading, and at most a portion waits here.
 *
 * An empty pipe before each filling is also what gives EAGAIN a meaning: a pipe has slots besides
 * bytes, and a full one says EAGAIN as an empty source does. Filled only when empty, it is the
 * source's. */
#include "net/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPARE_PIPES 64
#define COPY_BYTES 65536
/* Smaller portions are copied: two system calls, where a pipe takes three. */
#define SMALL_BYTES 16384
/* After the system gave no pipe, this many wishes are met by copying before it is asked again. */
#define COPIES_AFTER_REFUSAL 1024

/* Invariants: 1. spare pipes are empty. 2. open counts spare ones and those with directions. */
struct pipe_pool {
    size_t pipe_bytes;
    unsigned max, open;
    unsigned spare_count;
    unsigned copies_left;
    int spare[SPARE_PIPES][2];
};

/* ---- The pool. ---- */

struct pipe_pool *pipe_pool_new(size_t pipe_bytes, unsigned max_pipes)
{
    struct pipe_pool *pool = calloc(1, sizeof *pool);
    if (pool) {
        pool->pipe_bytes = pipe_bytes < INT32_MAX ? pipe_bytes : INT32_MAX;
        pool->max = max_pipes;
    }
    return pool;
}

static void close_pipe(struct pipe_pool *pool, const int pipe[2])
{
    close(pipe[0]);
    close(pipe[1]);
    pool->open--;
}

void pipe_pool_free(struct pipe_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->spare_count > 0)
        close_pipe(pool, pool->spare[--pool->spare_count]);
    free(pool);
}

static bool open_pipe(struct pipe_pool *pool, int pipe[2])
{
    if (pool->open >= pool->max)
        return false;
    if (pool->copies_left > 0) {
        pool->copies_left--;
        return false;
    }
    if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        pool->copies_left = COPIES_AFTER_REFUSAL;
        return false;
    }
    fcntl(pipe[1], F_SETPIPE_SZ, (int)pool->pipe_bytes); /* else it has the usual 64 KiB */
    pool->open++;
    return true;
}

/* Sees to it that the direction has a pipe; false: it has to copy. */
static bool take_pipe(struct splice *s, struct pipe_pool *pool)
{
    if (s->has_pipe)
        return true;
    if (pool->spare_count > 0) {
        pool->spare_count--;
        memcpy(s->pipe, pool->spare[pool->spare_count], sizeof s->pipe);
        s->has_pipe = true;
    } else {
        s->has_pipe = open_pipe(pool, s->pipe);
    }
    return s->has_pipe;
}

static void give_pipe_back(struct splice *s, struct pipe_pool *pool)
{
    if (!s->has_pipe)
        return;
    if (s->in_pipe == 0 && pool->spare_count < SPARE_PIPES) {
        memcpy(pool->spare[pool->spare_count], s->pipe, sizeof s->pipe);
        pool->spare_count++;
    } else {
        close_pipe(pool, s->pipe);
    }
    s->has_pipe = false;
    s->in_pipe = 0;
}

/* ---- One direction. ---- */

/* The outcome of a system call. */
enum splice_step { STEP_MOVED, STEP_NOTHING, STEP_END, STEP_CANNOT_SPLICE, STEP_ERROR };

static enum splice_step step_of(ssize_t result)
{
    if (result > 0)
        return STEP_MOVED;
    if (result == 0)
        return STEP_END;
    if (errno == EAGAIN)
        return STEP_NOTHING;
    return errno == EINVAL ? STEP_CANNOT_SPLICE : STEP_ERROR;
}

static ssize_t splice_bytes(int from, int to, size_t len)
{
    ssize_t n;
    do
        n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    return n;
}

/* The functions below return SPLICE_AGAIN when the run goes on. */

static enum splice_result write_result(enum splice_step step)
{
    if (step == STEP_END)
        errno = EIO; /* nothing went, for no reason told */
    return step == STEP_NOTHING ? SPLICE_NEED_WRITE : SPLICE_WRITE_ERROR;
}

static enum splice_result deliver_held(struct splice *s, struct carrier *sink, size_t *moved)
{
    while (s->held.bytes > 0) {
        struct view front = fifo_front(&s->held);
        ssize_t n = carrier_write(sink, front.data, front.len);
        enum splice_step step = step_of(n);
        if (step != STEP_MOVED)
            return write_result(step);
        fifo_drop(&s->held, (size_t)n);
        *moved += (size_t)n;
    }
    return SPLICE_AGAIN;
}

/* Takes the bytes out of the pipe for a sink that cannot be spliced to. */
static bool unload_pipe(struct splice *s)
{
    uint8_t buffer[4096];
    while (s->in_pipe > 0) {
        size_t len = s->in_pipe < sizeof buffer ? s->in_pipe : sizeof buffer;
        ssize_t n = read(s->pipe[0], buffer, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if (!fifo_append(&s->held, buffer, (size_t)n)) {
            errno = ENOMEM;
            return false;
        }
        s->in_pipe -= (size_t)n;
    }
    return true;
}

static enum splice_result deliver_pipe(struct splice *s, struct carrier *sink, size_t *moved)
{
    while (s->in_pipe > 0) {
        ssize_t n = splice_bytes(s->pipe[0], sink->raw_out, s->in_pipe);
        enum splice_step step = step_of(n);
        if (step == STEP_CANNOT_SPLICE) {
            s->copy_only = true;
            return unload_pipe(s) ? deliver_held(s, sink, moved) : SPLICE_WRITE_ERROR;
        }
        if (step == STEP_NOTHING)
            io_write_blocked(sink->out);
        if (step != STEP_MOVED)
            return write_result(step);
        s->in_pipe -= (size_t)n;
        *moved += (size_t)n;
    }
    return SPLICE_AGAIN;
}

static enum splice_result read_result(enum splice_step step)
{
    if (step == STEP_MOVED)
        return SPLICE_AGAIN;
    if (step == STEP_END)
        return SPLICE_END;
    return step == STEP_NOTHING ? SPLICE_NEED_READ : SPLICE_READ_ERROR;
}

/* The pipe is empty: EAGAIN can only mean that the source is, too. */
static enum splice_result fill_pipe(struct splice *s, struct carrier *source, size_t len)
{
    ssize_t n = splice_bytes(source->raw_in, s->pipe[1], len);
    enum splice_step step = step_of(n);
    if (step == STEP_CANNOT_SPLICE) {
        s->copy_only = true;
        return SPLICE_AGAIN;
    }
    if (step == STEP_NOTHING)
        io_read_drained(&source->io);
    if (step == STEP_MOVED)
        s->in_pipe = (size_t)n;
    return read_result(step);
}

/* Nothing is held: what is read may go straight to the sink, and what that does not take is kept.
 */
static enum splice_result copy_once(struct splice *s, struct carrier *source, struct carrier *sink,
                                    size_t len, size_t *moved)
{
    uint8_t buffer[COPY_BYTES];
    size_t asked = len < sizeof buffer ? len : sizeof buffer;
    ssize_t n = carrier_read(source, buffer, asked);
    if (n <= 0)
        return read_result(step_of(n));

    ssize_t written = carrier_write(sink, buffer, (size_t)n);
    if (written < 0 && errno != EAGAIN)
        return SPLICE_WRITE_ERROR;

    size_t delivered = written > 0 ? (size_t)written : 0;
    *moved += delivered;
    if (delivered < (size_t)n &&
        !fifo_append(&s->held, buffer + delivered, (size_t)n - delivered)) {
        errno = ENOMEM;
        return SPLICE_READ_ERROR;
    }
    s->bulk = (size_t)n == asked;
    if (delivered < (size_t)n)
        return SPLICE_AGAIN; /* what is held comes first */
    return carrier_can_read(source) ? SPLICE_AGAIN : SPLICE_NEED_READ;
}

/* Sends first all that goes before the bytes moved here: the sink's own, then what the source has
 * read ahead. */
static enum splice_result begin(struct splice *s, struct carrier *source, struct carrier *sink)
{
    if (sink->unsent.bytes > 0 && !carrier_flush(sink))
        return write_result(step_of(-1));
    if (source->unread.bytes > 0 && !source->lost)
        fifo_move(&s->held, &source->unread);
    return SPLICE_AGAIN;
}

static bool can_splice(const struct splice *s, const struct carrier *source,
                       const struct carrier *sink)
{
    return !s->copy_only && source->raw_in >= 0 && sink->raw_out >= 0;
}

static enum splice_result run(struct splice *s, struct pipe_pool *pool, struct carrier *source,
                              struct carrier *sink, size_t budget, size_t *moved)
{
    enum splice_result result = begin(s, source, sink);
    while (result == SPLICE_AGAIN) {
        result = deliver_held(s, sink, moved);
        if (result == SPLICE_AGAIN)
            result = deliver_pipe(s, sink, moved);
        if (result != SPLICE_AGAIN || *moved >= budget)
            break;

        size_t len = budget - *moved;
        if (!s->bulk)
            result = copy_once(s, source, sink, len < SMALL_BYTES ? len : SMALL_BYTES, moved);
        else if (can_splice(s, source, sink) && take_pipe(s, pool))
            result = fill_pipe(s, source, len);
        else
            result = copy_once(s, source, sink, len, moved);
    }
    return result;
}

enum splice_result splice_run(struct splice *s, struct pipe_pool *pool, struct carrier *source,
                              struct carrier *sink, size_t budget, size_t *moved)
{
    *moved = 0;
    enum splice_result result = run(s, pool, source, sink, budget, moved);
    int error = errno;

    if (result == SPLICE_NEED_READ && *moved < SMALL_BYTES)
        s->bulk = false;
    if (s->in_pipe == 0)
        give_pipe_back(s, pool);
    errno = error;
    return result;
}

void splice_end(struct splice *s, struct pipe_pool *pool)
{
    give_pipe_back(s, pool);
    fifo_clear(&s->held);
    s->copy_only = false;
}
