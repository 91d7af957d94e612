/* -D: connections whose application names the target, by SOCKS or HTTP (forward/proxy.h).
 * A connection is here until its stream is open: then it is an endpoint's; one that asked for a UDP
 * socket (forward/associate.h) stays until the application closes it. */
#ifndef SPX_FORWARD_DYNAMIC_H
#define SPX_FORWARD_DYNAMIC_H

#include "forward/endpoint.h"

#define REQUEST_S 10 /* for the application to send its request */
#define WITHOUT_STREAM_MAX 1024
#define ASSOCIATIONS_MAX 64 /* UDP sockets of a proxy */
#define LEAVING_S 2         /* for an application that was refused to read why */

struct failures;
struct dynamic;

/* label: put before log lines. failures and it are the caller's. on_room: dynamic_has_room is true
 * again. NULL without memory. */
struct dynamic *dynamic_new(struct loop *loop, const char *label, struct failures *failures,
                            void (*on_room)(void *arg), void *arg);

/* True if a connection can be taken: at most WITHOUT_STREAM_MAX are without a stream. One more
 * takes the place of the one that was refused first, or else of the oldest whose request is not
 * whole; only without any of these there is no room. */
bool dynamic_has_room(const struct dynamic *d);

/* Takes a connection; fd is its own. */
void dynamic_take(struct dynamic *d, int fd);

/* Requests become streams of this session from now on, or are refused when it has no more; NULL:
 * they wait. */
void dynamic_set_session(struct dynamic *d, struct session *s);

/* Resets the connections it has. After the session's streams have ended. NULL is harmless. */
void dynamic_free(struct dynamic *d);

#endif
