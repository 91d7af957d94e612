/* A hop of the relay: a client's, an agent's control hop, an agent's circuit hop (docs/PROTOCOL.md
 * sections 2 to 4). */
#ifndef SPX_RELAY_PEER_H
#define SPX_RELAY_PEER_H

#include "hop/crowd.h"
#include "hop/driver.h"
#include "net/address.h"

struct relay;
struct user;
struct agent;
struct pending;
struct hello_job;

#define PEER_ADDRESS_BYTES 72 /* an IPv6 address with its scope, and a port */

enum peer_kind {
    PEER_NEW,     /* not open yet: nothing is registered for it */
    PEER_CLIENT,  /* of user */
    PEER_CONTROL, /* of agent, which may have a newer one by now */
    PEER_CIRCUIT, /* of agent: parked, offered, or dialled and not open yet */
};

/* Kept small: an idle agent costs two of these. */
struct peer {
    struct hop_driver driver; /* first: peer_of */
    struct relay *relay;
    struct list all;             /* in the relay's peers */
    struct crowd_member waiting; /* while it has proven nothing */
    uint8_t kind;                /* enum peer_kind */
    struct user *user;
    struct agent *agent;
    struct list place;       /* among the hops of its user, or the parked hops of its agent */
    struct pending *pending; /* client: its CONNECT; circuit hop: the one offered on it */
    uint64_t offer;          /* PEER_NEW: the number of the OFFER whose ticket HELLO had; 0: none */
    struct hello_job *job;   /* its first message is being read by another thread; else NULL */
    char *watch;             /* client: the query of its WATCH, else NULL */
    struct list watching;    /* in the relay's watchers then */
    struct deferred deferred; /* its memory is freed after the round */
    char address[PEER_ADDRESS_BYTES];
};

/* Takes a descriptor just accepted (closed on failure): nobody is in its way in the crowd. */
void peer_accept(struct relay *r, int fd, const struct address *address,
                 const uint8_t source[SOURCE_BYTES]);

/* Starts a hop over a connection the relay has dialled, for this CONNECT. NULL: error says why, the
 * descriptor is closed. */
struct peer *peer_dial(struct relay *r, int fd, const struct address *address, struct pending *p,
                       struct error *e);

/* Encrypts a message and writes what can be written. False: the hop has failed or is failing, its
 * end follows. */
bool peer_send(struct peer *peer, enum message_type type, struct view body);

/* Ends a hop now, with BYE if it is open and not quiet; never from its own handler. Its pending is
 * told, unless it was taken off before. */
void peer_bye(struct peer *peer, enum code code, const char *text, uint32_t retry_s);

/* Takes the descriptor for a circuit, with what is still to be written; the peer is gone. */
int peer_take(struct peer *peer, struct fifo *unsent);

/* What a hop of the relay does (handlers.c). */
extern const struct hop_handler peer_handler;

#endif
