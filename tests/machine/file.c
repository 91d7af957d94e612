/* Readiness, epoll, and the files that need no network: timers, signals, events, pipes. */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/clock.h"

#define CHANNEL_BYTES ((size_t)256 * 1024)

static void *new_file(size_t size, const struct file_kind *kind)
{
    struct file *f = calloc(1, size);
    if (!f)
        abort();
    file_init(f, kind);
    return f;
}

void file_init(struct file *f, const struct file_kind *kind)
{
    f->kind = kind;
    list_init(&f->watches);
}

ssize_t read_from(struct file *f, void *out, size_t len)
{
    if (f->kind->read)
        return f->kind->read(f, out, len);
    errno = EINVAL;
    return -1;
}

ssize_t write_to(struct file *f, const void *data, size_t len)
{
    if (f->kind->write)
        return f->kind->write(f, data, len);
    errno = EINVAL;
    return -1;
}

static ssize_t would_block(void)
{
    errno = EAGAIN;
    return -1;
}

/* ---- epoll. ---- */

struct epoll {
    struct file file;
    struct list ready; /* watches with an edge that was not looked at yet */
    struct thread *waiting;
};

struct watch {
    struct list of_file, ready;
    struct epoll *epoll;
    struct file *file;
    struct epoll_event event;
};

static void watch_edge(struct watch *w)
{
    if (!list_linked(&w->ready))
        list_append(&w->epoll->ready, &w->ready);
    if (w->epoll->waiting)
        thread_wake(w->epoll->waiting);
}

static void watch_end(struct watch *w)
{
    list_remove(&w->ready);
    list_remove(&w->of_file);
    free(w);
}

void file_wake(struct file *f)
{
    list_each (link, &f->watches)
        watch_edge(container_of(link, struct watch, of_file));
    if (f->told)
        event_set(&timeline, f->told, timeline.now_us);
}

void file_close(struct file *f)
{
    list_each (link, &f->watches)
        watch_end(container_of(link, struct watch, of_file));
    f->kind->close(f);
}

static uint32_t never_ready(const struct file *f)
{
    (void)f;
    return 0;
}

static void keep(struct file *f)
{
    (void)f; /* watches of it may be left: it lives on with the world */
}

static const struct file_kind epoll_kind = {.ready = never_ready, .close = keep};

struct file *epoll_new(void)
{
    struct epoll *e = new_file(sizeof *e, &epoll_kind);
    list_init(&e->ready);
    return &e->file;
}

static struct watch *watch_of(const struct epoll *e, const struct file *f)
{
    list_each (link, &f->watches) {
        struct watch *w = container_of(link, struct watch, of_file);
        if (w->epoll == e)
            return w;
    }
    return NULL;
}

static void watch_new(struct epoll *e, struct file *f, const struct epoll_event *event)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w || !(event->events & EPOLLET))
        abort();
    w->epoll = e;
    w->file = f;
    w->event = *event;
    list_init(&w->ready);
    list_append(&f->watches, &w->of_file);
    watch_edge(w);
}

int epoll_control(struct file *epoll, int operation, struct file *f, struct epoll_event *event)
{
    struct epoll *e = (struct epoll *)(void *)epoll;
    struct watch *w = watch_of(e, f);
    if (operation == EPOLL_CTL_ADD && !w) {
        watch_new(e, f, event);
        return 0;
    }
    if (operation == EPOLL_CTL_DEL && w) {
        watch_end(w);
        return 0;
    }
    errno = operation == EPOLL_CTL_ADD ? EEXIST : ENOENT;
    return -1;
}

static int collect(struct epoll *e, struct epoll_event *events, int max)
{
    const uint32_t always = EPOLLERR | EPOLLHUP;
    int count = 0;
    while (count < max && !list_empty(&e->ready)) {
        struct watch *w = container_of(e->ready.next, struct watch, ready);
        uint32_t ready = w->file->kind->ready(w->file) & (w->event.events | always);
        list_remove(&w->ready);
        if (ready)
            events[count++] = (struct epoll_event){.events = ready, .data = w->event.data};
    }
    return count;
}

int epoll_await(struct file *epoll, struct epoll_event *events, int max, int timeout)
{
    struct epoll *e = (struct epoll *)(void *)epoll;
    int count;
    thread_pass();
    while ((count = collect(e, events, max)) == 0 && timeout != 0) {
        e->waiting = thread_current();
        thread_wait();
        e->waiting = NULL;
    }
    return count;
}

/* ---- eventfd. ---- */

struct eventfd {
    struct file file;
    uint64_t count;
};

static uint32_t eventfd_ready(const struct file *f)
{
    const struct eventfd *e = (const struct eventfd *)(const void *)f;
    return (uint32_t)EPOLLOUT | (e->count ? (uint32_t)EPOLLIN : 0);
}

static ssize_t eventfd_take(struct file *f, void *out, size_t len)
{
    struct eventfd *e = (struct eventfd *)(void *)f;
    if (!e->count)
        return would_block();
    memcpy(out, &e->count, len);
    e->count = 0;
    return (ssize_t)len;
}

static ssize_t eventfd_add(struct file *f, const void *data, size_t len)
{
    struct eventfd *e = (struct eventfd *)(void *)f;
    uint64_t more;
    memcpy(&more, data, len);
    e->count += more;
    file_wake(f);
    return (ssize_t)len;
}

