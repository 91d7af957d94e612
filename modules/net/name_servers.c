/* The part of c-ares in look-ups: which server is asked, when again, and over TCP; cutting up
 * answers. Its sockets are in the loop. Each look-up has a channel of its own, which is cheap (its
 * memory is kept, and resolv.conf read only if it has changed): so the configuration is never out
 * of date, the source port is a new one each time, and giving up is to destroy it. */
#include "net/name_servers.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/descriptors.h"
#include "net/resolv_conf.h"
#include "net/resolver.h"

#define TRY_MS 500 /* doubled each time all servers have been asked */
#define TRIES 4
#define STREAM_TRY_MS 4000 /* connecting too; each server once */
#define HEADER_BYTES 12
#define RECORD_COUNT_AT 6
#define ANSWER_RECORDS_MAX 128   /* CNAMEs too */
#define SLACK_US CLOCK_US_PER_MS /* c-ares counts in milliseconds, and rounds down */

struct question {
    struct name_servers *ns;
    int type;
    bool truncated; /* and asked again over TCP; the answer has what came before */
    struct name_answer answer;
};

/* One for each transport: c-ares gives a question over TCP no more time than one over UDP. */
enum transport { DATAGRAMS, STREAMS, TRANSPORTS };

struct name_servers {
    struct loop *loop;
    ares_channel channels[TRANSPORTS]; /* NULL: not needed yet */
    struct ares_options options;       /* as resolv.conf has them */
    char name[FULL_NAME_BYTES];        /* asked for */
    struct list sockets;
    struct timer timer; /* c-ares's, or for an answer that was there at once */
    struct question questions[QUESTION_FAMILIES];
    bool kept_low;
    bool news; /* an answer that nobody was told of */
    void (*on_answer)(void *arg);
    void *arg;
};

/* ---- Sockets. ---- */

struct server_socket {
    struct list link;
    struct name_servers *ns;
    struct io io;
    int fd;
    bool reading, writing; /* what c-ares wants */
};

