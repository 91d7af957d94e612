/* The storage system's call for help: a local socket on the running agent, and `spx agent call`
 * that speaks to it. */
#ifndef SPX_AGENT_CALL_H
#define SPX_AGENT_CALL_H

#include "agent/state.h"
#include "base/error.h"

struct call_socket;

/* A call for help, or with severity 0 the end of one; the text is cleaned. */
struct help_call {
    uint8_t severity;
    char text[TEXT_MAX_BYTES + 1];
};

/* Reads the socket's datagram: severity (1), text (the rest; ignored with severity 0). False: it is
 * empty. */
bool help_call_read(struct help_call *call, struct view datagram);

/* Listens on the configured path (mode 0600; a socket left behind is replaced, one in
 * use is not). NULL: e says why.
 */
struct call_socket *call_socket_new(struct agent *a, const char *path, struct error *e);
void call_socket_free(struct call_socket *s);

/* True if this path leads to the socket. NULL: there is none. */
bool call_socket_is(const struct call_socket *s, const char *path);

/* Sends a call for help to the agent with this socket. Severity 0 ends it; text is then empty. A
 * failure is written to standard error. */
enum failure call_send(const char *path, unsigned severity, const char *text);

#endif
