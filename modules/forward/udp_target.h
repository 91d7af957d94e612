/* A target's UDP socket tied to a stream of datagrams. */
#ifndef SPX_FORWARD_UDP_TARGET_H
#define SPX_FORWARD_UDP_TARGET_H

#include "forward/endpoint.h"

struct address;
struct log_party;
struct udp_target;

/* Ties a UDP socket that is connected to the address to a stream. fd is its own from now on; label:
 * put before log lines, copied. any_port: answers may come from any port of the address, and the
 * next datagrams go there, as TFTP has it; 5 s after the last of them, to the address again.
 * by: whose its lines in the log are. ended: is told at the end, as an endpoint tells it. It ends
 * with the stream, which it resets when there was no datagram for DATAGRAM_IDLE_S. A target that
 * refuses a datagram (ICMP) does not end it: a service that is started again is there for the next
 * one. NULL without memory or descriptors: the fd is still the caller's. */
struct udp_target *udp_target_new(struct loop *loop, int fd, const struct address *address,
                                  bool any_port, const char *label, const struct log_party *by,
                                  endpoint_ended *ended, void *arg);

/* For the stream; the owner pointer is the struct udp_target. */
extern const struct stream_events udp_target_events;

/* Starts moving datagrams. stream has udp_target_events and this as its owner. */
void udp_target_start(struct udp_target *t, struct stream *stream);

/* Sends one to the target, or drops it: 256 KiB wait for the network. */
void udp_target_send(struct udp_target *t, struct view bytes);

#endif
