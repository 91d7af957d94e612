/* The event loop over epoll. It calls; it never reads or writes for anybody.
 *
 * Edges and flags. Every descriptor is added once, for all events, edge-triggered: epoll tells of a
 * change from "nothing" to "something", and does not repeat it. So the loop remembers: an edge sets
 * `readable` or `writable`, and only who has met EAGAIN (or knows that it would) clears it, by
 * io_read_drained or io_write_blocked. A wish is a second flag, `want_*`, cleared by the call that
 * meets it. An io is due when a wish and its readiness meet, in whichever order they came. To want,
 * to stop wanting and to want again are then assignments: no epoll_ctl but at the beginning and the
 * end, and no edge is lost that came while nobody wanted it.
 *
 * The callers' part: to clear readiness without having met EAGAIN is to wait for an edge
 * that was there already. A short read of a stream socket may count as EAGAIN, since what comes
 * after it is a new edge; not so when the peer has hung up, for the end is no new edge
 * (`hung_up`). Not to clear it is never wrong, it only costs a call.
 *
 * A round, in this order:
 *   1. epoll_wait, which sleeps only if nothing is due, deferred or late. All its events become
 *      flags before any callback runs: a callback may remove any io, and no event is left that
 *      points to it.
 *   2. Time: read once, and always later than the round before, so that a timer set for "now" fires
 *      in the next round and two of them that set each other cannot hold up this one.
 *   3. Those that are due. The list is taken as it stands: who asks again inside a callback has its
 *      turn in the next round, after everybody else had theirs.
 *   4. Timers that are due. They come after 3: when the process was stopped or starved, an answer
 *      and the deadline for it are there at once, and the answer is what has happened first. The
 *      other way round every pause of the machine would look like peers that do not answer.
 *   5. Deferred calls: work that many callbacks of the round asked for and one call does (writing
 *      what they said), and freeing what they may still have touched. They come last, so that they
 *      see all of it.
 *
 * Sleep and timers. epoll's own time-out counts a clock that stands still while the machine is
 * suspended, so a timerfd of CLOCK_BOOTTIME wakes it. It is set only when it would wake too late,
 * and left alone when it wakes too early: a timer that is moved on with each packet costs a heap
 * operation and no call into the kernel. */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/resolver.h"

#define EVENTS_A_ROUND 256
#define SIGNALS 65 /* Linux has 1 to 64 */

struct signal_handler {
    void (*f)(void *arg, int signo);
    void *arg;
};

/* Invariants: 1. an io is on `ready` or `serving` if something is wanted of it that it is ready
 * for. 2. a batch of epoll's events becomes flags before any callback runs, so that no event meets
 * an io that is gone. 3. no timer in the heap is earlier than its parent. */
struct loop {
    int epoll_fd;
    bool stopped;
    uint64_t now_us;

    struct list ready;   /* to be served in the next round */
    struct list serving; /* still to be served in this one */
    struct io *current;  /* whose callback runs; NULL when it has been removed meanwhile */

    struct timer *timers; /* the earliest */
    int timer_fd;         /* wakes epoll; epoll's own time-out stands still while suspended */
    uint64_t armed_us;    /* when timer_fd will: not after the earliest timer while asleep */

    struct list deferred; /* to run at the end of the round */

    struct resolver resolver;

    struct io wake; /* an eventfd */
    pthread_mutex_t posted_lock;
    struct loop_call *posted, **posted_end;

    struct io signals; /* a signalfd, once a signal is asked for */
    sigset_t signal_set;
    struct signal_handler on_signal[SIGNALS];

    struct epoll_event events[EVENTS_A_ROUND];
};

/* ---- Timers: a pairing heap (Fredman and others, 1986), earliest first. ---- */

