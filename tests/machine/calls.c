/* The system calls of simulated processes: the linker puts each in the place of libc's (Makefile,
 * CALLS). Descriptors below FD_FIRST are real files, and go to the real call. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "calls.h"
#include "guard/guard.h"
#include "names.h"
#include "site.h"

/* The call of the system that one of ours replaces. */
#define CALL(result, name, ...)        \
    result __real_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__)

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */

static bool is_real(int fd)
{
    return fd < FD_FIRST || !process_current();
}

/* NULL: it is none. */
static struct udp *datagrams_of(int fd)
{
    struct file *f = process_file(fd);
    return f ? udp_of(f) : NULL;
}

static struct tcp *socket_of(int fd)
{
    struct file *f = process_file(fd);
    return f ? tcp_of(f) : NULL;
}

/* ---- Time and chance. ---- */

CALL(int, clock_gettime, clockid_t clock, struct timespec *t)
{
    if (!process_current())
        return __real_clock_gettime(clock, t);
    t->tv_sec = (time_t)(timeline.now_us / CLOCK_US_PER_S);
    t->tv_nsec = (long)(timeline.now_us % CLOCK_US_PER_S) * 1000;
    return 0;
}

CALL(ssize_t, getrandom, void *out, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t r = chance(&timeline, UINT64_MAX);
        memcpy((uint8_t *)out + i, &r, len - i < sizeof r ? len - i : sizeof r);
    }
    return (ssize_t)len;
}

/* ---- Sockets. ---- */

CALL(int, socket, int domain, int type, int protocol)
{
    if (!process_current())
        return __real_socket(domain, type, protocol);
    if ((domain == AF_INET || domain == AF_UNIX) && (type & SOCK_STREAM))
        return process_take_file(&tcp_new(process_current()->host)->file);
    if (domain == AF_INET && (type & SOCK_DGRAM))
        return process_take_file(udp_file(udp_new(process_current()->host)));
    errno = EAFNOSUPPORT;
    return -1;
}

static struct place place_of(const struct sockaddr *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    if (address->sa_family == AF_UNIX)
        return (struct place){LOOPBACK_ADDRESS, CONTROL_PORT};
    return (struct place){ntohl(in->sin_addr.s_addr), ntohs(in->sin_port)};
}

static void tell_place(const struct place *p, struct sockaddr *address, socklen_t *len)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(p->port), .sin_addr.s_addr = htonl(p->address)};
    memcpy(address, &in, *len < sizeof in ? *len : sizeof in);
    *len = sizeof in;
}

CALL(int, bind, int fd, const struct sockaddr *address, socklen_t len)
{
    struct tcp *t = socket_of(fd);
    (void)len;
    return t ? tcp_bind(t, place_of(address)) : -1;
}

CALL(int, listen, int fd, int backlog)
{
    struct tcp *t = socket_of(fd);
    return t ? tcp_listen(t, (unsigned)backlog) : -1;
}

CALL(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    struct tcp *listener = socket_of(fd), *t = listener ? tcp_accept(listener) : NULL;
    (void)flags;
    if (!t)
        return -1;
    tell_place(&t->remote, address, len);
    return process_take_file(&t->file);
}

CALL(int, connect, int fd, const struct sockaddr *address, socklen_t len)
{
    struct udp *u = datagrams_of(fd);
    struct tcp *t = u ? NULL : socket_of(fd);
    (void)len;
    if (u)
        return udp_connect(u, place_of(address));
    return t ? tcp_connect(t, place_of(address)) : -1;
}

CALL(int, getsockname, int fd, struct sockaddr *address, socklen_t *len)
{
    struct tcp *t = socket_of(fd);
    if (!t)
        return -1;
    tell_place(&t->local, address, len);
    return 0;
}

CALL(int, getpeername, int fd, struct sockaddr *address, socklen_t *len)
{
    struct tcp *t = socket_of(fd);
    if (!t)
        return -1;
    tell_place(&t->remote, address, len);
    return 0;
}

CALL(int, getsockopt, int fd, int level, int name, void *value, socklen_t *len)
{
    struct tcp *t = socket_of(fd);
    if (!t)
        return -1;
    memset(value, 0, *len);
    if (level == SOL_SOCKET && name == SO_ERROR)
        *(int *)value = tcp_take_error(t);
    if (level == IPPROTO_TCP && name == TCP_INFO)
        ((struct tcp_info *)value)->tcpi_rtt = (uint32_t)tcp_round_trip_us(t);
    return 0;
}

