/* The running agent's end of the call socket, and the commands that wait for an answer. */
#include "agent/call_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/own_calls.h"
#include "agent/uplink.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"

#define ASKERS_MAX 16
#define HEARD_US (3 * CLOCK_US_PER_S) /* so long a command waits for a relay that is there */

/* A command that waits to hear what became of its call. */
struct asker {
    struct list place;
    uint64_t until_us;
    uint32_t revision; /* of what stands with its call */
    struct sockaddr_un address;
    socklen_t address_len;
    char words[CALL_WORDS_BYTES];
};

struct call_socket {
    struct io io;
    struct agent *agent;
    struct list askers;
    unsigned asker_count;
    struct timer due; /* of the oldest */
    char path[sizeof((struct sockaddr_un){0}).sun_path];
    struct stat file; /* its own: not one that took its place */
};

static const struct number_range call_numbers = {1, UINT32_MAX, PLAIN_NUMBER};

bool call_request_read(struct call_request *call, struct view datagram)
{
    struct error e = {0};
    if (datagram.len < 1)
        return false;
    call->severity = datagram.data[0];
    call->number = 0;
    text_clean(call->text, sizeof call->text, view_of(datagram.data + 1, datagram.len - 1));
    if (call->severity || call->text[0] == '\0')
        return true;
    return value_number(&call->number, call->text, &call_numbers, &e);
}

/* ---- Answers to commands. ---- */

/* words: more of it. Who does not listen any more hears nothing. */
static void reply(struct call_socket *s, const struct asker *to, bool good, const char *words)
{
    char data[CALL_REPLY_BYTES];
    int len = snprintf(data, sizeof data, "%c%s%s", good ? '+' : '-', to->words, words);
    if (to->address_len > sizeof(sa_family_t))
        sendto(s->io.fd, data, (size_t)len < sizeof data ? (size_t)len : sizeof data - 1,
               MSG_NOSIGNAL, (const struct sockaddr *)&to->address, to->address_len);
}

/* The relay that has heard it, or else, *online, one that is there; NULL: none. */
static const struct uplink *best_relay(const struct agent *a, uint32_t revision, bool *heard)
{
    const struct uplink *there = NULL;
    *heard = false;
    for (size_t i = 0; i < a->uplink_count; i++) {
        if (uplink_has_heard(a->uplinks[i], revision)) {
            *heard = true;
            return a->uplinks[i];
        }
        there = uplink_is_online(a->uplinks[i]) ? a->uplinks[i] : there;
    }
    return there;
}

/* Answers, unless a relay that is there may still hear of it. */
static bool try_reply(struct call_socket *s, const struct asker *to)
{
    const struct agent *a = s->agent;
    char words[TEXT_MAX_BYTES];
    bool heard;
    const struct uplink *relay = best_relay(a, to->revision, &heard);
    const char *unsaved = own_calls_unsaved(a->calls);
    int len;
    if (own_calls_is_storing(a->calls) || (relay && !heard && loop_now(a->loop) < to->until_us))
        return false;
    if (heard)
        len = snprintf(words, sizeof words, "; relay %s has heard it", uplink_relay(relay));
    else if (relay)
        len = snprintf(words, sizeof words,
                       "; relay %s has not heard it yet: it is kept and told again",
                       uplink_relay(relay));
    else
        len = snprintf(words, sizeof words,
                       a->uplink_count
                           ? "; no relay is there: it is kept and sent when one is"
                           : "; this agent calls home to no relay, so that none hears of it");
    if (unsaved)
        snprintf(words + len, sizeof words - (size_t)len,
                 "; it would not outlive the agent's process: %s", unsaved);
    reply(s, to, true, words);
    return true;
}

void call_socket_check(struct call_socket *s)
{
    if (!s)
        return;
    timer_cancel(s->agent->loop, &s->due);
    list_each (link, &s->askers) {
        struct asker *asker = container_of(link, struct asker, place);
        if (try_reply(s, asker)) {
            list_remove(&asker->place);
            s->asker_count--;
            free(asker);
        } else if (!timer_is_set(&s->due)) {
            timer_set(s->agent->loop, &s->due, asker->until_us);
        }
    }
}

static void on_due(struct timer *timer)
{
    call_socket_check(container_of(timer, struct call_socket, due));
}

/* One too many is not kept waiting. */
static void wait_to_reply(struct call_socket *s, const struct asker *asker)
{
    struct asker *kept = malloc(sizeof *kept);
    if (!kept || s->asker_count == ASKERS_MAX) {
        reply(s, asker, true, "; many calls come at once: it is kept and sent");
        free(kept);
        return;
    }
    *kept = *asker;
    list_append(&s->askers, &kept->place);
    s->asker_count++;
    call_socket_check(s);
}

