/* The queue before the file, and the thread between them. */
#include "audit/audit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "audit/file.h"
#include "audit/heads.h"
#include "audit/recent.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate.h"
#include "base/text.h"
#include "crypto/circuit_label.h"
#include "net/loop.h"

#define STACK_BYTES ((size_t)128 * 1024)
#define DECISIONS_MAX ((size_t)64 * 1024) /* that wait when others have no room any more */
#define DECISION (1ULL << 63)             /* in a ticket */
#define HEADS_MAX 64                      /* that wait to be judged */
#define HEADS_PER_S 20                    /* that are received, in the long run, of all peers */
#define SIGN_PAUSE_US (CLOCK_US_PER_S / 4)
#define GATHER_US (10 * CLOCK_US_PER_MS) /* how long the first of a commit waits for others */
#define RETRY_US CLOCK_US_PER_S
#define STALL_US (5 * CLOCK_US_PER_S) /* a disk that takes longer cannot be written */

struct audit {
    char *path;
    const char *role;
    char *agent; /* or NULL */
    bool refuse, keeps_recent;
    void (*on_failing)(void *arg, const char *why); /* or NULL */
    void *arg;
    struct io io; /* an eventfd: something of what follows has changed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, over;
    /* Under the lock. */
    struct list queue;        /* what the thread has not taken yet */
    size_t bytes;             /* of all that is not written */
    uint64_t issued, written; /* tickets */
    uint64_t decided;         /* the last ticket of a decision that is written */
    uint64_t waiting;         /* how many are not written */
    uint64_t lost;            /* entries left out since the last that was taken */
    uint64_t progress_us;     /* of the last commit, or the first entry after it */
    struct list heads;        /* received, and not judged yet */
    unsigned head_count;      /* of them */
    bool head_wanted;         /* a signed head, of all up to this ticket at least */
    uint64_t head_ticket;
    uint64_t next_sign_us;
    bool has_signed, news; /* there is one; it is to be given to the owner */
    struct signed_head signed_head;
    struct error head_trouble; /* to be told */
    bool no_heads;             /* none from now on */
    bool hurry, stop, stopped;
    struct audit_recent recent; /* of what is written, if settings ask for it */
    struct error failing;       /* of the last try; FAILURE_NONE: it was good */
    struct error trouble;       /* to be told */
    /* The thread's. */
    struct audit_file file;
    struct audit_heads keys;
    struct list taken;
    /* The loop's. */
    struct list waits;
    bool told_failing, told_stalled;
    struct rate heads_rate;
    void (*on_head)(void *arg, struct view head);
    char own[FINGERPRINT_TEXT_BYTES]; /* of the key it runs with; "": heads are not signed */
};

/* ---- The queue. ---- */

/* Under the lock. False: without memory. */
static bool enqueue(struct audit *a, const char *object, size_t len, bool decision)
{
    struct audit_record *r = malloc(sizeof *r + len);
    if (!r)
        return false;
    list_init(&r->link);
    memcpy(r->object, object, len);
    r->len = len;
    r->decision = decision;
    if (a->waiting++ == 0)
        a->progress_us = clock_now_us();
    list_append(&a->queue, &r->link);
    a->bytes += sizeof *r + len;
    r->ticket = ++a->issued;
    pthread_cond_signal(&a->work);
    return true;
}

static bool has_room(const struct audit *a, size_t most)
{
    return a->bytes + 2 * (size_t)AUDIT_LINE_MAX < most;
}

static size_t encode(const struct audit *a, char object[AUDIT_LINE_MAX],
                     const struct audit_entry *entry)
{
    struct audit_entry e = *entry;
    char now[AUDIT_TIME_BYTES];
    clock_wall_text(now);
    e.time = now;
    e.role = a->role;
    e.agent = e.agent ? e.agent : a->agent;
    return audit_entry_encode(object, &e);
}

/* Under the lock. */
static void tell_lost(struct audit *a)
{
    char object[AUDIT_LINE_MAX];
    size_t len;
    const struct audit_entry entry = {
        .event = "entries_lost", .count = a->lost, .reason = "too many waited to be written"};
    if (a->lost == 0 || !has_room(a, AUDIT_QUEUE_MAX))
        return;
    len = encode(a, object, &entry);
    if (enqueue(a, object, len, false))
        a->lost = 0;
}

