/* Runs of the program, each with what it gets, says and ends as. */
#include "events/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "events/parcel.h"
#include "net/loop.h"

#define SAID_BYTES 256 /* kept of its standard error */
#define DESCRIPTORS 1024
#define RESTART_MIN_US CLOCK_US_PER_S
#define RESTART_MAX_US (60 * CLOCK_US_PER_S)

struct runner;

struct program {
    struct runner *runner;
    pid_t pid; /* 0: none runs here */
    struct io said_io;
    struct timer limit;
    char said[SAID_BYTES];
    size_t said_len;
    bool overdue;
    char kind[EVENT_KIND_BYTES];
};

struct runner {
    struct loop *loop;
    char *path; /* of the program */
    struct io parcels;
    struct timer end;
    bool over; /* no parcel comes any more */
    struct program programs[PROGRAMS_AT_ONCE];
};

/* ---- Reports. ---- */

static void report(const struct runner *r, const char *text, size_t len)
{
    (void)!send(r->parcels.fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void report_good(const struct runner *r)
{
    report(r, "", REPORT_GOOD_BYTES);
}

/* how: "exit code 1". */
static void report_bad(const struct program *p, const char *how)
{
    char text[REPORT_BYTES], said[SAID_BYTES];
    size_t len = p->said_len;
    while (len > 0 && p->said[len - 1] == '\n')
        len--;
    text_clean(said, sizeof said, view_of(p->said, len));
    snprintf(text, sizeof text, "%.600s %s: %s%s%s", p->runner->path, p->kind, how,
             said[0] ? ": " : "", said);
    report(p->runner, text, strlen(text));
}

/* ---- What a program says. ---- */

static void on_said(struct io *io)
{
    struct program *p = container_of(io, struct program, said_io);
    char more[4096];
    ssize_t n = read(io->fd, more, sizeof more);
    size_t kept = SAID_BYTES - 1 - p->said_len;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        io_read_drained(io);
        io_want_read(io);
        return;
    }
    if (n <= 0)
        return;
    kept = (size_t)n < kept ? (size_t)n : kept;
    memcpy(p->said + p->said_len, more, kept);
    p->said_len += kept;
    io_want_read(io);
}

/* Its last words may not be read yet. */
static void close_said(struct program *p)
{
    size_t room = SAID_BYTES - 1 - p->said_len;
    ssize_t n = room > 0 ? read(p->said_io.fd, p->said + p->said_len, room) : 0;
    p->said_len += n > 0 ? (size_t)n : 0;
    io_remove(&p->said_io);
    close(p->said_io.fd);
}

/* ---- A program's life. ---- */

/* Its process group is its own. */
static void kill_all(const struct program *p)
{
    kill(-p->pid, SIGKILL);
}

static void on_limit(struct timer *timer)
{
    struct program *p = container_of(timer, struct program, limit);
    p->overdue = true;
    kill_all(p);
}

static void report_end(const struct program *p, int status)
{
    char how[64];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        report_good(p->runner);
        return;
    }
    if (p->overdue)
        snprintf(how, sizeof how, "killed after %d s", PROGRAM_S);
    else if (WIFEXITED(status))
        snprintf(how, sizeof how, "exit code %d", WEXITSTATUS(status));
    else
        snprintf(how, sizeof how, "ended by signal %d", WTERMSIG(status));
    report_bad(p, how);
}

static bool is_idle(const struct runner *r)
{
    for (int i = 0; i < PROGRAMS_AT_ONCE; i++)
        if (r->programs[i].pid)
            return false;
    return true;
}

static void take_more(struct runner *r)
{
    if (!r->over)
        io_want_read(&r->parcels);
    else if (is_idle(r))
        loop_stop(r->loop);
}

static void ended(struct program *p, int status)
{
    timer_cancel(p->runner->loop, &p->limit);
    close_said(p);
    report_end(p, status);
    p->pid = 0;
    take_more(p->runner);
}

static struct program *find(struct runner *r, pid_t pid)
{
    for (int i = 0; i < PROGRAMS_AT_ONCE; i++)
        if (r->programs[i].pid == pid)
            return &r->programs[i];
    return NULL;
}

/* All that a program has left running goes with it, while its number is still its own. */
static void on_child(void *runner, int signo)
{
    siginfo_t info = {0};
    (void)signo;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        struct program *p = find(runner, info.si_pid);
        int status = 0;
        if (p)
            kill_all(p);
        waitpid(info.si_pid, &status, 0);
        if (p)
            ended(p, status);
        info.si_pid = 0;
    }
}

/* ---- Its begin. ---- */