/* ---- Calls. ---- */

static void take_call(struct call_socket *s, struct view datagram, struct asker *asker)
{
    struct own_calls *calls = s->agent->calls;
    struct call_request call;
    bool good = call_request_read(&call, datagram);
    if (!good)
        snprintf(asker->words, sizeof asker->words, "this is no number of a call");
    else if (call.severity)
        good = own_calls_add(calls, call.severity, call.text, asker->words);
    else
        good = own_calls_end(calls, call.number, asker->words);
    if (!good) {
        reply(s, asker, false, "");
        return;
    }
    asker->revision = own_calls_revision(calls);
    asker->until_us = loop_now(s->agent->loop) + HEARD_US;
    wait_to_reply(s, asker);
}

static void on_read(struct io *io)
{
    struct call_socket *s = container_of(io, struct call_socket, io);
    uint8_t data[TEXT_MAX_BYTES + 1];
    struct asker asker = {.address_len = sizeof asker.address};
    ssize_t n = recvfrom(io->fd, data, sizeof data, 0, (struct sockaddr *)&asker.address,
                         &asker.address_len);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        io_read_drained(io);
    else if (n > 0)
        take_call(s, view_of(data, (size_t)n), &asker);
    io_want_read(io);
}

bool call_socket_address(struct sockaddr_un *address, const char *path)
{
    size_t len = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < sizeof address->sun_path) {
        memcpy(address->sun_path, path, len);
        return true;
    }
    errno = ENAMETOOLONG;
    return false;
}

static bool is_socket(const char *path, struct stat *st)
{
    return lstat(path, st) == 0 && S_ISSOCK(st->st_mode);
}

/* True if a process listens there: then a connect succeeds, or says anything but that none does. */
static bool is_in_use(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool used = fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                errno != ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return used;
}

/* Removes a socket that a process left behind; never one in use, nor another kind of file. False: e
 * says why. */
static bool remove_old_socket(const struct sockaddr_un *address, struct error *e)
{
    struct stat st;
    if (!is_socket(address->sun_path, &st))
        return true;
    if (is_in_use(address))
        return error_set(e, FAILURE_NETWORK,
                         "CallSocket = %s: in use: another agent with this configuration runs",
                         address->sun_path);
    unlink(address->sun_path);
    return true;
}

static const char *bind_advice(int error)
{
    switch (error) {
    case ENOENT:
        return ": its directory must exist";
    case EACCES:
        return ": this user cannot write in its directory";
    default:
        return "";
    }
}

struct call_socket *call_socket_new(struct agent *a, const char *path, struct error *e)
{
    struct sockaddr_un address;
    struct call_socket *s = calloc(1, sizeof *s);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old_mask;
    bool bound;
    if (!s || fd < 0 || !call_socket_address(&address, path)) {
        error_set(e, FAILURE_OTHER, "CallSocket = %s: %s", path, system_text(errno));
        goto fail;
    }
    if (!remove_old_socket(&address, e))
        goto fail;
    old_mask = umask(0177);
    bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old_mask);
    if (!bound || !io_add(a->loop, &s->io, fd)) {
        error_set(e, FAILURE_CONFIG, "CallSocket = %s: %s%s", path, system_text(errno),
                  bind_advice(errno));
        goto fail;
    }
    is_socket(path, &s->file);
    s->agent = a;
    s->io.on_read = on_read;
    s->due.on_fire = on_due;
    list_init(&s->askers);
    memcpy(s->path, address.sun_path, sizeof s->path);
    io_want_read(&s->io);
    return s;
fail:
    if (fd >= 0)
        close(fd);
    free(s);
    return NULL;
}

void call_socket_free(struct call_socket *s)
{
    if (!s)
        return;
    list_each (link, &s->askers) {
        struct asker *asker = container_of(link, struct asker, place);
        reply(s, asker, true, "; the agent is ending: it is kept if there is a StateDirectory");
        free(asker);
    }
    timer_cancel(s->agent->loop, &s->due);
    io_remove(&s->io);
    close(s->io.fd);
    if (call_socket_is(s, s->path))
        unlink(s->path);
    free(s);
}

bool call_socket_is(const struct call_socket *s, const char *path)
{
    struct stat st;
    return s && stat(path, &st) == 0 && st.st_dev == s->file.st_dev && st.st_ino == s->file.st_ino;
}
