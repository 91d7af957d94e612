/* Two processes and a socket between them: a byte asks, the errno answers, with a descriptor if it
 * is 0. Answers come in the order of the questions. */
#include "control/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/container.h"
#include "net/address.h"

#define CONNECT_S 5 /* with a backlog that is full */

struct opener {
    struct io io;                           /* to the process */
    struct connecting *asked[OPENINGS_MAX]; /* from `first` on; NULL: forgotten since */
    unsigned first, count;
    void (*failed)(void *owner);
    void *owner;
    pid_t process;
};

/* ---- The process that connects. ---- */

static int connect_to(const struct address *a)
{
    const struct timeval limit = {.tv_sec = CONNECT_S};
    int failed, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&a->storage, a->len) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

union passed {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool hand_over(int to, int fd, int error)
{
    union passed passed = {0};
    struct iovec data = {&error, sizeof error};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = passed.bytes;
        message.msg_controllen = sizeof passed.bytes;
        passed.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&passed.header), &fd, sizeof fd);
    }
    return sendmsg(to, &message, MSG_NOSIGNAL) == (ssize_t)sizeof error;
}

/* Until the other one is gone. The terminal's signals are for that one. */
static void serve(int asked, const struct address *a)
{
    char question;
    bool going = true;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    while (going && recv(asked, &question, 1, 0) == 1) {
        int fd = connect_to(a);
        going = hand_over(asked, fd, fd < 0 ? errno : 0);
        if (fd >= 0)
            close(fd);
    }
}

static bool begin_process(struct opener *o, const struct address *a, struct error *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        (o->process = fork()) < 0)
        return error_set(e, FAILURE_OTHER, "cannot start a process: %s", system_text(errno));
    if (o->process == 0) {
        close(pair[0]);
        serve(pair[1], a);
        _exit(0);
    }
    close(pair[1]);
    o->io.fd = pair[0];
    return fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0;
}

struct opener *opener_start(const char *path, struct error *e)
{
    struct address a;
    struct opener *o = calloc(1, sizeof *o);
    if (!o) {
        error_no_memory(e);
        return NULL;
    }
    if (!address_from_path(&a, path))
        error_set(e, FAILURE_USAGE, "%s: the path is too long for a socket", path);
    else if (begin_process(o, &a, e))
        return o;
    free(o);
    return NULL;
}

/* ---- Those who ask. ---- */

/* The descriptor that came with it; -1: none. */
static int take_descriptor(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void answer(struct opener *o, int fd, int error)
{
    struct connecting *w = o->count > 0 ? o->asked[o->first] : NULL;
    o->first = (o->first + 1) % OPENINGS_MAX;
    o->count -= o->count > 0;
    if (w)
        w->done(w, fd, fd < 0 && error == 0 ? EMFILE : error);
    else if (fd >= 0)
        close(fd);
}

static void on_read(struct io *io)
{
    struct opener *o = container_of(io, struct opener, io);
    union passed passed;
    int error = 0;
    struct iovec data = {&error, sizeof error};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = passed.bytes,
                             .msg_controllen = sizeof passed.bytes};
    ssize_t n = recvmsg(io->fd, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        io_read_drained(io);
    } else if (n != (ssize_t)sizeof error) {
        o->failed(o->owner);
        return;
    } else {
        answer(o, take_descriptor(&message), error);
    }
    io_want_read(io);
}

bool opener_enter(struct opener *o, struct loop *loop, void (*failed)(void *owner), void *owner)
{
    o->io.on_read = on_read;
    o->failed = failed;
    o->owner = owner;
    if (!io_add(loop, &o->io, o->io.fd))
        return false;
    io_want_read(&o->io);
    return true;
}

/* A question that cannot be sent is met by on_read. */
bool opener_ask(struct opener *o, struct connecting *w)
{
    if (o->count == OPENINGS_MAX)
        return false;
    o->asked[(o->first + o->count++) % OPENINGS_MAX] = w;
    send(o->io.fd, "", 1, MSG_NOSIGNAL);
    return true;
}

void opener_forget(struct opener *o, const struct connecting *w)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct connecting **asked = &o->asked[(o->first + i) % OPENINGS_MAX];
        *asked = *asked == w ? NULL : *asked;
    }
}

void opener_free(struct opener *o)
{
    if (!o)
        return;
    io_remove(&o->io);
    close(o->io.fd);
    waitpid(o->process, NULL, WNOHANG); /* it may still be connecting */
    free(o);
}
