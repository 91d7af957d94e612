/* One circuit of a session: accepted and waiting for its carrier, or on it. */
#ifndef SPX_AGENT_ATTACHMENT_H
#define SPX_AGENT_ATTACHMENT_H

#include "crypto/circuit_label.h"
#include "session/driver.h"
#include "wire/messages.h"

struct service;
struct attachment;

struct attachment_events {
    /* As struct circuit_driver's: the circuit has failed, or the session is over. */
    void (*on_change)(struct attachment *t);
    /* It was dropped before it had its carrier, and no longer exists. v: the session it was for. */
    void (*on_dropped)(struct service *v, const struct attachment *t);
};

/* Until it has its carrier it belongs to the owner of that, who calls attachment_attach or
 * attachment_drop once, also when its session has ended meanwhile. From then on it belongs to the
 * session. */
struct attachment {
    struct circuit_driver driver;
    struct loop *loop;
    const struct attachment_events *events;
    struct service *service; /* NULL: it has ended */
    struct session *session;
    bool attached; /* has its carrier */
    struct cipher send, receive;
    uint32_t number;
    uint8_t relay_key[KEY_BYTES]; /* of the relay that joins it */
    uint64_t told_position;
    char label[CIRCUIT_LABEL_BYTES], circuit[HASH_NAME_BYTES];
    char from[ADDRESS_MAX_BYTES + 1]; /* the client's address, as the relay says */
    struct deferred burial;
};

/* An accepted circuit of the service's session, which takes its turns among these; the caller sets
 * its ciphers. NULL without memory. */
struct attachment *attachment_new(struct loop *loop, const struct attachment_events *events,
                                  struct service *v, struct session *session, struct turns *turns,
                                  const struct session_hello *hello, const char *label,
                                  const uint8_t relay_key[KEY_BYTES]);

/* Gives it its carrier, which it owns from then on. */
void attachment_attach(struct attachment *t, struct carrier *carrier);

/* Its hop did not become a circuit. */
void attachment_drop(struct attachment *t);

/* The session gives it up. It is freed at the end of the round, since this may be its own callback,
 * or, while it has no carrier, by attachment_attach or attachment_drop. */
void attachment_end(struct attachment *t);

#endif
