/* The queue before the file, and the thread between them. */
#include "audit/audit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "audit/exchange.h"
#include "audit/queue.h"
#include "audit/state.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"

#define STACK_BYTES ((size_t)128 * 1024)
#define DECISIONS_MAX ((size_t)64 * 1024) /* that wait when others have no room any more */
#define DECISION (1ULL << 63)             /* in a ticket */
#define GATHER_US (25 * CLOCK_US_PER_MS)  /* how long the first of a commit waits for others */
#define RETRY_US CLOCK_US_PER_S
#define STALL_US (5 * CLOCK_US_PER_S) /* a disk that takes longer cannot be written */

/* ---- The thread. ---- */

static struct timespec time_in(uint64_t us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    us += (uint64_t)at.tv_nsec / 1000;
    at.tv_sec += (time_t)(us / CLOCK_US_PER_S);
    at.tv_nsec = (long)(us % CLOCK_US_PER_S * 1000);
    return at;
}

/* Until something comes, or so long. */
static void nap(struct audit *a, uint64_t us)
{
    const struct timespec at = time_in(us);
    pthread_cond_timedwait(&a->work, &a->lock, &at);
}

static void wait_until(struct audit *a, uint64_t us)
{
    const struct timespec at = time_in(us);
    while (!a->stop && !a->hurry && pthread_cond_timedwait(&a->work, &a->lock, &at) == 0) {
    }
}

static void take_queue(struct audit *a)
{
    list_each (link, &a->queue)
        list_move(&a->taken, link);
}

/* The first of these are in the file. */
static void free_written(struct audit *a, struct list *records, size_t count)
{
    list_each (link, records) {
        struct audit_record *r = container_of(link, struct audit_record, link);
        if (count-- == 0)
            break;
        list_remove(link);
        *(r->decision ? &a->decided : &a->written) = r->ticket;
        if (a->keeps_recent)
            audit_recent_add(&a->recent, view_of(r->object, r->len));
        a->bytes -= sizeof *r + r->len;
        a->waiting--;
        free(r);
    }
}

/* Those of them that are in the file then are gone. False: none is. */
static bool append(struct audit *a, struct list *records, bool decisions, struct error *e)
{
    size_t count = 0;
    bool good;
    pthread_mutex_unlock(&a->lock);
    good = audit_file_append(&a->file, records, decisions, &count, e);
    pthread_mutex_lock(&a->lock);
    if (good)
        free_written(a, records, count);
    return good;
}

/* Nothing can be written but what has a reserve: that goes before all else. */
static void append_decisions(struct audit *a)
{
    struct list others;
    struct error e = {0};
    list_init(&others);
    list_each (link, &a->taken)
        if (!container_of(link, struct audit_record, link)->decision)
            list_move(&others, link);
    if (!list_empty(&a->taken))
        append(a, &a->taken, true, &e);
    list_each (link, &others)
        list_move(&a->taken, link);
}

static bool is_idle(const struct audit *a)
{
    return list_empty(&a->queue) && list_empty(&a->taken) && list_empty(&a->heads);
}

/* One commit. The lock is not held while it waits for the disk. */
static bool commit(struct audit *a)
{
    struct error e = {0};
    bool good;
    take_queue(a);
    a->hurry = false;
    good = append(a, &a->taken, false, &e);
    if (!good)
        append_decisions(a);
    if (list_empty(&a->queue) && list_empty(&a->taken))
        a->written = a->issued;
    if (good) {
        a->progress_us = clock_now_us();
        audit_queue_tell_lost(a);
    }
    a->failing = e;
    if (a->file.trouble.failure)
        a->trouble = a->file.trouble;
    a->file.trouble = (struct error){0};
    eventfd_write(a->io.fd, 1);
    return good;
}

/* Without the lock, for the disk may stall. */
static void read_recent(struct audit *a)
{
    struct audit_recent recent = {0};
    audit_recent_read(&recent, a->path);
    pthread_mutex_lock(&a->lock);
    a->recent = recent;
    pthread_mutex_unlock(&a->lock);
}

/* ---- The thread's round. ---- */

/* Until there is something to do. */
static void rest(struct audit *a)
{
    while (is_idle(a) && !a->stop && !audit_exchange_must_sign(a))
        pthread_cond_wait(&a->work, &a->lock);
    while (is_idle(a) && !a->stop && clock_now_us() < a->next_sign_us)
        nap(a, a->next_sign_us - clock_now_us());
}

static void free_all(struct audit *a)
{
    list_each (link, &a->queue)
        list_move(&a->taken, link);
    list_each (link, &a->taken)
        free(container_of(link, struct audit_record, link));
    audit_exchange_drop(a);
    audit_file_free(&a->file);
    audit_recent_free(&a->recent);
    audit_heads_free(&a->keys);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->over);
    pthread_mutex_destroy(&a->lock);
    if (a->io.fd >= 0)
        close(a->io.fd);
    free(a->path);
    free(a->agent);
    free(a);
}

