/* One thread for each time that something is written, at most one at a time. */
#include "agent/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/container.h"
#include "base/files.h"
#include "base/log.h"

#define STACK_BYTES ((size_t)64 * 1024)

struct store {
    struct io io; /* an eventfd: the thread has written */
    struct loop *loop;
    void (*on_written)(void *arg, const struct error *e);
    void *arg;
    char *path;
    char *text, *next; /* being written, to be written then; or NULL */
    pthread_t thread;
    bool threaded;      /* it writes */
    atomic_bool left;   /* by the thread, or by the owner, whoever is first */
    struct error error; /* the thread's, until it has ended */
};

static void free_all(struct store *s)
{
    close(s->io.fd);
    free(s->path);
    free(s->text);
    free(s->next);
    free(s);
}

static void write_text(struct store *s)
{
    s->error = (struct error){0};
    file_replace(s->path, s->text, strlen(s->text), &s->error);
}

static void *run(void *arg)
{
    struct store *s = arg;
    write_text(s);
    eventfd_write(s->io.fd, 1);
    if (atomic_exchange(&s->left, true))
        free_all(s);
    return NULL;
}

static bool start_thread(struct store *s)
{
    pthread_attr_t attributes;
    bool started;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    started = pthread_create(&s->thread, &attributes, run, s) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

/* Without a thread it is written here: late is better than never. */
static void begin(struct store *s)
{
    s->text = s->next;
    s->next = NULL;
    atomic_store(&s->left, false);
    s->threaded = start_thread(s);
    if (s->threaded)
        return;
    write_text(s);
    eventfd_write(s->io.fd, 1);
}

static void forget_text(struct store *s)
{
    s->threaded = false;
    free(s->text);
    s->text = NULL;
}

static void finish(struct store *s)
{
    if (s->threaded)
        pthread_join(s->thread, NULL);
    forget_text(s);
}

/* False: not within this time. */
static bool finish_until(struct store *s, const struct timespec *at)
{
    if (s->threaded && pthread_timedjoin_np(s->thread, NULL, at) != 0)
        return false;
    forget_text(s);
    return true;
}

static void on_read(struct io *io)
{
    struct store *s = container_of(io, struct store, io);
    eventfd_t count;
    bool written = eventfd_read(io->fd, &count) == 0;
    io_read_drained(io);
    io_want_read(io);
    if (!written || !s->text)
        return;
    finish(s);
    if (s->next)
        begin(s);
    else
        s->on_written(s->arg, s->error.failure ? &s->error : NULL);
}

struct store *store_new(struct loop *loop, const char *path,
                        void (*on_written)(void *arg, const struct error *e), void *arg)
{
    struct store *s = calloc(1, sizeof *s);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s && fd >= 0 && (s->path = strdup(path)) && io_add(loop, &s->io, fd)) {
        s->loop = loop;
        s->on_written = on_written;
        s->arg = arg;
        s->io.on_read = on_read;
        io_want_read(&s->io);
        return s;
    }
    if (fd >= 0)
        close(fd);
    if (s)
        free(s->path);
    free(s);
    return NULL;
}

void store_write(struct store *s, char *text)
{
    free(s->next);
    s->next = text;
    if (!s->text)
        begin(s);
}

/* All that was given. False: the disk does not answer. */
static bool write_rest(struct store *s)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += STORE_END_S;
    while (s->text || s->next) {
        if (!s->text)
            begin(s);
        if (!finish_until(s, &at))
            return false;
    }
    return true;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    io_remove(&s->io);
    if (write_rest(s)) {
        free_all(s);
        return;
    }
    log_error("%s: the disk does not answer; what was to be kept there last is not", s->path);
    pthread_detach(s->thread);
    if (atomic_exchange(&s->left, true))
        free_all(s);
}