/* Joins two heaps whose roots have no brothers; either may be NULL. */
static struct timer *timers_meld(struct timer *a, struct timer *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->deadline_us < a->deadline_us) {
        struct timer *later = a;
        a = b;
        b = later;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Parts a timer from its brothers; returns the one after it. */
static struct timer *timers_part(struct timer *timer)
{
    struct timer *next = timer->next;
    timer->next = timer->prev = NULL;
    return next;
}

/* Makes one heap of brothers: pairs from the first to the last, then all pairs from the last to the
 * first. */
static struct timer *timers_meld_brothers(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;
    while (first) {
        struct timer *a = first, *b = timers_part(a);
        first = b ? timers_part(b) : NULL;
        a = timers_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *pair = pairs;
        pairs = timers_part(pair);
        root = timers_meld(root, pair);
    }
    return root;
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    if (!timer->set)
        return;

    struct timer *children = timers_meld_brothers(timer->child);
    if (timer == loop->timers) {
        loop->timers = children;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        loop->timers = timers_meld(loop->timers, children);
    }
    timer->child = timer->next = timer->prev = NULL;
    timer->set = false;
}

void timer_set(struct loop *loop, struct timer *timer, uint64_t deadline_us)
{
    timer_cancel(loop, timer);
    if (deadline_us == CLOCK_NEVER)
        return;
    /* After now, so that a timer which sets itself again cannot hold up the round. */
    timer->deadline_us = deadline_us > loop->now_us ? deadline_us : loop->now_us + 1;
    timer->set = true;
    loop->timers = timers_meld(loop->timers, timer);
}

static void fire_timers(struct loop *loop)
{
    const uint64_t now_us = loop->now_us;
    while (loop->timers && loop->timers->deadline_us <= now_us) {
        struct timer *timer = loop->timers;
        timer_cancel(loop, timer);
        timer->on_fire(timer);
    }
}

/* Sees to it that epoll wakes at this time. Armed early it wakes early, which is harmless: so a
 * timer that is moved on and on costs no call into the kernel each time. */
static bool wake_at(struct loop *loop, uint64_t deadline_us)
{
    if (loop->armed_us <= deadline_us)
        return true;

    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(deadline_us / CLOCK_US_PER_S),
                     .tv_nsec = (long)(deadline_us % CLOCK_US_PER_S) * 1000},
    };
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        return false;
    loop->armed_us = deadline_us;
    return true;
}

/* ---- Descriptors. ---- */

static bool is_due(const struct io *io)
{
    return (io->want_read && io->readable) || (io->want_write && io->writable);
}

/* Puts the io on the queue, or takes it off, after a flag has changed. */
static void requeue(struct io *io)
{
    if (io->loop == NULL)
        return;
    if (!is_due(io))
        list_remove(&io->queue);
    else if (!list_linked(&io->queue))
        list_append(&io->loop->ready, &io->queue);
}

bool io_add(struct loop *loop, struct io *io, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLET | EPOLLRDHUP,
                                .data.ptr = io};
    io->always_ready = false;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (errno != EPERM)
            return false;
        io->always_ready = true;
    }
    io->fd = fd;
    io->loop = loop;
    io->readable = io->writable = io->always_ready;
    io->want_read = io->want_write = io->hung_up = io->urgent = false;
    list_init(&io->queue);
    return true;
}

void io_remove(struct io *io)
{
    struct loop *loop = io->loop;
    if (loop == NULL)
        return;
    if (!io->always_ready)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    list_remove(&io->queue);
    io->want_read = io->want_write = false;
    io->loop = NULL;
    if (loop->current == io)
        loop->current = NULL;
}

void io_want_read(struct io *io)
{
    io->want_read = true;
    requeue(io);
}

void io_want_write(struct io *io)
{
    io->want_write = true;
    requeue(io);
}

void io_stop_read(struct io *io)
{
    io->want_read = false;
    requeue(io);
}

void io_stop_write(struct io *io)
{
    io->want_write = false;
    requeue(io);
}

void io_read_drained(struct io *io)
{
    io->readable = io->always_ready;
    requeue(io);
}

void io_write_blocked(struct io *io)
{
    io->writable = io->always_ready;
    requeue(io);
}

void io_presume_readable(struct io *io)
{
    io->readable = true;
    requeue(io);
}

void io_presume_writable(struct io *io)
{
    io->writable = true;
    requeue(io);
}

bool io_can_read(const struct io *io)
{
    return io->readable;
}

bool io_can_write(const struct io *io)
{
    return io->writable;
}