CALL(int, setsockopt, int fd, int level, int name, const void *value, socklen_t len)
{
    struct tcp *t = socket_of(fd);
    (void)len;
    if (!t)
        return -1;
    if (level == SOL_SOCKET && name == SO_LINGER)
        t->reset_on_close = ((const struct linger *)value)->l_onoff;
    if (level == SOL_SOCKET && name == SO_KEEPALIVE)
        t->keepalive = *(const int *)value;
    if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT)
        t->user_timeout_us = (uint64_t) * (const int *)value * CLOCK_US_PER_MS;
    return 0;
}

CALL(int, shutdown, int fd, int how)
{
    struct tcp *t = socket_of(fd);
    return t ? tcp_shutdown(t, how) : -1;
}

CALL(ssize_t, recv, int fd, void *out, size_t len, int flags)
{
    struct tcp *t = socket_of(fd);
    (void)flags;
    return t ? tcp_receive(t, out, len) : -1;
}

CALL(ssize_t, send, int fd, const void *data, size_t len, int flags)
{
    struct udp *u = is_real(fd) ? NULL : datagrams_of(fd);
    struct tcp *t = is_real(fd) || u ? NULL : socket_of(fd);
    (void)flags;
    if (u)
        return udp_send(u, data, len);
    return t ? tcp_send(t, data, len) : -1;
}

CALL(ssize_t, recvfrom, int fd, void *out, size_t len, int flags, struct sockaddr *address,
     socklen_t *address_len)
{
    struct udp *u = datagrams_of(fd);
    struct place from;
    ssize_t n = u ? udp_receive(u, out, len, &from) : -1;
    (void)flags;
    if (n >= 0)
        tell_place(&from, address, address_len);
    return n;
}

/* ---- Files. ---- */

CALL(FILE *, fopen, const char *path, const char *mode)
{
    FILE *f = process_current() ? names_open_file(path) : NULL;
    return f ? f : __real_fopen(path, mode);
}

CALL(int, stat, const char *path, struct stat *out)
{
    return process_current() && names_stat_file(path, out) ? 0 : __real_stat(path, out);
}

CALL(ssize_t, read, int fd, void *out, size_t len)
{
    struct file *f;
    if (is_real(fd))
        return __real_read(fd, out, len);
    f = process_file(fd);
    return f ? read_from(f, out, len) : -1;
}

CALL(ssize_t, readv, int fd, const struct iovec *pieces, int count)
{
    struct tcp *t = socket_of(fd);
    ssize_t all = 0, n;
    for (int i = 0; t && i < count; i++) {
        if (i > 0 && !tcp_readable(t))
            break; /* an end or an error is the next call's */
        n = tcp_receive(t, pieces[i].iov_base, pieces[i].iov_len);
        if (n < 0)
            return n;
        all += n;
    }
    return t ? all : -1;
}

CALL(ssize_t, write, int fd, const void *data, size_t len)
{
    struct file *f;
    if (process_current() && fd == STDERR_FILENO)
        return log_take(process_current(), data, len);
    if (is_real(fd))
        return __real_write(fd, data, len);
    f = process_file(fd);
    return f ? write_to(f, data, len) : -1;
}

CALL(int, poll, struct pollfd *fds, nfds_t count, int timeout)
{
    if (!process_current() || count != 1 || fds->fd != STDERR_FILENO)
        return __real_poll(fds, count, timeout);
    fds->revents = POLLOUT;
    return 1;
}

CALL(int, close, int fd)
{
    struct file *f;
    if (is_real(fd))
        return __real_close(fd);
    f = process_drop_file(fd);
    if (!f)
        return -1;
    file_close(f);
    return 0;
}

CALL(int, fcntl, int fd, int operation, ...)
{
    (void)operation;
    return process_file(fd) ? 0 : -1; /* all are non-blocking, and a pipe has its size */
}

CALL(int, ioctl, int fd, unsigned long request, ...)
{
    (void)fd;
    (void)request;
    errno = ENOTTY;
    return -1;
}

CALL(int, pipe2, int fds[2], int flags)
{
    struct file *ends[2];
    (void)flags;
    channel_new(ends);
    fds[0] = process_take_file(ends[0]);
    fds[1] = process_take_file(ends[1]);
    return fds[1] < 0 ? -1 : 0;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t d = a < b ? a : b;
    return d < c ? d : c;
}