/* Nothing of this process but these three descriptors. 0, or an errno. */
static int spawn(struct program *p, int input, int said)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *const environment[] = {path, NULL}, *const words[] = {p->runner->path, p->kind, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int failed;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, said, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    failed = posix_spawn(&p->pid, p->runner->path, &files, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

/* The event waits whole in a pipe: the program may read it when it likes, or not at all. */
static int fill_pipe(struct view event)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    (void)!file_write_all(ends[1], (const char *)event.data, event.len);
    close(ends[1]);
    return ends[0];
}

/* 0, or an errno. */
static int start_with(struct program *p, int input, const int said[2])
{
    int failed;
    fcntl(said[0], F_SETFL, O_NONBLOCK);
    if (!io_add(p->runner->loop, &p->said_io, said[0]))
        return errno;
    failed = spawn(p, input, said[1]);
    if (failed)
        io_remove(&p->said_io);
    else
        io_want_read(&p->said_io);
    return failed;
}

static int start(struct program *p, struct view event)
{
    int said[2] = {-1, -1}, input = fill_pipe(event);
    int failed = input < 0 || pipe2(said, O_CLOEXEC) != 0 ? errno : start_with(p, input, said);
    if (input >= 0)
        close(input);
    if (said[1] >= 0)
        close(said[1]);
    if (failed && said[0] >= 0)
        close(said[0]);
    return failed;
}

static void begin(struct program *p, struct view event)
{
    char how[128];
    int failed;
    p->said_len = 0;
    p->overdue = false;
    failed = start(p, event);
    if (!failed) {
        timer_set(p->runner->loop, &p->limit,
                  loop_refresh_now(p->runner->loop) + PROGRAM_S * CLOCK_US_PER_S);
        return;
    }
    p->pid = 0;
    snprintf(how, sizeof how, "cannot run it: %s", system_text(failed));
    report_bad(p, how);
}

/* ---- Parcels. ---- */

/* A text with its terminator; false: it is none, or too long. */
static bool take_text(char *out, size_t size, struct view *rest)
{
    size_t len = strnlen((const char *)rest->data, rest->len);
    if (len == rest->len || len >= size)
        return false;
    memcpy(out, rest->data, len + 1);
    *rest = view_of(rest->data + len + 1, rest->len - len - 1);
    return true;
}

static void open_parcel(struct program *p, struct view parcel)
{
    if (take_text(p->kind, sizeof p->kind, &parcel))
        begin(p, parcel);
    else
        report_good(p->runner);
}

/* The role may have ended with reports unread, which is told before what it sent. */
static bool is_passing(int error)
{
    return error == EINTR || error == ECONNRESET;
}

static void on_parcel(struct io *io)
{
    static char parcel[PARCEL_BYTES];
    struct runner *r = container_of(io, struct runner, parcels);
    struct program *p = find(r, 0);
    ssize_t n;
    if (!p)
        return; /* asked for again when one has ended */
    n = recv(io->fd, parcel, sizeof parcel, 0);
    if (n > 0)
        open_parcel(p, view_of(parcel, (size_t)n));
    else if (n < 0 && errno == EAGAIN)
        io_read_drained(io);
    else if (n == 0 || !is_passing(errno))
        r->over = true;
    take_more(r);
}

/* Parcels may be unread: how long they may take is counted from now on. */
static void on_hang_up(struct io *io)
{
    struct runner *r = container_of(io, struct runner, parcels);
    if (io->hung_up) {
        timer_set(r->loop, &r->end, loop_now(r->loop) + RUNNER_END_S * CLOCK_US_PER_S);
        return;
    }
    io_write_blocked(io);
    io_want_write(io);
}

/* ---- The process. ---- */

static void on_end(struct timer *timer)
{
    loop_stop(container_of(timer, struct runner, end)->loop);
}

/* As programs expect it that know nothing of more. */
static void limit_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= DESCRIPTORS)
        return;
    limit.rlim_cur = DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* It ends when its role does, not when a terminal or a service manager tells all of them to. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
}

static bool prepare(struct runner *r)
{
    limit_descriptors();
    umask(077);
    r->loop = loop_new();
    return chdir("/") == 0 && r->loop && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0 &&
           loop_on_signal(r->loop, SIGCHLD, on_child, r) &&
           io_add(r->loop, &r->parcels, STDIN_FILENO);
}

static void finish(struct runner *r)
{
    for (int i = 0; i < PROGRAMS_AT_ONCE; i++)
        if (r->programs[i].pid)
            kill_all(&r->programs[i]);
}

static enum failure run(char *path)
{
    static struct runner r;
    r.path = path;
    r.parcels.on_read = on_parcel;
    r.parcels.on_write = on_hang_up;
    r.end.on_fire = on_end;
    for (int i = 0; i < PROGRAMS_AT_ONCE; i++)
        r.programs[i] = (struct program){
            .runner = &r, .said_io = {.on_read = on_said}, .limit = {.on_fire = on_limit}};
    if (!prepare(&r))
        return FAILURE_OTHER;
    io_want_read(&r.parcels);
    io_want_write(&r.parcels);
    loop_run(r.loop);
    finish(&r);
    return FAILURE_NONE;
}

/* ---- Another one. ---- */

/* 0 in the new one, which ends with its parent. */
static pid_t begin_runner(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, (long)SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

/* True if it was killed; otherwise its role has ended, or it cannot begin. */
static bool was_killed(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status);
}

/* How long it ran counts, so that one that is killed at once and always costs little. False: the
 * role has ended meanwhile. */
static bool pause_before_next(uint64_t ran_us, uint64_t *pause_us)
{
    static const char text[REPORT_ENDED_BYTES];
    struct pollfd role = {.fd = STDIN_FILENO};
    *pause_us = ran_us > RESTART_MAX_US          ? RESTART_MIN_US
                : *pause_us * 2 > RESTART_MAX_US ? RESTART_MAX_US
                                                 : *pause_us * 2;
    (void)!send(STDIN_FILENO, text, sizeof text, MSG_NOSIGNAL);
    return poll(&role, 1, (int)(*pause_us / CLOCK_US_PER_MS)) == 0;
}

enum failure runner_main(char *program)
{
    uint64_t pause_us = RESTART_MIN_US / 2, begun_us;
    pid_t pid;
    ignore_signals();
    do {
        begun_us = clock_now_us();
        pid = begin_runner();
        if (pid == 0)
            return run(program);
    } while (pid > 0 && was_killed(pid) && pause_before_next(clock_now_us() - begun_us, &pause_us));
    return FAILURE_NONE;
}
