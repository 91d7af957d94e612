/* One thread for each time that something is written, at most one at a time. */
#include "agent/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/container.h"
#include "base/files.h"

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
    struct error error; /* the thread's, until it has ended */
};

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
    s->threaded = start_thread(s);
    if (!s->threaded)
        run(s);
}

static void finish(struct store *s)
{
    if (s->threaded)
        pthread_join(s->thread, NULL);
    s->threaded = false;
    free(s->text);
    s->text = NULL;
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

void store_free(struct store *s)
{
    if (!s)
        return;
    if (s->text)
        finish(s);
    if (s->next) {
        s->text = s->next;
        write_text(s);
        free(s->text);
    }
    io_remove(&s->io);
    close(s->io.fd);
    free(s->path);
    free(s);
}
