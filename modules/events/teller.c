/* The queue of events, and the runner's beginning and end. */
#include "events/teller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log_rate.h"
#include "events/runner.h"
#include "net/loop.h"

#define OWN_PROGRAM "/proc/self/exe"

struct event {
    struct list link;
    const char *kind;
    bool has_party;
    uint8_t party[EVENT_PARTY_BYTES];
    size_t len;
    char line[];
};

/* Invariant: unreported <= PROGRAMS_AT_ONCE. */
struct teller {
    struct loop *loop;
    pid_t runner; /* 0: none runs */
    struct io io; /* its socket */
    struct list queue;
    size_t waiting;         /* on it */
    unsigned unreported;    /* given to the runner */
    unsigned long left_out; /* since the last event that was not */
    struct log_rate failures;
    struct log_seldom full;
};

/* ---- The runner. ---- */

/* 0, or an errno. Its standard error stays this process's. */
static int spawn(struct teller *t, char *program, int input)
{
    static char name[] = "spx", word[] = RUNNER_WORD;
    char *const words[] = {name, word, program, NULL}, *const environment[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int failed;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    failed = posix_spawn(&t->runner, OWN_PROGRAM, &files, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static bool start_runner(struct teller *t, char *program, struct error *e)
{
    int ends[2], failed;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return error_set(e, FAILURE_OTHER, "cannot open a socket: %s", system_text(errno));
    failed = io_add(t->loop, &t->io, ends[0]) ? spawn(t, program, ends[1]) : errno;
    close(ends[1]);
    if (!failed) {
        io_want_read(&t->io);
        return true;
    }
    t->runner = 0;
    io_remove(&t->io);
    close(ends[0]);
    return error_set(e, FAILURE_OTHER, "cannot start its process: %s", system_text(failed));
}

/* Its socket has ended, and so does it. */
static void reap(struct teller *t)
{
    waitpid(t->runner, NULL, 0);
    t->runner = 0;
}

static void log_runner_ended(const char *text)
{
    struct log_fields f = {.event = "event_runner_ended", .reason = text};
    log_event(LOG_ERROR, &f, "OnEvent: %s", text);
}

static void on_runner_ended(struct teller *t)
{
    io_remove(&t->io);
    close(t->io.fd);
    reap(t);
    log_runner_ended("the process that starts the one that runs its program has ended: the program "
                     "is run no more: restart needed");
}

/* ---- The queue. ---- */

static void drop(struct teller *t, struct event *event)
{
    list_remove(&event->link);
    t->waiting--;
    free(event);
}

static bool send_event(const struct teller *t, const struct event *event)
{
    char parcel[PARCEL_BYTES];
    size_t kind = strlen(event->kind) + 1;
    memcpy(parcel, event->kind, kind);
    memcpy(parcel + kind, event->line, event->len);
    return send(t->io.fd, parcel, kind + event->len, MSG_NOSIGNAL) >= 0;
}

/* The end of the runner is read; what it cannot take waits. */
static void give(struct teller *t)
{
    list_each (link, &t->queue) {
        struct event *event = container_of(link, struct event, link);
        if (!t->runner || t->unreported == PROGRAMS_AT_ONCE || !send_event(t, event))
            return;
        drop(t, event);
        t->unreported++;
    }
}

static void log_report(struct teller *t, struct view report)
{
    char text[REPORT_BYTES];
    struct log_fields f = {.event = "event_program_failed", .reason = text};
    size_t len = report.len < sizeof text - 1 ? report.len : sizeof text - 1;
    memcpy(text, report.data, len);
    text[len] = '\0';
    log_rated_event(&t->failures, loop_now(t->loop), LOG_WARNING, &f, "OnEvent: %s", text);
}

/* It was killed, and another one begins. */
static void take_end(struct teller *t)
{
    char text[128];
    snprintf(text, sizeof text,
             "the process that runs its program has ended, with %u event%s: it is started again",
             t->unreported, t->unreported == 1 ? "" : "s");
    t->left_out += t->unreported;
    t->unreported = 0;
    log_runner_ended(text);
}

static void take_report(struct teller *t, struct view report)
{
    if (report.len == REPORT_ENDED_BYTES && report.data[0] == '\0')
        take_end(t);
    else if (t->unreported > 0)
        t->unreported--;
    if (report.data[0] != '\0')
        log_report(t, report);
    give(t);
    if (t->waiting < EVENTS_WAITING / 2)
        log_seldom_end(&t->full, LOG_WARNING, "OnEvent");
}

static void on_read(struct io *io)
{
    struct teller *t = container_of(io, struct teller, io);
    char report[REPORT_BYTES];
    ssize_t n = recv(io->fd, report, sizeof report, 0);
    if (n > 0)
        take_report(t, view_of(report, (size_t)n));
    else if (n < 0 && (errno == EAGAIN || errno == EINTR))
        io_read_drained(io);
    else {
        on_runner_ended(t);
        return;
    }
    io_want_read(io);
}

/* ---- Events. ---- */

static bool has_room(const struct teller *t, const uint8_t *party)
{
    size_t of_party = 0, of_parties = 0;
    list_each (link, &t->queue) {
        const struct event *event = container_of(link, struct event, link);
        of_parties += event->has_party;
        of_party +=
            party && event->has_party && memcmp(event->party, party, EVENT_PARTY_BYTES) == 0;
    }
    return t->waiting < EVENTS_WAITING &&
           (!party || (of_parties < EVENTS_OF_PARTIES && of_party < EVENTS_OF_PARTY));
}

/* False: it did not fit, or there is no memory. */
static bool append(struct teller *t, const char *kind, const uint8_t *party, struct json_line *line)
{
    struct event *event;
    size_t len;
    if (t->left_out)
        json_put_number(line, "left_out", t->left_out);
    len = json_end(line);
    event = len > 0 ? malloc(sizeof *event + len) : NULL;
    if (!event)
        return false;
    event->kind = kind;
    event->has_party = party != NULL;
    if (party)
        memcpy(event->party, party, EVENT_PARTY_BYTES);
    event->len = len;
    memcpy(event->line, line->out, len);
    list_append(&t->queue, &event->link);
    t->waiting++;
    t->left_out = 0;
    return true;
}

void teller_tell(struct teller *t, const char *kind, const uint8_t *party, struct json_line *line)
{
    if (has_room(t, party) && append(t, kind, party, line)) {
        give(t);
        return;
    }
    t->left_out++;
    log_seldom(&t->full, loop_now(t->loop), LOG_WARNING,
               "OnEvent: too many events wait for the program: one is left out: %s", kind);
}

/* ---- Start and end. ---- */

struct teller *teller_new(struct loop *loop, char *program, struct error *e)
{
    struct teller *t = calloc(1, sizeof *t);
    if (!t) {
        error_no_memory(e);
        return NULL;
    }
    t->loop = loop;
    t->io.on_read = on_read;
    list_init(&t->queue);
    if (start_runner(t, program, e))
        return t;
    free(t);
    return NULL;
}

void teller_free(struct teller *t)
{
    if (!t)
        return;
    list_each (link, &t->queue) {
        struct event *event = container_of(link, struct event, link);
        if (t->runner)
            send_event(t, event);
        drop(t, event);
    }
    if (t->runner) {
        io_remove(&t->io);
        close(t->io.fd);
    }
    free(t);
}
