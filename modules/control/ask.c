/* Asks on a control socket, and reads the answer line by line. Blocks: it is for commands. */
#include "control/ask.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/exits.h"
#include "base/text.h"
#include "net/address.h"

struct answer_reader {
    int fd;
    const char *path;
    size_t len, used; /* in data; the lines before are taken */
    char data[2 * CONTROL_LINE_BYTES];
};

static bool say_why(const char *path, int error, struct error *e)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return error_set(e, FAILURE_TIMED_OUT, "%s: no answer in time", path);
    if (error == EACCES || error == EPERM)
        return error_set(e, FAILURE_DENIED, "%s: %s: the socket is closed to this user", path,
                         system_text(error));
    if (error == ENOENT || error == ECONNREFUSED)
        return error_set(e, FAILURE_OTHER, "%s: %s: nothing runs with this control socket", path,
                         system_text(error));
    if (error == EPROTOTYPE)
        return error_set(e, FAILURE_OTHER,
                         "%s: what listens there is of an earlier release: restart it", path);
    return error_set(e, FAILURE_OTHER, "%s: %s", path, system_text(error));
}

static int connect_to(const struct control_question *q, struct error *e)
{
    const struct timeval limit = {.tv_sec = (time_t)q->patience_s};
    struct address a;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), failed;
    if (fd < 0) {
        error_set(e, FAILURE_OTHER, "cannot open a socket: %s", system_text(errno));
        return -1;
    }
    if (!address_from_path(&a, q->path)) {
        close(fd);
        say_why(q->path, ENAMETOOLONG, e);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&a.storage, a.len) == 0)
        return fd;
    failed = errno;
    close(fd);
    say_why(q->path, failed, e);
    return -1;
}

static bool send_all(int fd, struct view bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        bytes = view_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return true;
}

/* Moves what is left to the front, and reads more after it. */
static bool read_more(struct answer_reader *in, struct error *e)
{
    ssize_t n;
    in->len -= in->used;
    memmove(in->data, in->data + in->used, in->len);
    in->used = 0;
    if (in->len == sizeof in->data)
        return error_set(e, FAILURE_OTHER, "%s: a line of the answer is too long", in->path);
    n = recv(in->fd, in->data + in->len, sizeof in->data - in->len, 0);
    if (n < 0)
        return say_why(in->path, errno, e);
    if (n == 0)
        return error_set(e, FAILURE_NETWORK, "%s: closed by the other side before its answer ended",
                         in->path);
    in->len += (size_t)n;
    return true;
}

/* The next line, without its newline, valid until the next call. */
static bool next_line(struct answer_reader *in, struct view *line, struct error *e)
{
    for (;;) {
        char *start = in->data + in->used;
        const char *newline = memchr(start, '\n', in->len - in->used);
        if (newline) {
            *line = view_of(start, (size_t)(newline - start));
            in->used += line->len + 1;
            return true;
        }
        if (!read_more(in, e))
            return false;
    }
}

/* The answer's last line. */
static bool end_of_answer(const struct json_object *o, char text[CONTROL_TEXT_BYTES],
                          struct error *e)
{
    char result[16] = "", said[CONTROL_TEXT_BYTES] = "";
    uint64_t code = 0;
    json_get_text(o, "result", result, sizeof result);
    json_get_text(o, "text", said, sizeof said);
    json_get_number(o, "code", &code);
    text_clean(text, CONTROL_TEXT_BYTES, view_of_string(said));
    if (strcmp(result, "done") == 0)
        return true;
    return error_set(e, code ? exit_failure(code) : FAILURE_OTHER, "%s", text);
}

static bool take_answer(const struct control_question *q, struct answer_reader *in,
                        char text[CONTROL_TEXT_BYTES], struct error *e)
{
    struct json_object o;
    struct view line;
    while (next_line(in, &line, e)) {
        if (!json_read(&o, line, e))
            return false;
        if (json_find(&o, "result"))
            return end_of_answer(&o, text, e);
        if (q->take && !q->take(q->arg, &o, line, e))
            return false;
    }
    return false;
}

bool control_ask(const struct control_question *q, char text[CONTROL_TEXT_BYTES], struct error *e)
{
    struct answer_reader in = {.path = q->path};
    bool good;
    in.fd = connect_to(q, e);
    if (in.fd < 0)
        return false;
    good = send_all(in.fd, q->request) ? take_answer(q, &in, text, e) : say_why(q->path, errno, e);
    close(in.fd);
    return good;
}
