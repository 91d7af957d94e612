/* Listeners: the client asks the agent to listen, and the agent opens a stream for each connection
 * that comes (docs/PROTOCOL.md section 5, "Agent-opened streams").
 *
 * A listener is a struct stream that carries no bytes. Of its events only three come: on_opened
 * (client: LISTENING came, with the address bound), on_reset (it was refused, or has ended with an
 * error) and on_done (the peer has ended it); after the last two it is gone. Either side ends it
 * with stream_reset. */
#ifndef SPX_SESSION_LISTEN_H
#define SPX_SESSION_LISTEN_H

#include "session/stream.h"

/* Client: asks the agent to listen on an address ("127.0.0.1:8080", port 0: the agent chooses).
 * NULL: there are settings.listeners or the session is ending (errno EAGAIN), the address is not
 * UTF-8 or too long (EINVAL), or without memory (ENOMEM). */
struct stream *listen_request(struct session *s, const char *address,
                              const struct stream_events *events, void *owner);

/* Agent: opens a stream for a connection to a listener that was accepted; peer: who connected.
 * Errors as of stream_open. */
struct stream *stream_open_for(struct stream *listener, const char *peer,
                               const struct stream_events *events, void *owner);

/* The peer's EOF on a listener's id. */
void listen_ended_by_peer(struct stream *listener);

#endif