static void note_event(struct io *io, uint32_t events)
{
    const uint32_t failed = EPOLLHUP | EPOLLERR;
    if (events & (EPOLLIN | EPOLLRDHUP | failed))
        io->readable = true;
    if (events & (EPOLLOUT | failed))
        io->writable = true;
    if (events & (EPOLLRDHUP | failed))
        io->hung_up = true;
    if (events & EPOLLPRI)
        io->urgent = true;
    requeue(io);
}

/* Calls for all that is due when its turn comes; a wish from inside a callback waits for the next
 * round.
 */
static void serve(struct loop *loop, struct io *io)
{
    bool read_due = io->want_read && io->readable;
    bool write_due = io->want_write && io->writable;
    list_remove(&io->queue);
    loop->current = io;
    if (read_due) {
        io->want_read = false;
        io->on_read(io);
    }
    if (write_due && loop->current == io && io->want_write && io->writable) {
        io->want_write = false;
        requeue(io);
        io->on_write(io);
    }
    loop->current = NULL;
}

/* Moves a list with all its links under another head. */
static void move_all(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

static void serve_ready(struct loop *loop)
{
    if (list_empty(&loop->ready))
        return;
    move_all(&loop->serving, &loop->ready);
    while (!list_empty(&loop->serving))
        serve(loop, container_of(loop->serving.next, struct io, queue));
}

/* ---- Calls after the round, and from other threads. ---- */

void loop_defer(struct loop *loop, struct deferred *d)
{
    if (!d->link.next)
        list_init(&d->link);
    if (!list_linked(&d->link))
        list_append(&loop->deferred, &d->link);
}

void loop_undefer(struct deferred *d)
{
    if (d->link.next)
        list_remove(&d->link);
}

static void run_deferred(struct loop *loop)
{
    struct list due;
    move_all(&due, &loop->deferred);
    while (!list_empty(&due)) {
        struct deferred *d = container_of(due.next, struct deferred, link);
        list_remove(&d->link);
        d->run(d); /* may free it */
    }
}

void loop_post(struct loop *loop, struct loop_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&loop->posted_lock);
    bool first = loop->posted == NULL;
    *loop->posted_end = call;
    loop->posted_end = &call->next;
    pthread_mutex_unlock(&loop->posted_lock);
    if (first) /* not before: the thread that it wakes would wait for the lock */
        eventfd_write(loop->wake.fd, 1);
}

static void call_posted(struct loop *loop)
{
    pthread_mutex_lock(&loop->posted_lock);
    struct loop_call *call = loop->posted;
    loop->posted = NULL;
    loop->posted_end = &loop->posted;
    pthread_mutex_unlock(&loop->posted_lock);

    while (call) {
        struct loop_call *next = call->next; /* the call may free its memory */
        call->f(call->arg);
        call = next;
    }
}

static void on_wake(struct io *io)
{
    struct loop *loop = container_of(io, struct loop, wake);
    eventfd_t posted;
    eventfd_read(io->fd, &posted); /* before taking the list: a later post writes again */
    io_read_drained(io);
    io_want_read(io);
    call_posted(loop);
}

/* ---- Signals. ---- */

static void on_signals(struct io *io)
{
    struct loop *loop = container_of(io, struct loop, signals);
    struct signalfd_siginfo info;
    while (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        const struct signal_handler *handler = &loop->on_signal[info.ssi_signo % SIGNALS];
        if (handler->f)
            handler->f(handler->arg, (int)info.ssi_signo);
    }
    io_read_drained(io);
    io_want_read(io);
}

