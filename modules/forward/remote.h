/* -R: what the agent is asked to listen on, and the local targets of the connections that come. */
#ifndef SPX_FORWARD_REMOTE_H
#define SPX_FORWARD_REMOTE_H

#include "base/log_rates.h"
#include "config/values.h"
#include "net/loop.h"
#include "session/listen.h"

/* Every -R of a client. */
struct remotes;

/* The agent refuses one of them, or has stopped listening; a line in the log says so. True: it is
 * asked again; false: the client ends for it. code: enum reset_code. Not called when the session
 * ends. */
typedef bool remote_refused(void *arg, enum reset_code code, const char *text);

/* Those of kind FORWARD_REMOTE among the forwards, which are the caller's, as is the prefix of log
 * lines; by: whose those are. NULL without memory. */
struct remotes *remotes_new(struct loop *loop, const struct log_party *by,
                            const struct forward *forwards, size_t count, const char *prefix,
                            remote_refused *refused, void *arg);

/* The number of them, and of those that were not refused in this session in a way that another try
 * does not mend. */
size_t remotes_count(const struct remotes *r);
size_t remotes_alive(const struct remotes *r);

/* Asks the agent in a new session. False: e says why not. */
bool remotes_ask(struct remotes *r, struct session *s, struct error *e);

/* The session ends or closes: nothing is asked any more. */
void remotes_stop(struct remotes *r);

/* For session_events.on_connection: connects the stream to the target that stands beside the
 * listener's address in the client's own configuration. */
void remotes_connect(struct remotes *r, struct stream *stream, const struct stream *listener,
                     struct view peer);

/* After the session's streams have ended. NULL is harmless. */
void remotes_free(struct remotes *r);

#endif