static void *run(void *arg)
{
    struct audit *a = arg;
    bool good = true, abandoned;
    if (a->keeps_recent)
        read_recent(a);
    pthread_mutex_lock(&a->lock);
    while (good || !a->stop) {
        if (!good)
            wait_until(a, RETRY_US);
        rest(a);
        if (audit_exchange_must_sign(a) && clock_now_us() >= a->next_sign_us)
            audit_exchange_sign(a);
        if (is_idle(a) && a->stop)
            break;
        if (is_idle(a))
            continue;
        wait_until(a, GATHER_US);
        audit_exchange_judge(a);
        good = commit(a);
    }
    a->stopped = true;
    pthread_cond_signal(&a->over);
    abandoned = a->abandoned;
    pthread_mutex_unlock(&a->lock);
    if (abandoned)
        free_all(a);
    return NULL;
}

/* ---- Start and end. ---- */

static void init_conditions(struct audit *a)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&a->work, &attributes);
    pthread_cond_init(&a->over, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Signals are the loop's; SIGXFSZ would end the process where EFBIG says enough. */
static bool start_thread(struct audit *a)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    bool started;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    sigdelset(&all, SIGSYS); /* the guard's: blocked it would kill the process */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&a->thread, &attributes, run, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static void on_news(struct io *io);

struct audit *audit_start(struct loop *loop, const struct audit_settings *settings, struct error *e)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a) {
        error_no_memory(e);
        return NULL;
    }
    a->path = strdup(settings->path);
    a->role = settings->role;
    a->agent = settings->agent ? strdup(settings->agent) : NULL;
    a->refuse = settings->refuse;
    a->keeps_recent = settings->recent;
    a->on_failing = settings->on_failing;
    a->on_head = settings->on_head;
    a->arg = settings->arg;
    list_init(&a->queue);
    list_init(&a->taken);
    list_init(&a->waits);
    list_init(&a->heads);
    init_conditions(a);
    audit_file_init(&a->file, a->path, a->role, settings->limit_bytes);
    a->io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->io.on_read = on_news;
    if (a->path && (a->agent || !settings->agent) &&
        (!settings->own_key || audit_exchange_begin(a, settings->own_key)) && a->io.fd >= 0 &&
        io_add(loop, &a->io, a->io.fd) && start_thread(a)) {
        io_want_read(&a->io);
        return a;
    }
    io_remove(&a->io);
    free_all(a);
    error_set(e, FAILURE_OTHER, "cannot begin the audit: no memory, descriptor or thread for it");
    return NULL;
}

/* Until the thread has ended, but not longer. */
static void wait_for_thread(struct audit *a, uint64_t patience_us)
{
    const struct timespec at = time_in(patience_us);
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->work);
    while (!a->stopped && pthread_cond_timedwait(&a->over, &a->lock, &at) == 0) {
    }
    pthread_mutex_unlock(&a->lock);
}

void audit_leave_loop(struct audit *a)
{
    if (a)
        io_remove(&a->io);
}

bool audit_end(struct audit *a, uint64_t patience_us)
{
    pthread_t thread;
    uint64_t left;
    bool stopped;
    if (!a)
        return true;
    wait_for_thread(a, patience_us);
    io_remove(&a->io);
    pthread_mutex_lock(&a->lock);
    thread = a->thread;
    left = a->waiting + a->lost;
    if (left > 0)
        log_error("audit %s: the last %llu entries were not written: %s", a->path,
                  (unsigned long long)left,
                  a->failing.failure ? a->failing.text : "the disk does not answer");
    stopped = a->stopped;
    a->abandoned = !stopped; /* the thread has it then, as long as the disk does not answer */
    pthread_mutex_unlock(&a->lock);
    if (!stopped) {
        pthread_detach(thread);
        return false;
    }
    pthread_join(thread, NULL);
    free_all(a);
    return left == 0;
}

/* ---- Entries. ---- */

static const char *halted_text(const struct audit *a)
{
    return a->refuse ? "no new session and no new stream" : "entries wait";
}

/* With the lock. */
static bool is_stalled(const struct audit *a)
{
    return a->waiting > 0 && clock_now_us() - a->progress_us > STALL_US;
}

static void tell_failing(const struct audit *a, const char *why)
{
    if (a->on_failing)
        a->on_failing(a->arg, why);
}

/* Without it, in the loop. */
static void log_stalled(struct audit *a, bool stalled)
{
    bool news = stalled && !a->told_stalled && !a->told_failing;
    a->told_stalled = a->told_stalled || stalled;
    if (!news)
        return;
    log_error("audit: the disk of %s does not answer; %s until it does", a->path, halted_text(a));
    tell_failing(a, "the disk does not answer");
}

