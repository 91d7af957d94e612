/* -L and -D: a local listening socket whose connections become streams, to one target or to the one
 * that the application names. -U: a local UDP socket (forward/udp_listener.h). */
#ifndef SPX_FORWARD_LOCAL_LISTENER_H
#define SPX_FORWARD_LOCAL_LISTENER_H

#include "config/values.h"
#include "forward/endpoint.h"

struct failures;
struct local_listener;

/* Binds and listens; connections wait in the kernel until a session is set. failures: the
 * caller's. NULL: e says what and
 * where. */
struct local_listener *local_listener_new(struct loop *loop, const struct forward *forward,
                                          struct failures *failures, struct error *e);

/* Connections become streams of this session from now on; NULL: they wait again. */
void local_listener_set_session(struct local_listener *l, struct session *s);

/* From now on connections are refused, and those that wait are reset, until local_listener_open;
 * datagrams are dropped. Harmless when that is so already. False: e says what and where, and it
 * cannot be used any more. */
bool local_listener_shut(struct local_listener *l, struct error *e);
bool local_listener_open(struct local_listener *l, struct error *e);

/* A stream may be opened again (session_events.on_room). */
void local_listener_resume(struct local_listener *l);

/* The address that is bound, as text, and its port. */
const char *local_listener_address(const struct local_listener *l);
uint16_t local_listener_port(const struct local_listener *l);

/* After the session's streams have ended. */
void local_listener_free(struct local_listener *l);

#endif
