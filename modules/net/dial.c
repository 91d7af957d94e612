/* From a name to a connected socket: look-up in threads, then its addresses one after the other. */
#include "net/dial.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/descriptors.h"

#define MAX_ADDRESSES 16 /* of one name */
#define MAX_NAME 255
#define MAX_RESOLVERS 64 /* threads at a time */
#define RESOLVERS_OF_OWNER 6
#define RESOLVER_STACK_BYTES (256UL * 1024)
#define NEXT_ADDRESS_US (250 * CLOCK_US_PER_MS)
#define QUEUE_FULL_US (20 * CLOCK_US_PER_MS)
#define FAILURE_TEXT_BYTES 512

/* ---- Looking names up: threads that start when there is work and end when there is none. ---- */

/* Belongs to the resolver while it waits and while a thread works on it, then to the call posted to
 * the loop. */
struct lookup {
    struct list link; /* on resolver.waiting or running, or on no list */
    bool running;
    const void *owner; /* compared only */
    struct loop *loop;
    struct loop_call call;
    struct dial *dial; /* NULL: nobody waits for it any more; guarded by resolver.lock */
    char name[MAX_NAME + 1];
    int gai_error, system_error;
    unsigned count;
    struct address found[MAX_ADDRESSES];
};

static struct {
    pthread_mutex_t lock;
    struct list waiting, running;
    unsigned threads;
} resolver = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .waiting = {&resolver.waiting, &resolver.waiting},
    .running = {&resolver.running, &resolver.running},
};

static void lookup_run(struct lookup *lookup)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    lookup->gai_error = getaddrinfo(lookup->name, NULL, &hints, &list);
    lookup->system_error = errno;
    if (lookup->gai_error != 0)
        return;
    for (struct addrinfo *it = list; it && lookup->count < MAX_ADDRESSES; it = it->ai_next) {
        if (it->ai_family != AF_INET && it->ai_family != AF_INET6)
            continue;
        struct address *a = &lookup->found[lookup->count++];
        memcpy(&a->storage, it->ai_addr, it->ai_addrlen);
        a->len = it->ai_addrlen;
    }
    freeaddrinfo(list);
}

/* With resolver.lock held, so that a cancel comes before the post or sees it done. */
static void lookup_hand_over(struct lookup *lookup)
{
    if (lookup->dial)
        loop_post(lookup->loop, &lookup->call);
    else
        free(lookup);
}

static bool may_run(const struct lookup *lookup)
{
    unsigned of_owner = 0;

    list_each (link, &resolver.running)
        of_owner += container_of(link, struct lookup, link)->owner == lookup->owner;
    return !lookup->owner || of_owner < RESOLVERS_OF_OWNER;
}

/* The first that waits and whose owner has not its share of the threads; NULL: none. */
static struct lookup *lookup_next(void)
{
    list_each (link, &resolver.waiting) {
        struct lookup *lookup = container_of(link, struct lookup, link);
        if (may_run(lookup))
            return lookup;
    }
    return NULL;
}

static void *resolver_thread(void *unused)
{
    struct lookup *lookup;

    (void)unused;
    pthread_mutex_lock(&resolver.lock);
    while ((lookup = lookup_next()) != NULL) {
        list_move(&resolver.running, &lookup->link);
        lookup->running = true;
        pthread_mutex_unlock(&resolver.lock);
        lookup_run(lookup);
        pthread_mutex_lock(&resolver.lock);
        list_remove(&lookup->link);
        lookup_hand_over(lookup);
    }
    resolver.threads--;
    pthread_mutex_unlock(&resolver.lock);
    return NULL;
}