/* Under the lock. */
static bool may_wait(const struct audit *a, const struct audit_entry *entry)
{
    return entry->decision ? audit_queue_has_room(a, AUDIT_QUEUE_MAX + DECISIONS_MAX)
                           : a->lost == 0 && audit_queue_has_room(a, AUDIT_QUEUE_MAX);
}

/* The thread waits for nobody else. */
static void hurry(struct audit *a)
{
    a->hurry = true;
    pthread_cond_signal(&a->work);
}

uint64_t audit_write(struct audit *a, const struct audit_entry *entry)
{
    char object[AUDIT_LINE_MAX];
    uint64_t ticket = 0;
    bool stalled;
    size_t len;
    if (!a)
        return 0;
    len = audit_queue_encode(a, object, entry);
    pthread_mutex_lock(&a->lock);
    audit_queue_tell_lost(a);
    if (may_wait(a, entry) && audit_queue_add(a, object, len, entry->decision))
        ticket = a->issued | (entry->decision ? DECISION : 0);
    else
        a->lost++;
    if (entry->decision)
        hurry(a);
    stalled = is_stalled(a);
    pthread_mutex_unlock(&a->lock);
    log_stalled(a, stalled);
    return ticket;
}

/* ---- How it stands, in the loop. ---- */

static void log_state(struct audit *a, const struct error *failing)
{
    bool fails = failing->failure != FAILURE_NONE, failed = a->told_failing;
    bool stalled = a->told_stalled;
    a->told_failing = fails;
    a->told_stalled = stalled && fails;
    if (fails && !failed) {
        log_error("audit: %s; %s until it can be written", failing->text, halted_text(a));
        tell_failing(a, failing->text);
    } else if (!fails && (failed || stalled)) {
        log_info("audit: %s is written again", a->path);
        tell_failing(a, NULL);
    }
}

static bool is_written(uint64_t ticket, uint64_t written, uint64_t decided)
{
    uint64_t number = ticket & ~DECISION;
    return number <= written || (ticket != number && number <= decided);
}

static void wake_waits(struct audit *a, uint64_t written, uint64_t decided)
{
    list_each (link, &a->waits) {
        struct audit_wait *w = container_of(link, struct audit_wait, link);
        if (!is_written(w->ticket, written, decided))
            continue;
        list_remove(&w->link);
        w->done(w, w->ticket > 0);
    }
}

static void on_news(struct io *io)
{
    struct audit *a = container_of(io, struct audit, io);
    struct error failing, trouble, head_trouble;
    uint64_t written, decided;
    eventfd_t count;
    eventfd_read(io->fd, &count);
    io_read_drained(io);
    io_want_read(io);
    pthread_mutex_lock(&a->lock);
    failing = a->failing;
    trouble = a->trouble;
    a->trouble = (struct error){0};
    head_trouble = a->head_trouble;
    a->head_trouble = (struct error){0};
    written = a->written;
    decided = a->decided;
    pthread_mutex_unlock(&a->lock);
    log_state(a, &failing);
    if (trouble.failure)
        log_warning("audit: %s; it grows on", trouble.text);
    if (head_trouble.failure)
        log_warning("audit: heads: %s", head_trouble.text);
    wake_waits(a, written, decided);
    audit_exchange_tell(a);
}

bool audit_permits(struct audit *a)
{
    return !a || !a->refuse || audit_can_keep(a);
}

bool audit_can_keep(struct audit *a)
{
    bool good, stalled;
    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    audit_queue_tell_lost(a);
    stalled = is_stalled(a);
    good = !a->failing.failure && !stalled && a->lost == 0 &&
           audit_queue_has_room(a, AUDIT_QUEUE_MAX / 2);
    pthread_mutex_unlock(&a->lock);
    log_stalled(a, stalled);
    return good;
}

uint64_t audit_recall_from(struct audit *a, uint64_t last)
{
    uint64_t from;
    pthread_mutex_lock(&a->lock);
    from = audit_recent_from(&a->recent, last);
    pthread_mutex_unlock(&a->lock);
    return from;
}

size_t audit_recall(struct audit *a, uint64_t *next, char out[AUDIT_LINE_MAX])
{
    size_t len;
    pthread_mutex_lock(&a->lock);
    len = audit_recent_get(&a->recent, next, out);
    pthread_mutex_unlock(&a->lock);
    return len;
}

void audit_when_written(struct audit *a, struct audit_wait *w)
{
    list_append(&a->waits, &w->link);
    pthread_mutex_lock(&a->lock);
    hurry(a);
    pthread_mutex_unlock(&a->lock);
    eventfd_write(a->io.fd, 1);
}

void audit_forget(struct audit_wait *w)
{
    if (w->link.next)
        list_remove(&w->link);
}
