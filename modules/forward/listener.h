/* -L and -D: a local listening socket whose connections become streams, to one target or to the one
 * that the application names. -U: a local UDP socket (forward/udp_listener.h). */
#ifndef SPX_FORWARD_LISTENER_H
#define SPX_FORWARD_LISTENER_H

#include "config/values.h"
#include "forward/endpoint.h"

struct listener;

/* Binds and listens; connections wait in the kernel until a session is set. NULL: e says what and
 * where. */
struct listener *listener_new(struct loop *loop, const struct forward *forward, struct error *e);

/* Connections become streams of this session from now on; NULL: they wait again. */
void listener_set_session(struct listener *l, struct session *s);

/* A stream may be opened again (session_events.on_room). */
void listener_resume(struct listener *l);

/* The address that is bound, as text. */
const char *listener_address(const struct listener *l);

/* After the session's streams have ended. */
void listener_free(struct listener *l);

#endif