static struct server_socket *find_socket(struct name_servers *ns, int fd)
{
    list_each (link, &ns->sockets) {
        struct server_socket *s = container_of(link, struct server_socket, link);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

static void want(struct server_socket *s)
{
    if (s->reading)
        io_want_read(&s->io);
    if (s->writing)
        io_want_write(&s->io);
    else
        io_stop_write(&s->io);
}

static void set_timer(struct name_servers *ns)
{
    uint64_t now_us = loop_refresh_now(ns->loop), at_us = ns->news ? now_us : CLOCK_NEVER;
    struct timeval left;
    for (int i = 0; i < TRANSPORTS; i++) {
        if (!ns->channels[i] || !ares_timeout(ns->channels[i], NULL, &left))
            continue;
        uint64_t then_us =
            now_us + (uint64_t)left.tv_sec * CLOCK_US_PER_S + (uint64_t)left.tv_usec + SLACK_US;
        at_us = then_us < at_us ? then_us : at_us;
    }
    timer_set(ns->loop, &ns->timer, at_us);
}

/* Answers are told when c-ares has returned: it must not be destroyed inside of its own calls. */
static void process(struct name_servers *ns, int readable, int writable)
{
    for (int i = 0; i < TRANSPORTS; i++)
        if (ns->channels[i])
            ares_process_fd(ns->channels[i], readable, writable);
    list_each (link, &ns->sockets)
        want(container_of(link, struct server_socket, link));
    bool news = ns->news;
    ns->news = false;
    set_timer(ns);
    if (news)
        ns->on_answer(ns->arg);
}

static void on_readable(struct io *io)
{
    process(container_of(io, struct server_socket, io)->ns, io->fd, ARES_SOCKET_BAD);
}

static void on_writable(struct io *io)
{
    process(container_of(io, struct server_socket, io)->ns, ARES_SOCKET_BAD, io->fd);
}

static void on_timer(struct timer *timer)
{
    process(container_of(timer, struct name_servers, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static int socket_open(int domain, int type, int protocol, void *arg)
{
    struct name_servers *ns = arg;
    struct server_socket *s = calloc(1, sizeof *s);
    int fd = s ? socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol) : -1;
    if (fd >= 0 && ns->kept_low && descriptor_is_scarce(fd)) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        free(s);
        return ARES_SOCKET_BAD;
    }
    s->ns = ns;
    s->fd = fd;
    s->io.on_read = on_readable;
    s->io.on_write = on_writable;
    list_append(&ns->sockets, &s->link);
    return fd;
}

static int socket_close(int fd, void *arg)
{
    struct server_socket *s = find_socket(arg, fd);
    io_remove(&s->io);
    list_remove(&s->link);
    free(s);
    return close(fd);
}

static int socket_reach(int fd, const struct sockaddr *address, socklen_t len, void *arg)
{
    (void)arg;
    return connect(fd, address, len);
}

static ssize_t socket_receive(int fd, void *out, size_t len, int flags, struct sockaddr *from,
                              socklen_t *from_len, void *arg)
{
    ssize_t n = recvfrom(fd, out, len, flags, from, from_len);
    if (n < 0 && errno == EAGAIN)
        io_read_drained(&find_socket(arg, fd)->io);
    return n;
}

static ssize_t socket_send(int fd, const struct iovec *pieces, int count, void *arg)
{
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = send(fd, pieces[i].iov_base, pieces[i].iov_len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            io_write_blocked(&find_socket(arg, fd)->io);
        if (n < 0)
            return all > 0 ? all : -1;
        all += n;
        if ((size_t)n < pieces[i].iov_len)
            break;
    }
    return all;
}

static const struct ares_socket_functions socket_functions = {
    .asocket = socket_open,
    .aclose = socket_close,
    .aconnect = socket_reach,
    .arecvfrom = socket_receive,
    .asendv = socket_send,
};

/* Also the first that is heard of a socket since it was connected; one that the loop does not take
 * is as one on which nothing comes. */
static void on_socket_state(void *arg, int fd, int readable, int writable)
{
    struct name_servers *ns = arg;
    struct server_socket *s = find_socket(ns, fd);
    s->reading = readable;
    s->writing = writable;
    if (!readable && !writable)
        io_remove(&s->io);
    else if (s->io.loop || io_add(ns->loop, &s->io, fd))
        want(s);
}

/* ---- Answers. ---- */

static int take_ipv6(struct name_answer *answer, const unsigned char *bytes, int len)
{
    struct ares_addr6ttl found[ANSWER_ADDRESSES_MAX];
    int count = ANSWER_ADDRESSES_MAX;
    int status = ares_parse_aaaa_reply(bytes, len, NULL, found, &count);
    for (int i = 0; i < count && status == ARES_SUCCESS; i++) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        struct address *a = &answer->addresses[answer->count++];
        memcpy(&in6.sin6_addr, &found[i].ip6addr, sizeof in6.sin6_addr);
        memcpy(&a->storage, &in6, sizeof in6);
        a->len = sizeof in6;
    }
    return status;
}

static int take_ipv4(struct name_answer *answer, const unsigned char *bytes, int len)
{
    struct ares_addrttl found[ANSWER_ADDRESSES_MAX];
    int count = ANSWER_ADDRESSES_MAX;
    int status = ares_parse_a_reply(bytes, len, NULL, found, &count);
    for (int i = 0; i < count && status == ARES_SUCCESS; i++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = found[i].ipaddr};
        struct address *a = &answer->addresses[answer->count++];
        memcpy(&a->storage, &in, sizeof in);
        a->len = sizeof in;
    }
    return status;
}

/* Servers that failed or refused have been passed over by c-ares, unless all did. status: of
 * cutting the answer up, which says nothing of the name when that fails. */
static enum answer_kind kind_of_message(const struct name_answer *answer, int rcode, int status)
{
    if (rcode == ns_r_nxdomain)
        return ANSWER_NO_NAME;
    if (rcode != ns_r_noerror || (status != ARES_SUCCESS && status != ARES_ENODATA))
        return ANSWER_FAILURE;
    return answer->count > 0 ? ANSWER_ADDRESSES : ANSWER_NO_ADDRESS;
}

static enum answer_kind kind_of_failure(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return ANSWER_TIMED_OUT;
    case ARES_ENOMEM:
        return ANSWER_NO_MEMORY;
    case ARES_EBADNAME:
    case ARES_ENOTFOUND:
        return ANSWER_NO_NAME;
    default:
        return ANSWER_FAILURE;
    }
}

static bool ask(struct question *q, enum transport transport);

/* c-ares takes time with the square of the number of records: 40 ms for all that an answer over TCP
 * can hold. The rest of them is not looked at. */
static void leave_out_records(unsigned char *message)
{
    if (load_be16(message + RECORD_COUNT_AT) > ANSWER_RECORDS_MAX)
        store_be16(message + RECORD_COUNT_AT, ANSWER_RECORDS_MAX);
}

/* A truncated answer is better than none, where no server is reached over TCP. */
static void take_failure(struct name_answer *answer, int status)
{
    answer->kind = answer->count > 0 ? ANSWER_ADDRESSES : kind_of_failure(status);
}

static void take_message(struct question *q, unsigned char *bytes, int len)
{
    struct name_answer *answer = &q->answer;
    answer->count = 0;
    leave_out_records(bytes);
    int status = (q->type == ns_t_aaaa ? take_ipv6 : take_ipv4)(answer, bytes, len);
    if ((bytes[2] & 2) && !q->truncated) {
        q->truncated = true;
        if (ask(q, STREAMS))
            return;
    }
    answer->kind = kind_of_message(answer, bytes[3] & 15, status);
}

