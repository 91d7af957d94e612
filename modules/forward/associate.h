/* SOCKS UDP ASSOCIATE (RFC 1928 section 7): a UDP socket for one application, which names the
 * target in the head of each datagram. There is a stream for each target. */
#ifndef SPX_FORWARD_ASSOCIATE_H
#define SPX_FORWARD_ASSOCIATE_H

#include "forward/udp_local.h"

struct failures;
struct associate;

/* control: the connection it was asked for on, at whose own address the socket is bound and from
 * whose peer's address alone datagrams are taken. failures: the caller's. NULL: e says why. */
struct associate *associate_new(struct loop *loop, int control, struct session *s,
                                struct failures *failures, struct error *e);

/* Streams are of this session from now on; NULL: datagrams are dropped. */
void associate_set_session(struct associate *a, struct session *s);

/* Where the application sends its datagrams. */
const struct address *associate_bound(const struct associate *a);

/* NULL is harmless. */
void associate_free(struct associate *a);

#endif
