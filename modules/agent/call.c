/* Both ends of the call socket: the running agent's, and that of `spx agent call`. */
#include "agent/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/uplink.h"
#include "base/log.h"
#include "base/text.h"

struct call_socket {
    struct io io;
    struct agent *agent;
    struct log_rate lines;
    char path[sizeof((struct sockaddr_un){0}).sun_path];
    struct stat file; /* its own: not one that took its place */
};

bool help_call_read(struct help_call *call, struct view datagram)
{
    if (datagram.len < 1)
        return false;
    call->severity = datagram.data[0];
    text_clean(call->text, sizeof call->text,
               view_of(datagram.data + 1, call->severity ? datagram.len - 1 : 0));
    return true;
}

static void take_call(struct call_socket *s, struct view datagram)
{
    struct agent *a = s->agent;
    struct help_call call;
    struct log_fields f;
    if (!help_call_read(&call, datagram))
        return;
    a->call_severity = call.severity;
    memcpy(a->call_text, call.text, sizeof a->call_text);
    f = (struct log_fields){.event = call.severity ? "call" : "call_over",
                            .agent = a->config.name,
                            .severity = call.severity,
                            .reason = call.severity ? call.text : NULL};
    if (a->call_severity)
        log_rated_event(&s->lines, loop_now(a->loop), LOG_INFO, &f,
                        "the storage system calls for help, severity %u: %s", a->call_severity,
                        a->call_text);
    else
        log_rated_event(&s->lines, loop_now(a->loop), LOG_INFO, &f, "the call for help is over");
    for (size_t i = 0; i < a->uplink_count; i++)
        uplink_call(a->uplinks[i]);
}

static void on_read(struct io *io)
{
    struct call_socket *s = container_of(io, struct call_socket, io);
    uint8_t data[TEXT_MAX_BYTES + 1];
    ssize_t n = recv(io->fd, data, sizeof data, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        io_read_drained(io);
    else if (n > 0)
        take_call(s, view_of(data, (size_t)n));
    io_want_read(io);
}

/* False with errno: the path is too long, as no configuration has it. */
static bool address_of(struct sockaddr_un *address, const char *path)
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

struct call_socket *call_socket_new(struct agent *a, const char *path, struct error *e)
{
    struct sockaddr_un address;
    struct call_socket *s = calloc(1, sizeof *s);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old_mask;
    bool bound;
    if (!s || fd < 0 || !address_of(&address, path)) {
        error_set(e, FAILURE_OTHER, "CallSocket = %s: %s", path, system_text(errno));
        goto fail;
    }
    if (!remove_old_socket(&address, e))
        goto fail;
    old_mask = umask(0177);
    bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old_mask);
    if (!bound || !io_add(a->loop, &s->io, fd)) {
        error_set(e, FAILURE_CONFIG, "CallSocket = %s: %s", path, system_text(errno));
        goto fail;
    }
    is_socket(path, &s->file);
    s->agent = a;
    s->io.on_read = on_read;
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

enum failure call_send(const char *path, unsigned severity, const char *text)
{
    struct sockaddr_un address;
    uint8_t data[TEXT_MAX_BYTES + 1];
    size_t len = strlen(text);
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !address_of(&address, path) || len > TEXT_MAX_BYTES) {
        fprintf(stderr,
                "spx agent call: the path or the text is too long (text: at most %d bytes)\n",
                TEXT_MAX_BYTES);
        if (fd >= 0)
            close(fd);
        return FAILURE_USAGE;
    }
    data[0] = (uint8_t)severity;
    memcpy(data + 1, text, len);
    n = sendto(fd, data, len + 1, 0, (const struct sockaddr *)&address, sizeof address);
    if (n < 0)
        fprintf(stderr, "spx agent call: %s: %s: is the agent running with this CallSocket?\n",
                path, system_text(errno));
    close(fd);
    return n < 0 ? FAILURE_OTHER : FAILURE_NONE;
}
