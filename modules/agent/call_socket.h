/* The local socket on which the running agent takes the storage system's calls for help. */
#ifndef SPX_AGENT_CALL_SOCKET_H
#define SPX_AGENT_CALL_SOCKET_H

#include "agent/state.h"
#include "base/error.h"

struct call_socket;
struct sockaddr_un;

/* The socket's address. False with errno: the path is too long, as no configuration has it. */
bool call_socket_address(struct sockaddr_un *address, const char *path);

/* The answer to a command: '+' or '-', and words for people. */
#define CALL_REPLY_BYTES (1 + TEXT_MAX_BYTES)

/* A call for help, or with severity 0 the end of one; the text is cleaned. */
struct call_request {
    uint8_t severity;
    uint32_t number; /* severity 0: of the call that ends; 0: all */
    char text[TEXT_MAX_BYTES + 1];
};

/* Reads the socket's datagram: severity (1), then the text, or with severity 0 the number of a call
 * in decimal, or nothing. False: it is none. */
bool call_request_read(struct call_request *call, struct view datagram);

/* Listens on the configured path (mode 0600; a socket left behind is replaced, one in
 * use is not). NULL: e says why.
 */
struct call_socket *call_socket_new(struct agent *a, const char *path, struct error *e);

/* Tells commands that wait that the agent is ending, and removes the socket unless another took its
 * place. NULL is harmless. */
void call_socket_free(struct call_socket *s);

/* True if this path leads to the socket. NULL: there is none. */
bool call_socket_is(const struct call_socket *s, const char *path);

/* The calls are on disk, or a relay has heard them, or came or went: answers commands that wait to
 * hear what became of their call. NULL: there is no socket. */
void call_socket_check(struct call_socket *s);

#endif
