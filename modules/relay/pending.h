/* A CONNECT under way, from its coming to CONNECTED or REFUSED (docs/PROTOCOL.md section 4): its
 * states, and its end. How an agent is reached stands in ways.c, what is asked there in offer.c. */
#ifndef SPX_RELAY_PENDING_H
#define SPX_RELAY_PENDING_H

#include "base/bytes.h"
#include "base/list.h"
#include "crypto/circuit_label.h"
#include "net/carriers.h"
#include "wire/codes.h"
#include "wire/messages.h"

struct log_fields;
struct relay;
struct peer;
struct known_user;
struct known_agent;
struct pair;

enum pending_state {
    PENDING_WAITING, /* the agent is not there yet */
    PENDING_PARKED,  /* offered on a parked hop: hop */
    PENDING_TICKET, /* offered on the control hop; hop once the agent has opened one with the ticket
                     */
    PENDING_DIALLING, /* dial */
    PENDING_GREETING, /* connected to the agent, the handshake is under way: hop */
    PENDING_DIALLED,  /* offered on the hop that was dialled: hop */
    PENDING_ACCEPTED, /* CONNECTED is sent, both sockets are about to be joined: hop */
};

/* Invariants: 1. client->pending and, if there is one, hop->pending are this. 2. at most one for a
 * client, and PENDING_PER_USER_AGENT for a pair. 3. an OFFER that is not answered when it ends
 * takes its hop along. 4. it ends before its user and its agent are forgotten. */
struct pending {
    struct relay *relay;
    struct list all, of_agent;
    struct peer *client;
    struct known_user *user;
    struct known_agent *agent;
    struct pair *pair;
    enum pending_state state;
    /* Goes the best way to the agent that there is now, if there is one; may end it. */
    void (*try_ways)(struct pending *p);
    struct peer *hop;
    struct carrier_dial dial;
    struct timer timer; /* CONNECT_WAIT_S are over */
    uint8_t ticket[TICKET_BYTES];
    uint64_t offer; /* number of the OFFER under way; 0: none */
    uint64_t offered_us;
    char label[CIRCUIT_LABEL_BYTES], circuit[HASH_NAME_BYTES];
    size_t message1_len;
    uint8_t message1[]; /* the session's */
};

/* A CONNECT of this client, whose hop is quiet from now on. The caller sets try_ways and calls it.
 * NULL without memory. */
struct pending *pending_new(struct peer *client, struct known_agent *a, struct pair *pair,
                            struct view message1);

/* An entry of the audit, of a line's fields: about it. by: who decided, or NULL. */
void pending_note(const struct pending *p, const struct log_fields *f, const char *by);

/* The fields of a line about it, with this event. */
struct log_fields pending_fields(const struct pending *p, const char *event);

/* Goes to a state, and logs it. */
void pending_set_state(struct pending *p, enum pending_state state);

/* The hop that it is, or is to be, offered on. */
void pending_set_hop(struct pending *p, struct peer *hop);

/* Takes the hop off it, without ending the hop. NULL: it had none. */
struct peer *pending_release_hop(struct pending *p);

/* Takes back what is under way at the agent: it waits. A hop on which an OFFER is not answered
 * ends: an ACCEPT could still come there. */
void pending_withdraw(struct pending *p);

/* The agent has a new way: all that wait try it. */
void pending_way_came(struct known_agent *a);

/* The hop it was offered on, or was about to be, has ended: it tries again, or is refused if the
 * hop was dialled. */
void pending_hop_lost(struct pending *p, const char *why);

/* The client's hop has ended. */
void pending_client_gone(struct pending *p);

/* Ends it with REFUSED: in the relay's words; because the agent cannot be reached; in the agent's
 * words. */
void pending_refuse(struct pending *p, enum code code, const char *text, uint16_t retry_s);
void pending_refuse_unreachable(struct pending *p, const char *why);
void pending_refuse_as(struct pending *p, const struct refusal *m);

/* Ends it: both hops were taken off it and are joined. */
void pending_joined(struct pending *p);

/* Sends REFUSED to a client, with or without a CONNECT under way. */
void pending_send_refused(struct peer *client, const struct refusal *m);

#endif
