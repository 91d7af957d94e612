/* Sockets: listening, accepting, options; every descriptor non-blocking and close-on-exec. */
#ifndef SPX_NET_SOCKET_H
#define SPX_NET_SOCKET_H

#include <stdbool.h>

#include "net/address.h"

/* A listening socket on the address (SO_REUSEADDR; an IPv6 wildcard takes IPv4 too; a UNIX socket's
 * file has mode 0600 and replaces one that nobody listens on, under a lock, PATH.lock, that lasts
 * as long as the call). -1: e says what and where. */
int socket_listen(const struct address *a, int backlog, struct error *e);

/* The same, bound and not listening: connections are refused until socket_begin_listening, whose
 * errors are those of socket_listen. On Linux two sockets can be bound so to one TCP port; the
 * first that listens has it. */
int socket_bind(const struct address *a, struct error *e);
bool socket_begin_listening(int fd, const struct address *a, int backlog, struct error *e);

/* The reason alone in the text of such an error, for who says where already; another text as it is.
 * Points into text. */
const char *socket_listen_reason(const char *text);

/* Removes the file of the UNIX socket that was bound to this address; nothing for other addresses.
 */
void socket_remove_file(const struct address *a);

/* Accepts one connection. -1 with errno (EAGAIN: none waits). */
int socket_accept(int listener, struct address *peer);

/* A connection being set up to the address: *in_progress when connect has still to finish (then it
 * is writable, and socket_connect_result tells). -1 with errno. */
int socket_connect(const struct address *a, bool *in_progress);

/* A UDP socket on the address, as socket_listen. Up to 256 KiB wait in its buffers. -1: e says what
 * and where. */
int socket_bind_datagram(const struct address *a, struct error *e);

/* A UDP socket to and from this address only. -1 with errno. */
int socket_connect_datagram(const struct address *a);

/* The text for an errno of listening on or connecting to the address. Valid as system_text's. */
const char *socket_error_text(int error, const struct address *a);

/* It is to and from any address again. False with errno. */
bool socket_leave_peer(int fd);

/* 0, or the errno of a connect to the address that failed. */
int socket_connect_result(int fd, const struct address *a);

/* Options of a carrier (PROTOCOL.md section 4): TCP_NODELAY, keepalive 30/10/3, TCP_USER_TIMEOUT 20
 * s, TCP_NOTSENT_LOWAT 128 KiB. Harmless on other kinds of sockets. */
void socket_set_carrier(int fd);

/* Options of an application's or target's socket, which is bound or connected to the address:
 * TCP_NODELAY, SO_OOBINLINE (urgent data is data), TCP_NOTSENT_LOWAT 128 KiB (what is more for a
 * reader that does not read stays with its sender), keepalive unless both ends are on this machine,
 * and that its peer sees a reset when the process is killed. Of a listening socket the connections
 * that it accepts inherit them. */
void socket_set_application(int fd, const struct address *a);

/* From now on closing it, by the kernel at the end of the process too, is a reset. */
void socket_reset_on_close(int fd);

/* Without the pacing of the system's congestion control, if the other end is near. */
void socket_avoid_pacing(int fd);

/* Closes so that the peer sees a TCP reset, never an end of file. A UNIX socket has no reset: its
 * peer gets ECONNRESET if there is something unread here (unix(7)), otherwise an end of file. */
void socket_close_reset(int fd);

/* Closes so that the peer sees an end of file, after all that was written, also of a socket that
 * socket_set_application has seen. */
void socket_close_clean(int fd);

/* True if the IP address is this machine's: 0.0.0.0, [::], or one that a socket can be bound to. */
bool socket_is_own_address(const struct address *a);

#endif
