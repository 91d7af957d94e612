/* A local UDP socket whose datagrams go out on streams: one stream for each key that its owner
 * makes of a datagram. */
#ifndef SPX_FORWARD_UDP_LOCAL_H
#define SPX_FORWARD_UDP_LOCAL_H

#include "forward/failures.h"
#include "net/address.h"
#include "net/loop.h"
#include "session/stream.h"

#define UDP_KEY_BYTES 260   /* at most; shorter ones have zeros behind */
#define UDP_STREAMS_MAX 256 /* of a socket; one more takes the place of the one idle longest */

struct udp_local;

struct udp_local_events {
    /* A datagram came to the socket: may call udp_local_send once, and udp_local_reply. */
    void (*take)(void *owner, const struct address *from, struct view bytes);
    /* An answer came on the stream of this key. */
    void (*answer)(void *owner, const uint8_t key[UDP_KEY_BYTES], struct view bytes);
};

/* Binds. Without a session all datagrams are dropped. NULL: e says what and where. */
struct udp_local *udp_local_new(struct loop *loop, const struct address *listen,
                                const struct udp_local_events *events, void *owner,
                                struct failures *failures, struct error *e);

/* Streams are of this session from now on; NULL: there are none. */
void udp_local_set_session(struct udp_local *l, struct session *s);

/* Sends a datagram on the stream of a key, opening one to the target if there is none; or drops it.
 */
void udp_local_send(struct udp_local *l, const void *key, size_t key_len, const char *target,
                    struct view bytes);

/* Sends a datagram from the socket, or drops it. */
void udp_local_reply(struct udp_local *l, const struct address *to, struct view bytes);

/* The address that is bound. */
const struct address *udp_local_bound(const struct udp_local *l);

/* Resets its streams, and closes. NULL is harmless. */
void udp_local_free(struct udp_local *l);

#endif