static const struct file_kind eventfd_kind = {
    .ready = eventfd_ready, .read = eventfd_take, .write = eventfd_add, .close = keep};

struct file *eventfd_new(uint64_t count)
{
    struct eventfd *e = new_file(sizeof *e, &eventfd_kind);
    e->count = count;
    return &e->file;
}

/* ---- timerfd. ---- */

struct timerfd {
    struct file file;
    struct event expire;
    bool expired;
};

static uint32_t timerfd_ready(const struct file *f)
{
    return ((const struct timerfd *)(const void *)f)->expired ? EPOLLIN : 0;
}

static void on_expire(struct event *e)
{
    struct timerfd *t = container_of(e, struct timerfd, expire);
    t->expired = true;
    file_wake(&t->file);
}

static void timerfd_close(struct file *f)
{
    event_cancel(&timeline, &((struct timerfd *)(void *)f)->expire);
}

static const struct file_kind timerfd_kind = {.ready = timerfd_ready, .close = timerfd_close};

struct file *timerfd_new(void)
{
    struct timerfd *t = new_file(sizeof *t, &timerfd_kind);
    t->expire.run = on_expire;
    return &t->file;
}

void timerfd_set(struct file *timer, uint64_t at_us)
{
    struct timerfd *t = (struct timerfd *)(void *)timer;
    t->expired = false;
    event_set(&timeline, &t->expire, at_us);
}

/* ---- signalfd. ---- */

struct signalfd {
    struct file file;
    struct process *process;
    sigset_t set;
};

/* 0: none. */
static int next_signal(const struct signalfd *s)
{
    for (int signo = 1; signo < 64; signo++)
        if ((s->process->pending_signals >> signo & 1) && sigismember(&s->set, signo) == 1)
            return signo;
    return 0;
}

static uint32_t signalfd_ready(const struct file *f)
{
    return next_signal((const struct signalfd *)(const void *)f) ? EPOLLIN : 0;
}

static ssize_t signalfd_read(struct file *f, void *out, size_t len)
{
    struct signalfd *s = (struct signalfd *)(void *)f;
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)next_signal(s)};
    if (!info.ssi_signo)
        return would_block();
    s->process->pending_signals &= ~(1ULL << info.ssi_signo);
    memcpy(out, &info, len);
    return (ssize_t)len;
}

static void signalfd_close(struct file *f)
{
    ((struct signalfd *)(void *)f)->process->signals = NULL;
}

static const struct file_kind signalfd_kind = {
    .ready = signalfd_ready, .read = signalfd_read, .close = signalfd_close};

void signalfd_set(struct file *f, const sigset_t *set)
{
    ((struct signalfd *)(void *)f)->set = *set;
    file_wake(f);
}

struct file *signalfd_new(struct process *p, const sigset_t *set)
{
    struct signalfd *s = new_file(sizeof *s, &signalfd_kind);
    s->process = p;
    s->set = *set;
    p->signals = &s->file;
    return &s->file;
}

/* ---- Pipes. ---- */

struct channel_bytes {
    uint8_t data[CHANNEL_BYTES];
    size_t first, len;
};

/* One end; both share the bytes. Nobody waits for one: splice(2) alone uses it. */
struct channel {
    struct file file;
    struct channel_bytes *bytes;
};

static struct channel_bytes *bytes_of(const struct file *f)
{
    return ((const struct channel *)(const void *)f)->bytes;
}

size_t channel_bytes(const struct file *f)
{
    return bytes_of(f)->len;
}

const uint8_t *channel_front(const struct file *f)
{
    return bytes_of(f)->data + bytes_of(f)->first;
}

size_t channel_room(const struct file *f)
{
    return CHANNEL_BYTES - bytes_of(f)->len;
}

void channel_drop(struct file *f, size_t len)
{
    bytes_of(f)->first += len;
    bytes_of(f)->len -= len;
}

static ssize_t channel_read(struct file *f, void *out, size_t len)
{
    struct channel_bytes *b = bytes_of(f);
    size_t n = len < b->len ? len : b->len;
    if (n == 0)
        return would_block();
    memcpy(out, channel_front(f), n);
    channel_drop(f, n);
    return (ssize_t)n;
}

static ssize_t channel_write(struct file *f, const void *data, size_t len)
{
    struct channel_bytes *b = bytes_of(f);
    size_t n = len < channel_room(f) ? len : channel_room(f);
    if (n == 0)
        return would_block();
    memmove(b->data, b->data + b->first, b->len);
    b->first = 0;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return (ssize_t)n;
}

static const struct file_kind channel_kind = {
    .ready = never_ready, .read = channel_read, .write = channel_write, .close = keep};

void channel_new(struct file *ends[2])
{
    struct channel_bytes *bytes = calloc(1, sizeof *bytes);
    if (!bytes)
        abort();
    for (int i = 0; i < 2; i++) {
        struct channel *c = new_file(sizeof *c, &channel_kind);
        c->bytes = bytes;
        ends[i] = &c->file;
    }
}

bool is_channel(const struct file *f)
{
    return f->kind == &channel_kind;
}
