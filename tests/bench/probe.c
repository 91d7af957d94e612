/* The programs at the two ends of a tunnel: an echo server, and clients that measure. Times are in
 * microseconds on standard output.
 *
 *   probe echo PORT                        echoes on 127.0.0.1 until it is ended
 *   probe pingpong PORT COUNT              "MEDIAN P99": 64 bytes there and back, one after another
 *   probe connects PORT SECONDS INFLIGHT   "COUNT FAILURES SECONDS MEDIAN": connect, a byte there
 * and back, close probe first PORT PROGRAM ARGUMENT...   "TIME": from starting the program, which
 * is to listen on the port, to the first byte back; then ends it */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PING_BYTES 64
#define ANSWER_S 20
#define END_S 3
#define TIMES_MAX 1000000
#define INFLIGHT_MAX 256
#define RETRY_NS 100000

static void __attribute__((noreturn)) give_up(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return a;
}

static int stream_socket(int flags)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    struct timeval limit = {.tv_sec = ANSWER_S};
    if (fd < 0)
        give_up("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static bool connect_to(int fd, const struct sockaddr_in *a)
{
    return connect(fd, (const struct sockaddr *)(const void *)a, sizeof *a) == 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted times, the one that a part of them does not exceed. */
static double quantile(const double *times, size_t count, double part)
{
    return count ? times[(size_t)((double)(count - 1) * part)] : 0;
}

/* ---- The echo server. ---- */

static void watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        give_up("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, fd);
    }
}

/* The bytes echoed are few, so that they always fit what the socket takes. */
static void echo_once(int fd)
{
    char bytes[4096];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n <= 0 || send(fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
        close(fd);
}

static int run_echo(char **argv)
{
    struct sockaddr_in a = loopback(argv[0]);
    int one = 1, listener = stream_socket(SOCK_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 4096) < 0)
        give_up("listen");
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                echo_once(events[i].data.fd);
    }
}

/* ---- Ping-pong. ---- */

static bool there_and_back(int fd, size_t len)
{
    char bytes[PING_BYTES] = {0};
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len &&
           recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

static int run_pingpong(char **argv)
{
    struct sockaddr_in a = loopback(argv[0]);
    size_t count = strtoul(argv[1], NULL, 10);
    double *times = calloc(count + 1, sizeof *times);
    int fd = stream_socket(0);
    if (!times || !connect_to(fd, &a) || !there_and_back(fd, PING_BYTES))
        give_up("connect");
    for (size_t i = 0; i < count; i++) {
        double began = now_us();
        if (!there_and_back(fd, PING_BYTES))
            give_up("ping-pong");
        times[i] = now_us() - began;
    }
    qsort(times, count, sizeof *times, by_value);
    printf("%.2f %.2f\n", quantile(times, count, 0.5), quantile(times, count, 0.99));
    free(times);
    return 0;
}

/* ---- Connections a second. ---- */

struct run {
    struct sockaddr_in address;
    int epoll;
    double *times;
    size_t count, failures;
};

struct slot {
    int fd;
    bool sent;
    double began_us;
};

static void slot_start(struct run *r, struct slot *s)
{
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = s};
    s->fd = stream_socket(SOCK_NONBLOCK);
    s->sent = false;
    s->began_us = now_us();
    if (!connect_to(s->fd, &r->address) && errno != EINPROGRESS)
        give_up("connect"); /* the own end is short of something: nothing to measure */
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0)
        give_up("epoll_ctl");
}

static void slot_end(struct run *r, struct slot *s, bool good)
{
    close(s->fd);
    s->fd = -1;
    if (!good)
        r->failures++;
    else if (r->count < TIMES_MAX)
        r->times[r->count++] = now_us() - s->began_us;
}

static void slot_ready(struct run *r, struct slot *s)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    char byte = 0;
    if (!s->sent) {
        s->sent = send(s->fd, &byte, 1, MSG_NOSIGNAL) == 1;
        if (!s->sent || epoll_ctl(r->epoll, EPOLL_CTL_MOD, s->fd, &e) < 0)
            slot_end(r, s, false);
        return;
    }
    slot_end(r, s, recv(s->fd, &byte, 1, 0) == 1);
}

