/* One circuit of a session: accepted and waiting for its socket, or over it. */
#ifndef SPX_AGENT_ATTACHMENT_H
#define SPX_AGENT_ATTACHMENT_H

#include "crypto/circuit_label.h"
#include "session/link.h"

struct service;
struct attachment;

struct attachment_events {
    /* As struct link's: the circuit has failed, or the session is over. */
    void (*on_change)(struct attachment *t);
    /* It was dropped before it had its socket, and is gone: a session whose it is no longer. */
    void (*on_dropped)(struct service *v, struct attachment *t);
};

/* Until it has its socket it belongs to whoever brings that, who gives it back once, with
 * attachment_attach or attachment_drop, also when its session has ended meanwhile. From then on it
 * is the session's. */
struct attachment {
    struct link link;
    struct loop *loop;
    const struct attachment_events *events;
    struct service *service; /* NULL: it has ended */
    struct session *session;
    bool attached; /* has its socket */
    struct cipher send, receive;
    uint32_t number;
    uint64_t told_position;
    char label[CIRCUIT_LABEL_BYTES];
    struct deferred burial;
};

/* An accepted circuit of the service's session, whose ciphers follow. NULL without memory. */
struct attachment *attachment_new(struct loop *loop, const struct attachment_events *events,
                                  struct service *v, struct session *session,
                                  const struct session_hello *hello, const char *label);

/* Gives it its carrier, which it then owns. */
void attachment_attach(struct attachment *t, struct carrier *carrier);

/* It did not come about. */
void attachment_drop(struct attachment *t);

/* The session lets go of it. It is freed at the end of the round, for this may be its own callback,
 * or once it is given back. */
void attachment_end(struct attachment *t);

#endif