/* Under the lock. */
static void add_entry(struct audit *a, const struct audit_entry *entry)
{
    char object[AUDIT_LINE_MAX];
    size_t len = encode(a, object, entry);
    if (has_room(a, AUDIT_QUEUE_MAX))
        enqueue(a, object, len, false);
}

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
        if (r->decision)
            a->decided = r->ticket;
        if (a->keeps_recent)
            audit_recent_add(&a->recent, view_of(r->object, r->len));
        a->bytes -= sizeof *r + r->len;
        a->waiting--;
        free(r);
    }
}

/* All before the first that waits are written. */
static void note_written(struct audit *a)
{
    struct list *first = list_empty(&a->taken) ? &a->queue : &a->taken;
    a->written = list_empty(first)
                     ? a->issued
                     : container_of(first->next, struct audit_record, link)->ticket - 1;
}

static void append(struct audit *a, struct list *records, bool decisions, struct error *e)
{
    size_t count = 0;
    pthread_mutex_unlock(&a->lock);
    audit_file_append(&a->file, records, decisions, &count, e);
    pthread_mutex_lock(&a->lock);
    free_written(a, records, count);
}

/* Nothing can be written but what has a reserve: that goes before all else. */
static void append_decisions(struct audit *a)
{
    struct list decisions;
    struct error e = {0};
    list_init(&decisions);
    list_each (link, &a->taken)
        if (container_of(link, struct audit_record, link)->decision)
            list_move(&decisions, link);
    if (list_empty(&decisions))
        return;
    append(a, &decisions, true, &e);
    list_each (link, &a->taken)
        list_move(&decisions, link);
    list_each (link, &decisions)
        list_move(&a->taken, link);
}

/* One commit. The lock is not held while it waits for the disk. */
static bool commit(struct audit *a)
{
    struct error e = {0};
    take_queue(a);
    a->hurry = false;
    append(a, &a->taken, false, &e);
    if (e.failure)
        append_decisions(a);
    note_written(a);
    if (!e.failure) {
        a->progress_us = clock_now_us();
        tell_lost(a);
    }
    a->failing = e;
    if (a->file.trouble.failure)
        a->trouble = a->file.trouble;
    a->file.trouble = (struct error){0};
    eventfd_write(a->io.fd, 1);
    return !e.failure;
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

/* ---- Heads, in the thread. ---- */

#define RECEIVED_NAME_BYTES 129

/* A head of a peer's, and the entry about it. */
struct received {
    struct list link;
    struct signed_head head;
    char signer[FINGERPRINT_TEXT_BYTES];
    char session[HASH_NAME_BYTES], circuit[HASH_NAME_BYTES], user[RECEIVED_NAME_BYTES],
        key[FINGERPRINT_TEXT_BYTES], agent[RECEIVED_NAME_BYTES], relay[FINGERPRINT_TEXT_BYTES];
};

static void head_text(char out[SIGNED_HEAD_TEXT_BYTES], const struct signed_head *head)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    signed_head_encode(bytes, head);
    text_hex(out, bytes, sizeof bytes);
}

static void note_trouble(struct audit *a, const struct error *e)
{
    a->head_trouble = *e;
}

/* The entry about a head that was judged, under the lock. reason: or NULL. */
static void add_received(struct audit *a, const struct received *r, const char *event,
                         const char *reason)
{
    char text[SIGNED_HEAD_TEXT_BYTES];
    head_text(text, &r->head);
    add_entry(a, &(struct audit_entry){.event = event,
                                       .session = r->session,
                                       .circuit = r->circuit,
                                       .user = r->user,
                                       .key = r->key,
                                       .agent = r->agent[0] ? r->agent : NULL,
                                       .relay = r->relay,
                                       .reason = reason,
                                       .by = audit_role_name(r->head.role),
                                       .head = text});
}