/* Signals are the loop's thread's business: a new thread starts with all of them blocked. */
static bool start_resolver_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, RESOLVER_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&thread, &attributes, resolver_thread, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static void lookup_start(struct lookup *lookup)
{
    pthread_mutex_lock(&resolver.lock);
    list_append(&resolver.waiting, &lookup->link);
    if (resolver.threads < MAX_RESOLVERS && may_run(lookup)) {
        if (start_resolver_thread()) {
            resolver.threads++;
        } else if (resolver.threads == 0) { /* nobody would come for it */
            list_remove(&lookup->link);
            lookup->gai_error = EAI_MEMORY;
            lookup_hand_over(lookup);
        }
    }
    pthread_mutex_unlock(&resolver.lock);
}

static void lookup_abandon(struct lookup *lookup)
{
    pthread_mutex_lock(&resolver.lock);
    lookup->dial = NULL;
    if (list_linked(&lookup->link) && !lookup->running) { /* no thread has begun with it */
        list_remove(&lookup->link);
        free(lookup);
    }
    pthread_mutex_unlock(&resolver.lock);
}

/* ---- Connecting. ---- */

/* One address of the name; its io is in the loop while the connect is under way. */
struct attempt {
    struct dial *dial;
    struct address address;
    struct io io;
};

struct dial {
    struct loop *loop;
    struct lookup *lookup; /* under way; then there are no addresses yet */
    const void *owner;     /* compared only */
    char name[MAX_NAME + 1];
    uint16_t port;
    bool datagrams;
    bool (*allow)(void *arg, const struct address *address);
    void (*done)(void *arg, enum dial_result result, int fd, const struct address *address,
                 const char *text);
    void *arg;

    struct timer deadline; /* for all of it */
    struct timer next;     /* when the next address is tried */

    struct attempt attempts[MAX_ADDRESSES];
    unsigned count;   /* addresses known */
    unsigned tried;   /* of them */
    unsigned pending; /* of these, connects under way */

    /* The result for done when nothing connects. */
    enum dial_result failure;
    struct address failed;
    char failure_text[FAILURE_TEXT_BYTES];
};

static void attempt_stop(struct attempt *attempt)
{
    if (attempt->io.loop == NULL)
        return;
    io_remove(&attempt->io);
    close(attempt->io.fd);
    attempt->dial->pending--;
}

static void dial_free(struct dial *dial)
{
    if (dial->lookup)
        lookup_abandon(dial->lookup);
    for (unsigned i = 0; i < dial->tried; i++)
        attempt_stop(&dial->attempts[i]);
    timer_cancel(dial->loop, &dial->deadline);
    timer_cancel(dial->loop, &dial->next);
    free(dial);
}

static void finish_connected(struct attempt *attempt, int fd)
{
    struct dial *dial = attempt->dial;
    struct address address = attempt->address;
    void (*done)(void *, enum dial_result, int, const struct address *, const char *) = dial->done;
    void *arg = dial->arg;

    dial_free(dial);
    done(arg, DIAL_OK, fd, &address, "");
}

static void finish_failed(struct dial *dial)
{
    enum dial_result failure = dial->failure;
    struct address failed = dial->failed;
    void (*done)(void *, enum dial_result, int, const struct address *, const char *) = dial->done;
    void *arg = dial->arg;
    char text[FAILURE_TEXT_BYTES];

    memcpy(text, dial->failure_text, sizeof text);
    dial_free(dial);
    done(arg, failure, -1, &failed, text);
}

/* A failure that is the dial's, not one address's. */
static void note_name_failure(struct dial *dial, enum dial_result failure, const char *what)
{
    dial->failure = failure;
    snprintf(dial->failure_text, sizeof dial->failure_text, "%s", what);
}

/* The last failure counts, but an address that was tried says more than one that was not allowed.
 */
static void note_failure(struct attempt *attempt, enum dial_result failure, const char *what)
{
    struct dial *dial = attempt->dial;
    if (failure == DIAL_NOT_ALLOWED && dial->failed.len != 0)
        return;
    dial->failure = failure;
    dial->failed = attempt->address;
    snprintf(dial->failure_text, sizeof dial->failure_text, "%s", what);
}