static void on_reply(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct question *q = arg;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    if (status == ARES_SUCCESS && len >= HEADER_BYTES)
        take_message(q, bytes, len);
    else
        take_failure(&q->answer, status);
    q->ns->news = q->ns->news || q->answer.kind != ANSWER_AWAITED;
}

static bool open_channel(struct name_servers *ns, enum transport transport)
{
    bool streams = transport == STREAMS;
    struct ares_options own = {.flags = streams ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC,
                               .timeout = streams ? STREAM_TRY_MS : TRY_MS,
                               .tries = streams ? 1 : TRIES,
                               .sock_state_cb = on_socket_state,
                               .sock_state_cb_data = ns};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (ns->channels[transport])
        return true;
    if (!resolv_conf_channel(&ns->channels[transport], &loop_resolver(ns->loop)->resolv_conf, &own,
                             mask))
        return false;
    ares_set_socket_functions(ns->channels[transport], &socket_functions, ns);
    return true;
}

/* The number of the question is the kernel's randomness: c-ares's own is weaker. False: it could
 * not be asked. */
static bool ask(struct question *q, enum transport transport)
{
    unsigned char *bytes = NULL;
    uint16_t id;
    int len, status;
    if (!open_channel(q->ns, transport))
        return false;
    random_bytes(&id, sizeof id);
    status = ares_create_query(q->ns->name, ns_c_in, q->type, id, 1, &bytes, &len, 0);
    if (status == ARES_SUCCESS)
        ares_send(q->ns->channels[transport], bytes, len, on_reply, q);
    else
        on_reply(q, status, 0, NULL, 0);
    ares_free_string(bytes);
    return true;
}

void name_servers_ask(struct name_servers *ns, const char *name)
{
    snprintf(ns->name, sizeof ns->name, "%s", name);
    for (int i = 0; i < QUESTION_FAMILIES; i++) {
        ns->questions[i].truncated = false;
        ns->questions[i].answer = (struct name_answer){.kind = ANSWER_AWAITED};
        ask(&ns->questions[i], DATAGRAMS);
    }
    set_timer(ns);
}

const struct name_answer *name_servers_answer(const struct name_servers *ns,
                                              enum question_family family)
{
    return &ns->questions[family].answer;
}

/* ---- The search list. ---- */

/* The name itself is the first, or the last. */
static bool form_name(char out[FULL_NAME_BYTES], const struct name_servers *ns, const char *name,
                      unsigned n, unsigned itself)
{
    if (n == itself)
        return snprintf(out, FULL_NAME_BYTES, "%s", name) < FULL_NAME_BYTES;
    return snprintf(out, FULL_NAME_BYTES, "%s.%s", name,
                    ns->options.domains[n < itself ? n : n - 1]) < FULL_NAME_BYTES;
}

bool name_servers_search(char out[FULL_NAME_BYTES], const struct name_servers *ns, const char *name,
                         unsigned *n)
{
    size_t len = strlen(name);
    unsigned domains = (unsigned)ns->options.ndomains;
    int dots = 0;
    for (const char *at = name; *at; at++)
        dots += *at == '.';
    if (len > 0 && name[len - 1] == '.')
        domains = 0;
    while (*n <= domains)
        if (form_name(out, ns, name, (*n)++, dots >= ns->options.ndots ? 0 : domains))
            return true;
    return false;
}

/* ---- The whole. ---- */

struct name_servers *name_servers_new(struct loop *loop, bool kept_low,
                                      void (*on_answer)(void *arg), void *arg)
{
    static const int types[QUESTION_FAMILIES] = {
        [QUESTION_IPV6] = ns_t_aaaa, [QUESTION_IPV4] = ns_t_a};
    struct name_servers *ns = calloc(1, sizeof *ns);
    int mask;
    if (!ns)
        return NULL;
    ns->loop = loop;
    ns->kept_low = kept_low;
    ns->on_answer = on_answer;
    ns->arg = arg;
    ns->timer.on_fire = on_timer;
    list_init(&ns->sockets);
    for (int i = 0; i < QUESTION_FAMILIES; i++)
        ns->questions[i] = (struct question){.ns = ns, .type = types[i]};
    if (open_channel(ns, DATAGRAMS) &&
        ares_save_options(ns->channels[DATAGRAMS], &ns->options, &mask) == ARES_SUCCESS)
        return ns;
    name_servers_free(ns);
    return NULL;
}

void name_servers_free(struct name_servers *ns)
{
    if (!ns)
        return;
    timer_cancel(ns->loop, &ns->timer);
    for (int i = 0; i < TRANSPORTS; i++)
        ares_destroy(ns->channels[i]);
    ares_destroy_options(&ns->options);
    free(ns);
}
