/* -U: a local UDP socket. Each peer that sends to it gets a stream of datagrams to one target, and
 * its answers from the same socket. */
#ifndef SPX_FORWARD_UDP_LISTENER_H
#define SPX_FORWARD_UDP_LISTENER_H

#include "config/values.h"
#include "forward/udp_local.h"

struct udp_listener;

/* Binds; datagrams are dropped until a session is set. failures: the caller's. NULL: e says what
 * and where. */
struct udp_listener *udp_listener_new(struct loop *loop, const struct forward *forward,
                                      struct failures *failures, struct error *e);

/* Peers become streams of this session from now on; NULL: their datagrams are dropped. */
void udp_listener_set_session(struct udp_listener *l, struct session *s);

/* The address that is bound, as text and as it is. */
const char *udp_listener_address(const struct udp_listener *l);
const struct address *udp_listener_bound(const struct udp_listener *l);

/* NULL is harmless. */
void udp_listener_free(struct udp_listener *l);

#endif