static enum dial_result result_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return DIAL_REFUSED;
    case ETIMEDOUT:
        return DIAL_TIMED_OUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC: /* epoll's limit of watches */
        return DIAL_INTERNAL;
    default:
        return DIAL_UNREACHABLE;
    }
}

static void note_error(struct attempt *attempt, int error)
{
    note_failure(attempt, result_of(error), socket_error_text(error, &attempt->address));
}

static void on_attempt_settled(struct io *io)
{
    struct attempt *attempt = container_of(io, struct attempt, io);
    struct dial *dial = attempt->dial;
    int fd = io->fd;
    int error = socket_connect_result(fd, &attempt->address);

    if (error != 0) {
        note_error(attempt, error);
        attempt_stop(attempt);
        timer_set(dial->loop, &dial->next, loop_now(dial->loop));
        return;
    }
    io_remove(io);
    dial->pending--;
    finish_connected(attempt, fd);
}

/* Also of a connect that is through at once the loop tells: one way for all. False: it has failed
 * already. */
static bool attempt_start(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;
    bool in_progress = false;

    if (dial->allow && !dial->allow(dial->arg, &attempt->address)) {
        note_failure(attempt, DIAL_NOT_ALLOWED, "not allowed");
        return false;
    }
    int fd = dial->datagrams ? socket_connect_datagram(&attempt->address)
                             : socket_connect(&attempt->address, &in_progress);
    if (fd < 0 && errno == EAGAIN && attempt->address.storage.ss_family == AF_UNIX) {
        /* The listener's queue is full, and nothing tells when it is not (unix(7)). */
        dial->tried--;
        timer_set(dial->loop, &dial->next, loop_now(dial->loop) + QUEUE_FULL_US);
        return true;
    }
    if (fd >= 0 && dial->owner && descriptor_is_scarce(fd)) {
        close(fd);
        errno = EMFILE;
        fd = -1;
    }
    if (fd < 0) {
        note_error(attempt, errno);
        return false;
    }
    if (dial->owner) /* given up before anybody heard of it, it has not ended cleanly */
        socket_reset_on_close(fd);
    attempt->io.on_write = on_attempt_settled;
    if (!io_add(dial->loop, &attempt->io, fd)) {
        note_error(attempt, errno);
        close(fd);
        return false;
    }
    dial->pending++;
    io_want_write(&attempt->io);
    return true;
}

/* The next address, or those after it while they fail at once. */
static void on_next(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, next);

    while (dial->tried < dial->count) {
        struct attempt *attempt = &dial->attempts[dial->tried++];
        if (dial->tried < dial->count)
            timer_set(dial->loop, timer, loop_now(dial->loop) + NEXT_ADDRESS_US);
        if (attempt_start(attempt))
            return;
    }
    if (dial->pending == 0)
        finish_failed(dial);
}

static void on_deadline(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, deadline);

    note_name_failure(dial, DIAL_TIMED_OUT,
                      dial->lookup ? "no answer from the name servers in time" : "timed out");
    for (unsigned i = 0; i < dial->tried; i++)
        if (dial->attempts[i].io.loop)
            note_failure(&dial->attempts[i], DIAL_TIMED_OUT, "no answer in time");
    finish_failed(dial);
}

/* ---- From a host to its addresses. ---- */

static void add_address(struct dial *dial, const struct address *address)
{
    struct attempt *attempt = &dial->attempts[dial->count++];

    attempt->dial = dial;
    attempt->address = *address;
}

static enum dial_result result_of_lookup(const struct lookup *lookup)
{
    switch (lookup->gai_error) {
    case EAI_AGAIN: /* no answer from the servers, or none that says whether the name is there */
    case EAI_FAIL:
        return DIAL_UNREACHABLE;
    case EAI_MEMORY:
        return DIAL_INTERNAL;
    case EAI_SYSTEM:
        return result_of(lookup->system_error);
    default:
        return DIAL_NO_NAME;
    }
}

