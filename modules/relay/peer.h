/* A hop of the relay, with its kind: a newcomer until it is open, then a client's hop, an agent's
 * control hop or an agent's circuit hop (docs/PROTOCOL.md sections 2 to 4). Each kind has a file of
 * its own; nothing here knows them. */
#ifndef SPX_RELAY_PEER_H
#define SPX_RELAY_PEER_H

#include "hop/crowd.h"
#include "hop/driver.h"
#include "net/address.h"

struct relay;
struct known_user;
struct known_agent;
struct peer;
struct pending;
struct hello_job;

#define PEER_ADDRESS_BYTES 72 /* an IPv6 address with its scope, and a port */

/* A control message that a kind takes. Returns as a hop's on_message does. */
struct peer_message {
    enum message_type type;
    bool (*read)(struct peer *peer, struct view body);
};

/* A kind of hop: its end, and the messages that it takes. Constant. */
struct peer_kind {
    /* It has ended, or peer_bye ends it: takes it out of all that this kind has put it in, and may
     * use its user and agent. */
    void (*on_ended)(struct peer *peer, const char *why);
    /* peer_take takes its carrier: the same, for a hop that is a circuit now. NULL: nothing. */
    void (*on_taken)(struct peer *peer);
    /* It was detached inside one of its messages. NULL: none of its messages detaches it. */
    void (*on_detached)(struct peer *peer);
    const struct peer_message *messages;
    size_t message_count;
};

/* Kept small: an idle agent costs two of these. Invariant: a hop whose user or agent is set is on
 * that one's list of hops, so that it does not outlive who it names. */
struct peer {
    struct hop_driver driver;
    struct relay *relay;
    const struct peer_kind *kind;
    struct list all; /* in the relay's peers */
    struct known_user *user;
    struct known_agent *agent;
    struct list of_party;    /* among the hops of its user or agent */
    struct pending *pending; /* client: its CONNECT; circuit hop: the one offered on it */
    /* A newcomer's. */
    struct crowd_member waiting; /* while it has proven nothing */
    struct hello_job *job;       /* its first message is being read by another thread; else NULL */
    bool vouched;                /* the permit in its HELLO is signed by an authority */
    uint64_t offer;              /* the number of the OFFER whose ticket HELLO had; 0: none */
    /* A client's. */
    char *watch;          /* the query of its WATCH, else NULL */
    struct list watching; /* in the listing's watchers then */
    /* A circuit hop's. */
    struct list parked;       /* among the parked hops of its agent */
    struct deferred deferred; /* its memory is freed after the round */
    char address[PEER_ADDRESS_BYTES];
};

/* In the relay's peers, its hop to be started (or to listen) by the caller, then opened. NULL
 * without memory. */
struct peer *peer_new(struct relay *r, const struct address *address, const struct peer_kind *kind);

/* Drives its hop over a carrier, which it owns (NULL: none could be made). False: e says why, the
 * carrier is closed, the peer is freed; its kind is not told. */
bool peer_open(struct peer *peer, struct carrier *carrier, struct error *e);

static inline struct peer *peer_of(struct hop *h)
{
    return container_of(hop_driver_of(h), struct peer, driver);
}

/* Names its user or agent, once. */
void peer_belongs_to_user(struct peer *peer, struct known_user *u);
void peer_belongs_to_agent(struct peer *peer, struct known_agent *a);

/* on_message of every hop: gives a message to the kind, or fails the hop. */
bool peer_read_message(struct hop *h, unsigned type, struct view body);

/* Encrypts a message and writes what can be written. False: the hop has failed or is failing, its
 * end follows. */
bool peer_send(struct peer *peer, enum message_type type, struct view body);

/* Ends a hop now, with BYE if it is open and not quiet; never from its own handler. Its kind is
 * told. */
void peer_bye(struct peer *peer, enum code code, const char *text, uint32_t retry_s);

/* Takes the carrier for a circuit; the peer is gone. */
struct carrier *peer_take(struct peer *peer);

#endif