/* One of the two is a pipe: what goes in fits, and what comes out is taken back when the socket
 * takes less. */
CALL(ssize_t, splice, int from, loff_t *from_at, int to, loff_t *to_at, size_t len, unsigned flags)
{
    uint8_t bytes[16384];
    struct file *in = process_file(from), *out = process_file(to);
    (void)from_at;
    (void)to_at;
    (void)flags;
    if (!in || !out)
        return -1;
    if (is_channel(out)) {
        ssize_t n = read_from(in, bytes, least(len, channel_room(out), sizeof bytes));
        return n > 0 ? write_to(out, bytes, (size_t)n) : n;
    }
    const uint8_t *front = channel_front(in);
    ssize_t n = write_to(out, front, least(len, channel_bytes(in), SIZE_MAX));
    if (n > 0)
        channel_drop(in, (size_t)n);
    return n;
}

/* ---- Waiting. ---- */

CALL(int, epoll_create1, int flags)
{
    (void)flags;
    return process_take_file(epoll_new());
}

CALL(int, epoll_ctl, int epoll, int operation, int fd, struct epoll_event *event)
{
    struct file *e = process_file(epoll), *f = process_file(fd);
    return e && f ? epoll_control(e, operation, f, event) : -1;
}

CALL(int, epoll_wait, int epoll, struct epoll_event *events, int max, int timeout)
{
    struct file *e = process_file(epoll);
    return e ? epoll_await(e, events, max, timeout) : -1;
}

CALL(int, eventfd, unsigned count, int flags)
{
    (void)flags;
    return process_take_file(eventfd_new(count));
}

CALL(int, eventfd_write, int fd, eventfd_t count)
{
    return __wrap_write(fd, &count, sizeof count) < 0 ? -1 : 0;
}

CALL(int, eventfd_read, int fd, eventfd_t *count)
{
    return __wrap_read(fd, count, sizeof *count) < 0 ? -1 : 0;
}

CALL(int, timerfd_create, int clock, int flags)
{
    (void)clock;
    (void)flags;
    return process_take_file(timerfd_new());
}

CALL(int, timerfd_settime, int fd, int flags, const struct itimerspec *when,
     struct itimerspec *before)
{
    struct file *f = process_file(fd);
    (void)flags;
    (void)before;
    if (!f)
        return -1;
    timerfd_set(f, (uint64_t)when->it_value.tv_sec * CLOCK_US_PER_S +
                       (uint64_t)(when->it_value.tv_nsec + 999) / 1000);
    return 0;
}

CALL(int, signalfd, int fd, const sigset_t *set, int flags)
{
    struct file *f = fd < 0 ? NULL : process_file(fd);
    (void)flags;
    if (fd < 0)
        return process_take_file(signalfd_new(process_current(), set));
    if (f)
        signalfd_set(f, set);
    return f ? fd : -1;
}

CALL(int, pthread_sigmask, int how, const sigset_t *set, sigset_t *before)
{
    (void)how;
    (void)set;
    (void)before;
    return 0;
}

/* ---- Threads. ---- */

CALL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
     void *arg)
{
    struct thread *t = thread_start(run, arg);
    (void)attributes;
    memcpy(thread, &t, sizeof t);
    return 0;
}

CALL(int, pthread_join, pthread_t thread, void **result)
{
    struct thread *t;
    (void)result;
    memcpy(&t, &thread, sizeof t);
    thread_join(t);
    return 0;
}

CALL(int, pthread_setname_np, pthread_t thread, const char *name)
{
    (void)thread;
    (void)name;
    return 0;
}

CALL(int, pthread_setschedparam, pthread_t thread, int policy, const struct sched_param *param)
{
    (void)thread;
    (void)policy;
    (void)param;
    return 0;
}

/* ---- Limits. ---- */

/* One real process is all the machines. */
CALL(void, guard_enter, const struct guard_settings *g)
{
    (void)g;
}

CALL(int, getrlimit, int resource, struct rlimit *limit)
{
    (void)resource;
    *limit = (struct rlimit){FD_FIRST + FILES_MAX, FD_FIRST + FILES_MAX};
    return 0;
}

CALL(int, setrlimit, int resource, const struct rlimit *limit)
{
    (void)resource;
    (void)limit;
    return 0;
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
