/* The end of the call socket that asks: one datagram, and the answer to it. */
#include "agent/call_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/call_socket.h"
#include "base/files.h"
#include "base/text.h"

#define REPLY_S 10 /* so long a command waits for the agent */

/* A name of its own, which the system chooses, for the answer. */
static bool can_be_answered(int fd)
{
    static const struct sockaddr_un any = {.sun_family = AF_UNIX};
    static const struct timeval limit = {.tv_sec = REPLY_S};
    return bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

static enum failure show_reply(int fd, const char *path)
{
    char data[CALL_REPLY_BYTES], words[CALL_REPLY_BYTES];
    struct error e = {0};
    ssize_t n = recv(fd, data, sizeof data, 0);
    if (n < 1) {
        fprintf(stderr,
                "spx agent call: %s: the agent does not say what became of the call; one that was "
                "started before an upgrade cannot\n",
                path);
        return FAILURE_TIMED_OUT;
    }
    text_clean(words, sizeof words, view_of(data + 1, (size_t)n - 1));
    if (data[0] != '+') {
        fprintf(stderr, "spx agent call: %s\n", words);
        return FAILURE_OTHER;
    }
    puts(words);
    if (output_flush(&e))
        return FAILURE_NONE;
    fprintf(stderr, "spx agent call: %s\n", e.text);
    return e.failure;
}

static enum failure send_call(int fd, const char *path, uint8_t severity, struct view text)
{
    struct sockaddr_un address;
    uint8_t data[TEXT_MAX_BYTES + 1] = {severity};
    memcpy(data + 1, text.data, text.len);
    if (!call_socket_address(&address, path) || !can_be_answered(fd)) {
        fprintf(stderr, "spx agent call: %s: %s\n", path, system_text(errno));
        return FAILURE_OTHER;
    }
    if (sendto(fd, data, text.len + 1, 0, (const struct sockaddr *)&address, sizeof address) >= 0)
        return show_reply(fd, path);
    fprintf(stderr, "spx agent call: %s: %s: %s\n", path, system_text(errno),
            errno == EACCES ? "only root and the agent's user may call for help"
                            : "is the agent running with this CallSocket?");
    return FAILURE_OTHER;
}

enum failure call_send(const char *path, unsigned severity, const char *text)
{
    enum failure failure;
    size_t len = strlen(text);
    int fd;
    if (len > TEXT_MAX_BYTES) {
        fprintf(stderr, "spx agent call: a text of %zu bytes: expected at most %d\n", len,
                TEXT_MAX_BYTES);
        return FAILURE_USAGE;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fprintf(stderr, "spx agent call: cannot open a socket: %s\n", system_text(errno));
        return FAILURE_OTHER;
    }
    failure = send_call(fd, path, (uint8_t)severity, view_of(text, len));
    close(fd);
    return failure;
}