static const char *lookup_text(const struct lookup *lookup)
{
    switch (lookup->gai_error) {
    case EAI_AGAIN:
        return "no answer from the name servers";
    case EAI_FAIL:
        return "the name servers cannot answer";
    case EAI_MEMORY:
        return NO_MEMORY_TEXT;
    case EAI_SYSTEM:
        return system_text(lookup->system_error);
    case EAI_NONAME:
        return "no such host name";
    default:
        return "the name has no address";
    }
}

static void take_addresses(struct dial *dial, struct lookup *lookup)
{
    note_name_failure(dial, result_of_lookup(lookup), lookup_text(lookup));

    for (unsigned i = 0; i < lookup->count; i++) {
        address_set_port(&lookup->found[i], dial->port);
        add_address(dial, &lookup->found[i]);
    }
}

static void on_looked_up(void *arg)
{
    struct lookup *lookup = arg;

    /* The lock also tells that the thread has come out of loop_post: done may be about to free the
     * loop. */
    pthread_mutex_lock(&resolver.lock);
    struct dial *dial = lookup->dial;
    pthread_mutex_unlock(&resolver.lock);

    if (dial) {
        dial->lookup = NULL;
        take_addresses(dial, lookup);
    }
    free(lookup);
    if (dial)
        on_next(&dial->next);
}

static bool look_up(struct dial *dial)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);

    if (lookup == NULL)
        return false;
    list_init(&lookup->link);
    lookup->owner = dial->owner;
    lookup->loop = dial->loop;
    lookup->call.f = on_looked_up;
    lookup->call.arg = lookup;
    lookup->dial = dial;
    memcpy(lookup->name, dial->name, sizeof lookup->name);
    dial->lookup = lookup;
    lookup_start(lookup);
    return true;
}

/* RFC 6761 section 6.4: such names are known not to exist. */
static bool is_invalid_name(const char *name)
{
    static const char tail[] = ".invalid";
    size_t len = strlen(name), tail_len = sizeof tail - 1;

    if (len > 0 && name[len - 1] == '.')
        len--;
    return (len == tail_len - 1 && strncasecmp(name, tail + 1, len) == 0) ||
           (len >= tail_len && strncasecmp(name + len - tail_len, tail, tail_len) == 0);
}

static void use_unix_path(struct dial *dial, const char *path)
{
    struct address address;

    if (address_from_path(&address, path))
        add_address(dial, &address);
    else
        note_name_failure(dial, DIAL_UNREACHABLE,
                          *path == '\0' ? "the path is empty"
                                        : "the path is too long for a socket");
}

/* Finds the addresses, or why there are none, or starts to look them up. False without memory. */
static bool find_addresses(struct dial *dial, const char *host)
{
    struct address address;

    if (strncmp(host, "unix:", 5) == 0)
        use_unix_path(dial, host + 5);
    else if (address_from_literal(&address, host, dial->port))
        add_address(dial, &address);
    else if (host[0] == '\0' || strlen(host) > MAX_NAME || is_invalid_name(host))
        note_name_failure(dial, DIAL_NO_NAME, "no such host name");
    else
        return look_up(dial);
    timer_set(dial->loop, &dial->next, loop_now(dial->loop));
    return true;
}

struct dial *dial_start(struct loop *loop, const struct dial_request *request)
{
    struct dial *dial = calloc(1, sizeof *dial);
    uint64_t now_us = loop_now(loop);

    if (dial == NULL)
        return NULL;
    dial->loop = loop;
    dial->owner = request->owner;
    dial->port = request->port;
    dial->datagrams = request->datagrams;
    dial->allow = request->allow;
    dial->done = request->done;
    dial->arg = request->arg;
    dial->deadline.on_fire = on_deadline;
    dial->next.on_fire = on_next;
    snprintf(dial->name, sizeof dial->name, "%s", request->host);
    if (!find_addresses(dial, request->host)) {
        free(dial);
        return NULL;
    }
    if (request->timeout_us < CLOCK_NEVER - now_us)
        timer_set(loop, &dial->deadline, now_us + request->timeout_us);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    dial_free(dial);
}