static void add_foreign(struct audit *a, const struct received *r, const char *pinned)
{
    char other[FINGERPRINT_TEXT_BYTES], reason[3 * FINGERPRINT_TEXT_BYTES];
    struct error e = {0};
    sign_fingerprint(other, r->head.key);
    snprintf(reason, sizeof reason, "signed with audit key %s, but %s was seen first", other,
             pinned);
    add_received(a, r, "head_refused", reason);
    error_set(&e, FAILURE_OTHER, "%s %s signs its audit with another key than before: %s",
              audit_role_name(r->head.role), r->signer, reason);
    note_trouble(a, &e);
}

static void add_judged(struct audit *a, const struct received *r, enum head_worth worth,
                       const char *pinned)
{
    char reason[2 * FINGERPRINT_TEXT_BYTES];
    snprintf(reason, sizeof reason, "the first one: audit key %s", pinned);
    if (worth == HEAD_FOREIGN)
        add_foreign(a, r, pinned);
    else if (worth == HEAD_FORGED)
        add_received(a, r, "head_refused", "the signature is wrong");
    else
        add_received(a, r, "head_received", worth == HEAD_PINNED ? reason : NULL);
}

static void judge(struct audit *a, struct received *r)
{
    struct error e = {0};
    enum head_worth worth;
    char pinned[FINGERPRINT_TEXT_BYTES] = "";
    bool judged;
    list_remove(&r->link);
    a->head_count--;
    pthread_mutex_unlock(&a->lock);
    judged = audit_heads_judge(&a->keys, &r->head, r->signer, &worth, pinned, &e);
    pthread_mutex_lock(&a->lock);
    if (judged && !a->no_heads)
        add_judged(a, r, worth, pinned);
    else if (!judged)
        note_trouble(a, &e);
    free(r);
}

static void drop_heads(struct audit *a)
{
    list_each (link, &a->heads) {
        list_remove(link);
        free(container_of(link, struct received, link));
    }
    a->head_count = 0;
}

/* Those that came until now become entries; not behind the last one, of the program's end. */
static void judge_heads(struct audit *a)
{
    if (a->no_heads)
        drop_heads(a);
    for (unsigned left = a->head_count; left > 0 && !list_empty(&a->heads); left--)
        judge(a, container_of(a->heads.next, struct received, link));
}

/* An entry of the own, signed head; its object, for the file or the queue. */
static size_t encode_signed(const struct audit *a, char object[AUDIT_LINE_MAX],
                            const struct signed_head *head)
{
    char text[SIGNED_HEAD_TEXT_BYTES];
    head_text(text, head);
    return encode(a, object,
                  &(struct audit_entry){.event = "head_signed", .key = a->own, .head = text});
}

/* For the file, from inside a commit: without the lock. */
static size_t checkpoint(void *owner, const struct audit_head *head, char object[AUDIT_LINE_MAX])
{
    struct audit *a = owner;
    struct signed_head signed_head;
    struct error e = {0};
    if (a->own[0] && audit_heads_sign(&a->keys, head, &signed_head, &e))
        return encode_signed(a, object, &signed_head);
    return 0;
}

/* Nothing has been written since the last one but the entry about it. */
static bool is_signed(const struct audit *a)
{
    const struct audit_head *now = &a->file.head, *then = &a->signed_head.head;
    return a->has_signed && strcmp(now->chain, then->chain) == 0 && now->number <= then->number + 1;
}

static void keep_signed(struct audit *a, const struct signed_head *head)
{
    char object[AUDIT_LINE_MAX];
    size_t len = encode_signed(a, object, head);
    a->signed_head = *head;
    a->has_signed = true;
    if (has_room(a, AUDIT_QUEUE_MAX))
        enqueue(a, object, len, false);
}

/* The head of what is on disk. */
static void sign(struct audit *a)
{
    struct signed_head head;
    struct error e = {0}, untold = {0}; /* the next commit tells it */
    bool good;
    a->head_wanted = false;
    a->next_sign_us = clock_now_us() + SIGN_PAUSE_US;
    if (!is_signed(a)) {
        pthread_mutex_unlock(&a->lock);
        good = (a->file.head.number || audit_file_look(&a->file, &untold)) && a->file.head.number &&
               audit_heads_sign(&a->keys, &a->file.head, &head, &e);
        pthread_mutex_lock(&a->lock);
        if (e.failure)
            note_trouble(a, &e);
        if (good && !a->no_heads)
            keep_signed(a, &head);
    }
    a->news = a->has_signed;
    eventfd_write(a->io.fd, 1);
}

