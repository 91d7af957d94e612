/* The event loop: epoll, timers, signals, calls after the round. One thread, one loop. */
#ifndef SPX_NET_LOOP_H
#define SPX_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct loop;
struct resolver;

/* A descriptor in the loop. Edge-triggered inside, one-shot outside: io_want_read asks once, and
 * on_read is called once, in a later step of the loop, never inside io_want_*. The callback then
 * reads until its budget is used (ask again with io_want_read: others have their turn first) or
 * until EAGAIN (say io_read_drained, then ask again). Likewise for writing. A hang-up or error
 * makes both ready, so that read and write meet it. The owner embeds it, zeroes it, sets the
 * callbacks, and closes fd itself after io_remove. */
struct io {
    void (*on_read)(struct io *io);
    void (*on_write)(struct io *io);
    int fd;
    /* The loop's own. */
    struct loop *loop;
    struct list queue;
    bool readable, writable, want_read, want_write;
    bool hung_up;      /* the peer has closed or failed: reading goes on to the end */
    bool urgent;       /* urgent data came once: a read may stop before it, short of all there is */
    bool always_ready; /* epoll does not take it (a regular file, /dev/null) */
};

/* A timer. The owner embeds it, zeroes it and sets on_fire; it fires once for each timer_set. */
struct timer {
    void (*on_fire)(struct timer *timer);
    /* The loop's own: its place in a pairing heap, which takes no memory, so that timer_set cannot
     * fail. */
    uint64_t deadline_us;
    bool set;
    struct timer *child, *next, *prev; /* prev: the one before, of the first child the parent */
};

/* A call handed to the loop. The owner embeds it, sets f and arg, and leaves it alone until f is
 * called. */
struct loop_call {
    void (*f)(void *arg);
    void *arg;
    /* The loop's own. */
    struct loop_call *next;
};

/* A call at the end of a round. The owner embeds it, zeroes it and sets run. */
struct deferred {
    void (*run)(struct deferred *d);
    struct list link; /* the loop's own; next NULL: never used yet */
};

/* NULL with errno without memory or descriptors. */
struct loop *loop_new(void);

/* Every io removed and timer cancelled by its owner before. Makes the calls that loop_defer and
 * loop_post still owe; its signals stay blocked: one that comes while the process ends does not
 * change how it ends. NULL is harmless. */
void loop_free(struct loop *loop);

/* Runs until loop_stop, whose round is finished first; a stop from before makes it return at once.
 */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* The time of this round, microseconds of CLOCK_BOOTTIME; loop_refresh_now reads the clock again.
 */
uint64_t loop_now(const struct loop *loop);
uint64_t loop_refresh_now(struct loop *loop);

/* Shared by its look-ups of names: net/lookup.h. */
struct resolver *loop_resolver(struct loop *loop);

/* Adds a descriptor, non-blocking, not in a loop yet. False with errno. */
bool io_add(struct loop *loop, struct io *io, int fd);

/* Takes it out; no callback comes after this, also none already due. Harmless when it is in no
 * loop. */
void io_remove(struct io *io);

/* Asks for one call of on_read (on_write), as struct io says. Asked for again, it is one call. */
void io_want_read(struct io *io);
void io_want_write(struct io *io);

/* Takes a wish back. */
void io_stop_read(struct io *io);
void io_stop_write(struct io *io);

/* Told by the one who got EAGAIN. */
void io_read_drained(struct io *io);
void io_write_blocked(struct io *io);

/* Reading (writing) may be tried before the loop has seen that it can be: of a socket just accepted
 * or connected the owner knows better. */
void io_presume_readable(struct io *io);
void io_presume_writable(struct io *io);

/* True when reading (writing) may be tried now: no EAGAIN since the last edge. */
bool io_can_read(const struct io *io);
bool io_can_write(const struct io *io);

/* Sets (or moves) a timer; CLOCK_NEVER cancels it. One set for now or earlier fires in the next
 * round. What descriptors have is served before timers are: an answer that came while the process
 * was stopped is not late. */
void timer_set(struct loop *loop, struct timer *timer, uint64_t deadline_us);
void timer_cancel(struct loop *loop, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->set;
}

/* Runs d->run at the end of this round (a call made while these run: at the end of the next): for
 * work that many callbacks of a round ask for and one call does, and for freeing what they may
 * still touch. Asked for again before it ran, it runs once. */
void loop_defer(struct loop *loop, struct deferred *d);

/* Takes it back; harmless when it is not due. */
void loop_undefer(struct deferred *d);

/* Calls f(arg, signo) in the loop when the signal comes; replaces its default action. False with
 * errno. */
bool loop_on_signal(struct loop *loop, int signo, void (*f)(void *arg, int signo), void *arg);

/* The loop of a process that runs until it is told to stop: SIGINT and SIGTERM call stop, SIGHUP
 * hangup, SIGUSR1 status; NULL: SIGHUP, SIGUSR1 stay as they are. NULL: e says why. */
struct loop *loop_new_with_signals(void (*stop)(void *arg, int signo),
                                   void (*hangup)(void *arg, int signo),
                                   void (*status)(void *arg, int signo), void *arg,
                                   struct error *e);

/* Why such a process stops, for its last line in the log: "interrupted", "told to end". */
const char *loop_signal_text(int signo);

/* After loop_free, for a process that goes on without a loop: SIGINT and SIGTERM end it again. */
void loop_release_signals(void);

/* Calls call->f(call->arg) in the loop's thread as soon as possible; may be called from any thread.
 * Cannot fail. The loop must not be freed before loop_post has returned. */
void loop_post(struct loop *loop, struct loop_call *call);

#endif
