/* The calls and options of sockets, in one place. Keeps no state. */
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/files.h"

#define LOCK_SUFFIX ".lock"
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MS 20000
#define NOTSENT_LOWAT_BYTES (128 * 1024)
#define NEAR_US 1000
#define DATAGRAM_BUFFER_BYTES (256 * 1024)
#define BIND_ONLY (-1) /* in place of a backlog */

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* Closes without changing errno: -1, for a caller to return. */
static int close_failed(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int socket_new(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static const struct sockaddr *address_raw(const struct address *a)
{
    return (const struct sockaddr *)&a->storage;
}

static bool is_ipv6_wildcard(const struct address *a)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->storage;
    return a->storage.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* NULL: not a UNIX socket, or one without a file. */
static const char *file_of(const struct address *a)
{
    const char *path = ((const struct sockaddr_un *)&a->storage)->sun_path;
    return a->storage.ss_family == AF_UNIX && path[0] != '\0' ? path : NULL;
}

void socket_remove_file(const struct address *a)
{
    if (file_of(a))
        unlink(file_of(a));
}

/* Removes the file of a UNIX socket that nobody listens on any more (a process that was killed
 * leaves it). */
static bool remove_stale(const struct address *a)
{
    const char *path = file_of(a);
    struct stat status;
    if (!path)
        return false;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;

    int fd = socket_new(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return false;
    bool stale = connect(fd, address_raw(a), a->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale && unlink(path) == 0;
}

/* The file of a UNIX socket is its owner's alone: who may open it may connect. */
static bool bind_once(int fd, const struct address *a)
{
    mode_t mask = umask(0177);
    bool bound = bind(fd, address_raw(a), a->len) == 0;
    umask(mask);
    return bound;
}

static bool bind_address(int fd, const struct address *a, bool may_replace)
{
    if (bind_once(fd, a))
        return true;
    if (errno != EADDRINUSE)
        return false;
    if (may_replace && remove_stale(a))
        return bind_once(fd, a);
    errno = EADDRINUSE;
    return false;
}

static bool bind_and_listen(int fd, const struct address *a, int type, int backlog,
                            bool may_replace)
{
    return bind_address(fd, a, may_replace) &&
           (type != SOCK_STREAM || backlog == BIND_ONLY || listen(fd, backlog) == 0);
}

/* Of several processes that find the file of one that was killed, one replaces it: without the
 * lock another could take for stale what the first is about to listen on. */
static bool bind_file(int fd, const struct address *a, int type, int backlog)
{
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path + sizeof LOCK_SUFFIX];
    int lock, failed;
    bool bound;
    snprintf(path, sizeof path, "%s" LOCK_SUFFIX, file_of(a));
    lock = file_lock(path);
    if (lock < 0 && errno == EWOULDBLOCK) {
        errno = EADDRINUSE;
        return false;
    }
    bound = bind_and_listen(fd, a, type, backlog, lock >= 0);
    failed = errno;
    if (lock >= 0)
        file_unlock(lock, path);
    errno = failed;
    return bound;
}

/* -1 with errno. */
static int listen_on(const struct address *a, int type, int backlog)
{
    int fd = socket_new(a->storage.ss_family, type);
    if (fd < 0)
        return -1;
    if (a->storage.ss_family != AF_UNIX && type == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a->storage.ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_ipv6_wildcard(a));
    if (file_of(a) ? bind_file(fd, a, type, backlog) : bind_and_listen(fd, a, type, backlog, false))
        return fd;
    return close_failed(fd);
}

const char *socket_error_text(int error, const struct address *a)
{
    if (error == EINVAL && address_lacks_interface(a))
        return "a link-local address needs its interface, as in fe80::1%eth0";
    return system_text(error);
}

static const char *listen_advice(int error, bool is_file)
{
    switch (error) {
    case EADDRINUSE:
        return is_file ? " (another program listens there: stop it or choose another path)"
                       : " (another program listens there: stop it or choose another port)";
    case EACCES:
        return is_file ? " (this user cannot write in its directory)"
                       : " (a port below 1024 takes CAP_NET_BIND_SERVICE: choose another one)";
    case ENOENT:
        return is_file ? " (its directory must exist)" : "";
    case EADDRNOTAVAIL:
        return " (this machine does not have the address)";
    default:
        return "";
    }
}

#define CANNOT_LISTEN "cannot listen on "

const char *socket_listen_reason(const char *text)
{
    const char *reason =
        strncmp(text, CANNOT_LISTEN, sizeof CANNOT_LISTEN - 1) == 0 ? strstr(text, ": ") : NULL;
    return reason ? reason + 2 : text;
}

static bool say_why_not(struct error *e, const struct address *a, int error)
{
    char text[ADDRESS_TEXT_BYTES];
    address_to_text(text, a);
    return error_set(e, FAILURE_NETWORK, CANNOT_LISTEN "%s: %s%s", text,
                     socket_error_text(error, a),
                     listen_advice(error, a->storage.ss_family == AF_UNIX));
}

static int listen_or_say(const struct address *a, int type, int backlog, struct error *e)
{
    int fd = listen_on(a, type, backlog);
    if (fd < 0 && errno == EAFNOSUPPORT && is_ipv6_wildcard(a)) {
        /* A kernel without IPv6: the IPv4 half of what was asked for. */
        struct address any = {.len = sizeof(struct sockaddr_in)};
        any.storage.ss_family = AF_INET;
        address_set_port(&any, address_port(a));
        fd = listen_on(&any, type, backlog);
    }
    if (fd < 0)
        say_why_not(e, a, errno);
    return fd;
}

int socket_listen(const struct address *a, int backlog, struct error *e)
{
    return listen_or_say(a, SOCK_STREAM, backlog, e);
}

int socket_bind(const struct address *a, struct error *e)
{
    return listen_or_say(a, SOCK_STREAM, BIND_ONLY, e);
}

bool socket_begin_listening(int fd, const struct address *a, int backlog, struct error *e)
{
    return listen(fd, backlog) == 0 || say_why_not(e, a, errno);
}

static void set_datagram(int fd)
{
    set_option(fd, SOL_SOCKET, SO_SNDBUF, DATAGRAM_BUFFER_BYTES);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, DATAGRAM_BUFFER_BYTES);
}

int socket_bind_datagram(const struct address *a, struct error *e)
{
    int fd = listen_or_say(a, SOCK_DGRAM, 0, e);
    if (fd >= 0)
        set_datagram(fd);
    return fd;
}

/* Errors of a connection that was lost while it waited, not of the listener (accept(2)). */
static bool is_of_the_connection(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

int socket_accept(int listener, struct address *peer)
{
    int fd;
    do {
        memset(peer, 0, sizeof *peer);
        peer->len = sizeof peer->storage;
        fd = accept4(listener, (struct sockaddr *)&peer->storage, &peer->len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && is_of_the_connection(errno));
    return fd;
}

int socket_connect(const struct address *a, bool *in_progress)
{
    int fd = socket_new(a->storage.ss_family, SOCK_STREAM);
    *in_progress = false;
    if (fd < 0)
        return -1;
    if (connect(fd, address_raw(a), a->len) == 0)
        return fd;
    if (errno != EINPROGRESS && errno != EINTR)
        return close_failed(fd);
    *in_progress = true;
    return fd;
}

int socket_connect_datagram(const struct address *a)
{
    int fd = socket_new(a->storage.ss_family, SOCK_DGRAM);
    if (fd < 0)
        return -1;
    set_datagram(fd);
    return connect(fd, address_raw(a), a->len) == 0 ? fd : close_failed(fd);
}

bool socket_leave_peer(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    return connect(fd, &none, sizeof none) == 0;
}

/* A connect to a free port of this machine can pick that port as its own and meet itself (RFC 793's
 * simultaneous open). */
static bool is_connected_to_itself(int fd, const struct address *a)
{
    struct address own;
    return !address_is_unix(a) && address_of_socket(&own, fd, false) && own.len == a->len &&
           memcmp(&own.storage, &a->storage, own.len) == 0;
}

int socket_connect_result(int fd, const struct address *a)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    if (error == 0 && is_connected_to_itself(fd, a))
        return ECONNREFUSED;
    return error;
}

static void set_keepalive(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

static bool is_near(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt > 0 &&
           info.tcpi_rtt < NEAR_US;
}

/* Pacing (BBR's, where that is the system's default) spreads bytes over a round trip; on the same
 * machine or network there is nothing to spread them over, and its timers cost a tenth of the
 * processor time. */
static void take_no_pacing(int fd)
{
    static const char *const without_pacing[] = {"cubic", "reno"};

    for (size_t i = 0; i < sizeof without_pacing / sizeof *without_pacing; i++)
        if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, without_pacing[i],
                       (socklen_t)strlen(without_pacing[i])) == 0)
            return;
}

void socket_avoid_pacing(int fd)
{
    if (is_near(fd))
        take_no_pacing(fd);
}

void socket_set_carrier(int fd)
{
    socket_avoid_pacing(fd);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_keepalive(fd);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES);
}

static void set_reset_on_close(int fd, bool reset)
{
    struct linger linger = {.l_onoff = reset};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void socket_reset_on_close(int fd)
{
    set_reset_on_close(fd, true);
}

void socket_set_application(int fd, const struct address *a)
{
    socket_reset_on_close(fd);
    if (address_is_unix(a))
        return;
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES);
    if (address_is_loopback(a)) {
        take_no_pacing(fd);
    } else {
        socket_avoid_pacing(fd);
        set_keepalive(fd);
    }
}

void socket_close_reset(int fd)
{
    socket_reset_on_close(fd);
    close(fd);
}

void socket_close_clean(int fd)
{
    set_reset_on_close(fd, false);
    close(fd);
}

bool socket_is_own_address(const struct address *a)
{
    struct address ip = *a;
    int fd;
    bool bound;
    if (address_is_any(a))
        return true;
    address_unmap(&ip);
    address_set_port(&ip, 0);
    fd = socket(ip.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bound = fd >= 0 && bind(fd, (const struct sockaddr *)&ip.storage, ip.len) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}
