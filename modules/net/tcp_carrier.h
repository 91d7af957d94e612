/* The plain carrier: a TCP connection (or another stream socket), whose bytes are the carrier's. */
#ifndef SPX_NET_TCP_CARRIER_H
#define SPX_NET_TCP_CARRIER_H

#include "net/carrier.h"

/* Takes a connected, non-blocking socket over. NULL without memory (errno): the socket is closed.
 */
struct carrier *tcp_carrier_new(int fd);

#endif