/* ---- The thread's round. ---- */

static bool is_idle(const struct audit *a)
{
    return list_empty(&a->queue) && list_empty(&a->taken) && list_empty(&a->heads);
}

static bool must_sign(const struct audit *a)
{
    return a->head_wanted && a->head_ticket <= a->written && !a->no_heads;
}

/* Until there is something to do. */
static void rest(struct audit *a)
{
    while (is_idle(a) && !a->stop && !must_sign(a))
        pthread_cond_wait(&a->work, &a->lock);
    while (is_idle(a) && !a->stop && clock_now_us() < a->next_sign_us)
        nap(a, a->next_sign_us - clock_now_us());
}

static void *run(void *arg)
{
    struct audit *a = arg;
    bool good = true;
    if (a->keeps_recent)
        read_recent(a);
    pthread_mutex_lock(&a->lock);
    while (good || !a->stop) {
        if (!good)
            wait_until(a, RETRY_US);
        rest(a);
        if (must_sign(a) && clock_now_us() >= a->next_sign_us)
            sign(a);
        if (is_idle(a) && a->stop)
            break;
        if (is_idle(a))
            continue;
        wait_until(a, GATHER_US);
        judge_heads(a);
        good = commit(a);
    }
    a->stopped = true;
    pthread_cond_signal(&a->over);
    pthread_mutex_unlock(&a->lock);
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
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&a->thread, &attributes, run, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static void free_all(struct audit *a)
{
    list_each (link, &a->queue)
        list_move(&a->taken, link);
    list_each (link, &a->taken)
        free(container_of(link, struct audit_record, link));
    drop_heads(a);
    audit_file_close(&a->file);
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

static void on_news(struct io *io);

/* The head that is in the file is signed at once, for those who connect to somebody then. */
static bool begin_heads(struct audit *a, const struct audit_settings *settings)
{
    if (!settings->own_key)
        return true;
    key_fingerprint(a->own, settings->own_key);
    a->on_head = settings->on_head;
    a->file.checkpoint = checkpoint;
    a->file.owner = a;
    a->head_wanted = true;
    return audit_heads_init(&a->keys, audit_role_of(a->role), a->path);
}

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
    a->arg = settings->arg;
    list_init(&a->queue);
    list_init(&a->taken);
    list_init(&a->waits);
    list_init(&a->heads);
    init_conditions(a);
    audit_file_init(&a->file, a->path, a->role, settings->limit_bytes);
    a->io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->io.on_read = on_news;
    if (a->path && (a->agent || !settings->agent) && begin_heads(a, settings) && a->io.fd >= 0 &&
        io_add(loop, &a->io, a->io.fd) && start_thread(a)) {
        io_want_read(&a->io);
        return a;
    }
    io_remove(&a->io);
    free_all(a);
    error_set(e, FAILURE_OTHER, "cannot begin the audit: no memory, descriptor or thread for it");
    return NULL;
}

/* True if the thread has ended within this time. */
static bool wait_for_thread(struct audit *a, uint64_t patience_us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(patience_us / CLOCK_US_PER_S);
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->work);
    while (!a->stopped && pthread_cond_timedwait(&a->over, &a->lock, &at) == 0) {
    }
    bool stopped = a->stopped;
    pthread_mutex_unlock(&a->lock);
    return stopped;
}

void audit_leave_loop(struct audit *a)
{
    if (a)
        io_remove(&a->io);
}

bool audit_end(struct audit *a, uint64_t patience_us)
{
    uint64_t left;
    bool stopped;
    if (!a)
        return true;
    stopped = wait_for_thread(a, patience_us);
    io_remove(&a->io);
    pthread_mutex_lock(&a->lock);
    left = a->waiting + a->lost;
    if (left > 0)
        log_error("audit %s: the last %llu entries were not written: %s", a->path,
                  (unsigned long long)left,
                  a->failing.failure ? a->failing.text : "the disk does not answer");
    pthread_mutex_unlock(&a->lock);
    if (!stopped)
        return false; /* the thread has it as long as the process lives */
    pthread_join(a->thread, NULL);
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
    return entry->decision ? has_room(a, AUDIT_QUEUE_MAX + DECISIONS_MAX)
                           : a->lost == 0 && has_room(a, AUDIT_QUEUE_MAX);
}

