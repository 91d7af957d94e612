/* The storage system's calls for help: a local socket on the running agent, and `spx agent call`
 * that speaks to it. */
#ifndef SPX_AGENT_CALL_H
#define SPX_AGENT_CALL_H

#include "agent/state.h"
#include "base/error.h"

struct call_socket;

/* A call for help, or with severity 0 the end of one; the text is cleaned. */
struct help_call {
    uint8_t severity;
    uint32_t number; /* severity 0: of the call that ends; 0: all */
    char text[TEXT_MAX_BYTES + 1];
};

/* Reads the socket's datagram: severity (1), then the text, or with severity 0 the number of a call
 * in decimal, or nothing. False: it is none. */
bool help_call_read(struct help_call *call, struct view datagram);

/* Listens on the configured path (mode 0600; a socket left behind is replaced, one in
 * use is not). NULL: e says why.
 */
struct call_socket *call_socket_new(struct agent *a, const char *path, struct error *e);
void call_socket_free(struct call_socket *s);

/* True if this path leads to the socket. NULL: there is none. */
bool call_socket_is(const struct call_socket *s, const char *path);

/* The calls are on disk, or a relay has heard them, or came or went: answers commands that wait to
 * hear what became of their call. NULL: there is no socket. */
void call_socket_check(struct call_socket *s);

/* Sends a call for help to the agent with this socket, and says what became of it. Severity 0 ends
 * calls: text is then a number or empty. A failure is written to standard error. */
enum failure call_send(const char *path, unsigned severity, const char *text);

#endif
