/* From a name to a connected socket: its addresses are tried as they become known, one after the
 * other. */
#include "net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/descriptors.h"
#include "net/lookup.h"

#define MAX_ADDRESSES LOOKUP_ADDRESSES_MAX
#define MAX_NAME (LOOKUP_NAME_BYTES - 1)
#define IPV6_GRACE_US (50 * CLOCK_US_PER_MS) /* for IPv6 addresses when IPv4 ones are there */
#define NEXT_ADDRESS_US (250 * CLOCK_US_PER_MS)
#define QUEUE_FULL_US (20 * CLOCK_US_PER_MS)
#define FAILURE_TEXT_BYTES 512
#define NO_NAME_TEXT "no such host name"
#define NO_ANSWER_TEXT "no answer from the name servers in time"

/* ---- Connecting. ---- */

/* One address of the name; its io is in the loop while the connect is under way. */
struct candidate {
    struct dial *dial;
    struct address address;
    struct io io;
};

struct dial {
    struct loop *loop;
    struct lookup *lookup; /* under way: there may be more addresses */
    const void *owner;     /* compared only */
    uint16_t port;
    bool datagrams;
    bool (*allow)(void *arg, const struct address *address);
    void (*done)(void *arg, enum dial_result result, int fd, const struct address *address,
                 const char *text);
    void *arg;

    struct timer deadline; /* for all of it */
    struct timer next;     /* when the next address is tried */

    unsigned places;  /* for candidates */
    unsigned count;   /* addresses known */
    unsigned tried;   /* of them, the first ones */
    unsigned pending; /* of these, connects under way */

    /* The result for done when nothing connects. */
    enum dial_result failure;
    struct address failed;
    char failure_text[FAILURE_TEXT_BYTES];

    struct candidate candidates[];
};

static void candidate_stop(struct candidate *candidate)
{
    if (candidate->io.loop == NULL)
        return;
    io_remove(&candidate->io);
    close(candidate->io.fd);
    candidate->dial->pending--;
}

static void dial_free(struct dial *dial)
{
    if (dial->lookup)
        lookup_cancel(dial->lookup);
    for (unsigned i = 0; i < dial->tried; i++)
        candidate_stop(&dial->candidates[i]);
    timer_cancel(dial->loop, &dial->deadline);
    timer_cancel(dial->loop, &dial->next);
    free(dial);
}

static void finish_connected(struct candidate *candidate, int fd)
{
    struct dial *dial = candidate->dial;
    struct address address = candidate->address;
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

/* How much a failure says: an address that was not allowed says least, one that could not even be
 * tried little. */
static unsigned weight(enum dial_result failure)
{
    if (failure == DIAL_NOT_ALLOWED)
        return 0;
    return failure == DIAL_UNREACHABLE ? 1 : 2;
}

/* Of those that say as much the last counts. */
static void note_failure(struct candidate *candidate, enum dial_result failure, const char *what)
{
    struct dial *dial = candidate->dial;
    if (dial->failed.len != 0 && weight(failure) < weight(dial->failure))
        return;
    dial->failure = failure;
    dial->failed = candidate->address;
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

static void note_error(struct candidate *candidate, int error)
{
    note_failure(candidate, result_of(error), socket_error_text(error, &candidate->address));
}

static void on_candidate_settled(struct io *io)
{
    struct candidate *candidate = container_of(io, struct candidate, io);
    struct dial *dial = candidate->dial;
    int fd = io->fd;
    int error = socket_connect_result(fd, &candidate->address);
    if (error != 0) {
        note_error(candidate, error);
        candidate_stop(candidate);
        timer_set(dial->loop, &dial->next, loop_now(dial->loop));
        return;
    }
    io_remove(io);
    dial->pending--;
    finish_connected(candidate, fd);
}

/* Also of a connect that is through at once the loop tells: one way for all. False: it has failed
 * already. */
static bool candidate_start(struct candidate *candidate)
{
    struct dial *dial = candidate->dial;
    bool in_progress = false;
    if (dial->allow && !dial->allow(dial->arg, &candidate->address)) {
        note_failure(candidate, DIAL_NOT_ALLOWED, "not allowed");
        return false;
    }
    int fd = dial->datagrams ? socket_connect_datagram(&candidate->address)
                             : socket_connect(&candidate->address, &in_progress);
    if (fd < 0 && errno == EAGAIN && candidate->address.storage.ss_family == AF_UNIX) {
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
        note_error(candidate, errno);
        return false;
    }
    if (dial->owner) /* given up before anybody heard of it, it has not ended cleanly */
        socket_reset_on_close(fd);
    candidate->io.on_write = on_candidate_settled;
    if (!io_add(dial->loop, &candidate->io, fd)) {
        note_error(candidate, errno);
        close(fd);
        return false;
    }
    dial->pending++;
    io_want_write(&candidate->io);
    return true;
}

static int family_of(const struct candidate *candidate)
{
    return candidate->address.storage.ss_family;
}

/* The families take turns, IPv6 first (RFC 8305 section 4): brings the address that is next to the
 * front of those that were not tried. */
static struct candidate *next_candidate(struct dial *dial)
{
    struct candidate *next = &dial->candidates[dial->tried++];
    int last = dial->tried > 1 ? family_of(next - 1) : AF_INET;
    unsigned other = dial->tried - 1;
    while (other < dial->count && family_of(&dial->candidates[other]) == last)
        other++;
    for (; other < dial->count && other >= dial->tried; other--) {
        struct address address = dial->candidates[other].address;
        dial->candidates[other].address = dial->candidates[other - 1].address;
        dial->candidates[other - 1].address = address;
    }
    return next;
}

/* The next address, or those after it while they fail at once. */
static void on_next(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, next);
    while (dial->tried < dial->count) {
        struct candidate *candidate = next_candidate(dial);
        if (dial->tried < dial->count)
            timer_set(dial->loop, timer, loop_now(dial->loop) + NEXT_ADDRESS_US);
        if (candidate_start(candidate))
            return;
    }
    if (dial->pending == 0 && !dial->lookup)
        finish_failed(dial);
}

static void on_deadline(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, deadline);
    if (dial->failed.len == 0)
        note_name_failure(dial, DIAL_TIMED_OUT, dial->lookup ? NO_ANSWER_TEXT : "timed out");
    for (unsigned i = 0; i < dial->tried; i++)
        if (dial->candidates[i].io.loop)
            note_failure(&dial->candidates[i], DIAL_TIMED_OUT, "no answer in time");
    finish_failed(dial);
}