uint64_t audit_write(struct audit *a, const struct audit_entry *entry)
{
    char object[AUDIT_LINE_MAX];
    uint64_t ticket = 0;
    bool stalled;
    size_t len;
    if (!a)
        return 0;
    len = encode(a, object, entry);
    pthread_mutex_lock(&a->lock);
    tell_lost(a);
    if (may_wait(a, entry) && enqueue(a, object, len, entry->decision))
        ticket = a->issued | (entry->decision ? DECISION : 0);
    else
        a->lost++;
    a->hurry = a->hurry || entry->decision;
    pthread_cond_signal(&a->work);
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

/* Gives the owner a head that was signed since. */
static void give_head(struct audit *a)
{
    uint8_t bytes[SIGNED_HEAD_BYTES];
    bool news;
    pthread_mutex_lock(&a->lock);
    news = a->news;
    a->news = false;
    signed_head_encode(bytes, &a->signed_head);
    pthread_mutex_unlock(&a->lock);
    if (news && a->on_head)
        a->on_head(a->arg, view_of(bytes, sizeof bytes));
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
    give_head(a);
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
    tell_lost(a);
    stalled = is_stalled(a);
    good = !a->failing.failure && !stalled && a->lost == 0 && has_room(a, AUDIT_QUEUE_MAX / 2);
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
    a->hurry = true;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
    eventfd_write(a->io.fd, 1);
}

void audit_forget(struct audit_wait *w)
{
    if (w->link.next)
        list_remove(&w->link);
}

/* ---- Heads, in the loop. ---- */

void audit_want_head(struct audit *a)
{
    if (!a || !a->own[0])
        return;
    pthread_mutex_lock(&a->lock);
    a->head_wanted = true;
    a->head_ticket = a->issued;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void audit_end_heads(struct audit *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->no_heads = true;
    pthread_mutex_unlock(&a->lock);
}

bool audit_last_head(struct audit *a, uint8_t out[SIGNED_HEAD_BYTES])
{
    bool there;
    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    there = a->has_signed;
    signed_head_encode(out, &a->signed_head);
    pthread_mutex_unlock(&a->lock);
    return there;
}

static void keep_name(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s", name ? name : "");
}

static void fill_received(struct received *r, const struct audit_entry *of,
                          const uint8_t signer[KEY_BYTES])
{
    list_init(&r->link);
    key_fingerprint(r->signer, signer);
    keep_name(r->session, sizeof r->session, of->session);
    keep_name(r->circuit, sizeof r->circuit, of->circuit);
    keep_name(r->user, sizeof r->user, of->user);
    keep_name(r->key, sizeof r->key, of->key);
    keep_name(r->agent, sizeof r->agent, of->agent);
    keep_name(r->relay, sizeof r->relay, of->relay);
}

static bool queue_received(struct audit *a, struct received *r)
{
    bool room;
    pthread_mutex_lock(&a->lock);
    room = a->head_count < HEADS_MAX;
    if (room) {
        list_append(&a->heads, &r->link);
        a->head_count++;
        pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
    return room;
}

bool audit_take_head(struct audit *a, struct rate *rate, const struct audit_entry *of,
                     const uint8_t signer[KEY_BYTES], struct view head)
{
    struct received *r;
    uint64_t now;
    if (!a || !a->own[0])
        return false;
    now = clock_now_us();
    if (!rate_charge(rate, now, 1, AUDIT_HEAD_BURST * AUDIT_HEAD_S, AUDIT_HEAD_S) ||
        !rate_take(&a->heads_rate, now, HEADS_PER_S, HEADS_MAX) || !(r = malloc(sizeof *r)))
        return false;
    fill_received(r, of, signer);
    if (signed_head_decode(&r->head, head) && strcmp(audit_role_name(r->head.role), of->by) == 0 &&
        queue_received(a, r))
        return true;
    free(r);
    return false;
}
