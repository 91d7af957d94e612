/* An application's connection (a socket, or standard input and output) tied to a stream. */
#ifndef SPX_FORWARD_ENDPOINT_H
#define SPX_FORWARD_ENDPOINT_H

#include "net/loop.h"
#include "session/stream.h"

struct endpoint;
struct http_body;

/* Tells that it has ended: code 0, both sides closed cleanly and the peer has all; otherwise the
 * stream was reset, by the peer or, RESET_BY_APPLICATION, because the application's side failed.
 * text says why. The endpoint frees itself after the call. */
typedef void endpoint_ended(void *arg, enum reset_code code, const char *text);

/* Ties a connected socket, TCP or UNIX, to a stream. fd is the endpoint's from now on. ended may be
 * NULL. NULL without memory or descriptors: the fd is still the caller's. */
struct endpoint *endpoint_new(struct loop *loop, int fd, bool is_unix, endpoint_ended *ended,
                              void *arg);

/* The same for two descriptors that may be files, pipes or a terminal. */
struct endpoint *endpoint_new_pair(struct loop *loop, int in, int out, endpoint_ended *ended,
                                   void *arg);

/* For the stream; the owner pointer is the endpoint. */
extern const struct stream_events endpoint_events;

/* Before endpoint_start: bytes that were read from fd already go to the stream first (copied).
 * False without memory. */
bool endpoint_unread(struct endpoint *e, struct view bytes);

/* Before endpoint_start: of what the application sends only what belongs to this body (copied) goes
 * to the stream, which ends when there is more. */
void endpoint_limit(struct endpoint *e, const struct http_body *body);

/* Starts moving bytes. stream has endpoint_events and the endpoint as its owner. */
void endpoint_start(struct endpoint *e, struct stream *stream);

/* The same for a connection just accepted: what the application has sent already goes with OPEN. */
void endpoint_start_accepted(struct endpoint *e, struct stream *stream);

/* Gives up before endpoint_start: closes with a reset. */
void endpoint_drop(struct endpoint *e);

#endif