/* ---- From a host to its addresses. ---- */

static void add_address(struct dial *dial, const struct address *address)
{
    struct candidate *candidate = &dial->candidates[dial->count++];
    candidate->dial = dial;
    candidate->address = *address;
}

/* RFC 8305 section 3: connecting begins with the first answer, but IPv4 waits a moment for IPv6.
 * Later addresses have their turn as if they had been there before. */
static void on_found(void *arg, const struct address *addresses, unsigned count, bool more)
{
    struct dial *dial = arg;
    uint64_t wait_us = 0;
    for (unsigned i = 0; i < count && dial->count < dial->places; i++) {
        add_address(dial, &addresses[i]);
        address_set_port(&dial->candidates[dial->count - 1].address, dial->port);
    }
    if (dial->pending > 0)
        wait_us = NEXT_ADDRESS_US;
    else if (more && dial->tried == 0 && family_of(&dial->candidates[0]) == AF_INET)
        wait_us = IPV6_GRACE_US;
    if (dial->pending == 0 || !timer_is_set(&dial->next))
        timer_set(dial->loop, &dial->next, loop_now(dial->loop) + wait_us);
}

static void note_lookup(struct dial *dial, enum lookup_result result)
{
    static const struct {
        enum dial_result failure;
        const char *text;
    } failures[] = {
        [LOOKUP_FOUND] = {DIAL_NO_NAME, "the name has no address"},
        [LOOKUP_NO_NAME] = {DIAL_NO_NAME, NO_NAME_TEXT},
        [LOOKUP_NO_ADDRESS] = {DIAL_NO_NAME, "the name has no address"},
        [LOOKUP_FAILED] = {DIAL_UNREACHABLE, "the name servers cannot answer"},
        [LOOKUP_TIMED_OUT] = {DIAL_TIMED_OUT, NO_ANSWER_TEXT},
        [LOOKUP_NOT_HERE] = {DIAL_NOT_ALLOWED, "not allowed"},
        [LOOKUP_NO_MEMORY] = {DIAL_INTERNAL, NO_MEMORY_TEXT},
    };
    note_name_failure(dial, failures[result].failure, failures[result].text);
}

static void on_looked_up(void *arg, enum lookup_result result)
{
    struct dial *dial = arg;
    dial->lookup = NULL;
    if (dial->count == 0)
        note_lookup(dial, result);
    if (dial->pending == 0)
        timer_set(dial->loop, &dial->next, loop_now(dial->loop));
}

static bool look_up(struct dial *dial, const struct dial_request *request)
{
    const struct lookup_request lookup = {
        .name = request->host,
        .owner = dial->owner,
        .no_servers = request->no_servers,
        .found = on_found,
        .ended = on_looked_up,
        .arg = dial,
    };
    dial->lookup = lookup_start(dial->loop, &lookup);
    return dial->lookup != NULL;
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
static bool find_addresses(struct dial *dial, const struct dial_request *request)
{
    const char *host = request->host;
    struct address address;
    if (strncmp(host, "unix:", 5) == 0)
        use_unix_path(dial, host + 5);
    else if (address_from_literal(&address, host, dial->port))
        add_address(dial, &address);
    else if (host[0] == '\0' || strlen(host) > MAX_NAME || is_invalid_name(host))
        note_name_failure(dial, DIAL_NO_NAME, NO_NAME_TEXT);
    else
        return look_up(dial, request);
    /* Connecting is work of the caller's, who may have to bound it; its failure is told later. */
    if (dial->count == 0 || !candidate_start(next_candidate(dial)))
        timer_set(dial->loop, &dial->next, loop_now(dial->loop));
    return true;
}

/* All that is no name has one address at most; most targets of streams are so, and many begin. */
static unsigned places_for(const struct dial_request *request)
{
    struct address address;
    return strncmp(request->host, "unix:", 5) == 0 ||
                   address_from_literal(&address, request->host, request->port)
               ? 1
               : MAX_ADDRESSES;
}

struct dial *dial_start(struct loop *loop, const struct dial_request *request)
{
    unsigned places = places_for(request);
    struct dial *dial = calloc(1, sizeof *dial + places * sizeof dial->candidates[0]);
    uint64_t now_us = loop_now(loop);
    if (dial == NULL)
        return NULL;
    dial->places = places;
    dial->loop = loop;
    dial->owner = request->owner;
    dial->port = request->port;
    dial->datagrams = request->datagrams;
    dial->allow = request->allow;
    dial->done = request->done;
    dial->arg = request->arg;
    dial->deadline.on_fire = on_deadline;
    dial->next.on_fire = on_next;
    if (!find_addresses(dial, request)) {
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