/* Makes the signalfd take the loop's signals; the first time there is none yet. */
static bool watch_signals(struct loop *loop)
{
    bool first = loop->signals.loop == NULL;
    int fd = signalfd(first ? -1 : loop->signals.fd, &loop->signal_set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return false;
    if (!first)
        return true;
    loop->signals.on_read = on_signals;
    if (!io_add(loop, &loop->signals, fd)) {
        close(fd);
        return false;
    }
    io_want_read(&loop->signals);
    return true;
}

bool loop_on_signal(struct loop *loop, int signo, void (*f)(void *arg, int signo), void *arg)
{
    sigset_t one;
    sigemptyset(&one);
    if (signo >= SIGNALS || sigaddset(&one, signo) != 0) {
        errno = EINVAL;
        return false;
    }
    sigaddset(&loop->signal_set, signo);
    if (!watch_signals(loop))
        return false;
    loop->on_signal[signo] = (struct signal_handler){f, arg};
    /* Blocked last: without a signalfd that takes it, it keeps its default action. */
    int error = pthread_sigmask(SIG_BLOCK, &one, NULL);
    if (error != 0)
        errno = error;
    return error == 0;
}

void loop_release_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- The loop. ---- */

static bool open_descriptors(struct loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    int wake_fd;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->timer_fd < 0)
        return false;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) != 0)
        return false;

    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return false;
    loop->wake.on_read = on_wake;
    if (!io_add(loop, &loop->wake, wake_fd)) {
        close(wake_fd);
        return false;
    }
    io_want_read(&loop->wake);
    return true;
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->epoll_fd = loop->timer_fd = -1;
    loop->now_us = clock_now_us();
    loop->armed_us = CLOCK_NEVER;
    list_init(&loop->ready);
    list_init(&loop->serving);
    sigemptyset(&loop->signal_set);
    pthread_mutex_init(&loop->posted_lock, NULL);
    loop->posted_end = &loop->posted;
    list_init(&loop->deferred);
    resolver_init(&loop->resolver);
    if (!open_descriptors(loop)) {
        int error = errno;
        loop_free(loop);
        errno = error;
        return NULL;
    }
    return loop;
}

struct loop *loop_new_with_signals(void (*stop)(void *arg, int signo),
                                   void (*hangup)(void *arg, int signo),
                                   void (*status)(void *arg, int signo), void *arg, struct error *e)
{
    struct loop *loop = loop_new();
    if (loop && loop_on_signal(loop, SIGINT, stop, arg) &&
        loop_on_signal(loop, SIGTERM, stop, arg) &&
        (!hangup || loop_on_signal(loop, SIGHUP, hangup, arg)) &&
        (!status || loop_on_signal(loop, SIGUSR1, status, arg)))
        return loop;
    error_set(e, FAILURE_OTHER, "cannot create the event loop: %s", system_text(errno));
    loop_free(loop);
    return NULL;
}

const char *loop_signal_text(int signo)
{
    return signo == SIGINT ? "interrupted" : "told to end";
}

static void close_io(struct io *io)
{
    if (io->loop == NULL)
        return;
    io_remove(io);
    close(io->fd);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    call_posted(loop);
    while (!list_empty(&loop->deferred))
        run_deferred(loop);
    resolver_free(&loop->resolver);
    close_io(&loop->wake);
    close_io(&loop->signals);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    pthread_mutex_destroy(&loop->posted_lock);
    free(loop);
}

struct resolver *loop_resolver(struct loop *loop)
{
    return &loop->resolver;
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now_us;
}

uint64_t loop_refresh_now(struct loop *loop)
{
    uint64_t now_us = clock_now_us();
    if (now_us > loop->now_us) /* a round's time may be a microsecond ahead: see poll_events */
        loop->now_us = now_us;
    return loop->now_us;
}

/* Nothing is to be done before the next event or timer. */
static bool may_sleep(struct loop *loop)
{
    if (!list_empty(&loop->ready) || !list_empty(&loop->deferred))
        return false;
    if (loop->timers == NULL)
        return true;
    return loop->timers->deadline_us > clock_now_us() && wake_at(loop, loop->timers->deadline_us);
}

static void poll_events(struct loop *loop)
{
    int timeout = may_sleep(loop) ? -1 : 0;
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_A_ROUND, timeout);
    for (int i = 0; i < count; i++)
        if (loop->events[i].data.ptr) /* none: timer_fd, which is not read */
            note_event(loop->events[i].data.ptr, loop->events[i].events);
    /* Each round has a time of its own, so that a timer set for now fires in the next one. */
    uint64_t last_us = loop->now_us;
    if (loop_refresh_now(loop) == last_us)
        loop->now_us++;
    if (loop->now_us >= loop->armed_us)
        loop->armed_us = CLOCK_NEVER;
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped) {
        poll_events(loop);
        serve_ready(loop);
        fire_timers(loop);
        run_deferred(loop);
    }
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