/* Until the time is over; what is under way then is left out. */
static void connects_beside(struct run *r, size_t inflight, double end_us)
{
    static struct slot slots[INFLIGHT_MAX];
    struct epoll_event events[INFLIGHT_MAX];
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < inflight; i++)
        slot_start(r, &slots[i]);
    while (now_us() < end_us) {
        int n = epoll_wait(r->epoll, events, INFLIGHT_MAX, ANSWER_S * 1000);
        if (n == 0)
            r->failures += inflight;
        if (n <= 0)
            return;
        for (int i = 0; i < n; i++) {
            struct slot *s = events[i].data.ptr;
            slot_ready(r, s);
            if (s->fd < 0)
                slot_start(r, s);
        }
    }
}

static void connects_in_turn(struct run *r, double end_us)
{
    double began;
    while ((began = now_us()) < end_us && r->count < TIMES_MAX) {
        int fd = stream_socket(0);
        if (!connect_to(fd, &r->address))
            give_up("connect");
        if (there_and_back(fd, 1))
            r->times[r->count++] = now_us() - began;
        else
            r->failures++;
        close(fd);
    }
}

static int run_connects(char **argv)
{
    struct run r = {.address = loopback(argv[0])};
    size_t inflight = strtoul(argv[2], NULL, 10);
    double began = now_us(), end_us = began + strtod(argv[1], NULL) * 1e6;
    if (inflight < 1 || inflight > INFLIGHT_MAX)
        return 2;
    r.times = calloc(TIMES_MAX, sizeof *r.times);
    if (!r.times)
        give_up("calloc");
    if (inflight == 1)
        connects_in_turn(&r, end_us);
    else
        connects_beside(&r, inflight, end_us);
    double seconds = (now_us() - began) / 1e6;
    qsort(r.times, r.count, sizeof *r.times, by_value);
    printf("%zu %zu %.4f %.1f\n", r.count, r.failures, seconds, quantile(r.times, r.count, 0.5));
    free(r.times);
    return 0;
}

/* ---- The first byte. ---- */

static pid_t start(char **argv)
{
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(argv[0], argv);
    give_up(argv[0]);
}

/* A connection to the port as soon as somebody listens there. -1: the program ended before. */
static int connect_when_listening(const struct sockaddr_in *a, pid_t pid)
{
    const struct timespec pause = {.tv_nsec = RETRY_NS};
    for (double end_us = now_us() + ANSWER_S * 1e6; now_us() < end_us; nanosleep(&pause, NULL)) {
        int fd = stream_socket(0);
        if (connect_to(fd, a))
            return fd;
        close(fd);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            break;
    }
    return -1;
}

/* With SIGTERM; with SIGKILL when it has not ended after a while. */
static void stop(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = RETRY_NS};
    kill(pid, SIGTERM);
    for (double limit = now_us() + END_S * 1e6; waitpid(pid, NULL, WNOHANG) == 0;) {
        if (now_us() > limit)
            kill(pid, SIGKILL);
        nanosleep(&pause, NULL);
    }
}

static int run_first(char **argv)
{
    struct sockaddr_in a = loopback(argv[0]);
    double began = now_us();
    pid_t pid = start(argv + 1);
    int fd = connect_when_listening(&a, pid);
    bool good = fd >= 0 && there_and_back(fd, 1);
    double took = now_us() - began;
    close(fd);
    stop(pid);
    if (!good)
        return 1;
    printf("%.1f\n", took);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arguments; /* at least */
        int (*run)(char **argv);
    } commands[] = {
        {"echo", 1, run_echo},
        {"pingpong", 2, run_pingpong},
        {"connects", 3, run_connects},
        {"first", 2, run_first},
    };
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].arguments)
            return commands[i].run(argv + 2);
    fprintf(stderr, "usage: probe echo|pingpong|connects|first PORT ...\n");
    return 2;
}
