/* CONNECTs under way: from a client's CONNECT to CONNECTED or REFUSED (docs/PROTOCOL.md section 4).
 */
#ifndef SPX_RELAY_CONNECT_H
#define SPX_RELAY_CONNECT_H

#include "base/bytes.h"
#include "base/list.h"
#include "crypto/circuit_label.h"
#include "net/loop.h"
#include "wire/codes.h"
#include "wire/messages.h"

struct relay;
struct peer;
struct user;
struct agent;
struct pair;
struct dial;

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
 * takes its hop along. */
struct pending {
    struct relay *relay;
    struct list all, of_agent;
    struct peer *client;
    struct user *user;
    struct agent *agent;
    struct pair *pair;
    enum pending_state state;
    struct peer *hop;
    struct dial *dial;
    struct timer timer; /* CONNECT_WAIT_S are over */
    uint8_t ticket[TICKET_BYTES];
    uint64_t offer; /* number of the OFFER under way; 0: none */
    uint64_t offered_us;
    char id[CIRCUIT_LABEL_BYTES];
    size_t message1_len;
    uint8_t message1[]; /* the session's */
};

const char *pending_state_name(enum pending_state state);

/* CONNECT came. Returns as a hop's on_message does. */
bool pending_begin(struct peer *client, struct view body);

/* The agent has a new parked hop: what waits is offered. */
void pending_parked_came(struct agent *a);

/* The agent has a new control hop: what waits, and what was offered and not answered, is offered
 * anew. */
void pending_control_came(struct agent *a);

/* The agent's CONNECT whose OFFER has this ticket and was not taken yet; NULL: unknown, used or too
 * old. */
struct pending *pending_by_ticket(const struct agent *a, const uint8_t ticket[TICKET_BYTES],
                                  uint64_t now_us);

/* A hop opened by the agent with the ticket of this OFFER: it answers there. False: the OFFER is
 * over. */
bool pending_hop_came(struct agent *a, uint64_t offer, struct peer *hop);

/* The hop that was dialled is open: it is offered there. */
void pending_dialled(struct pending *p);

/* ACCEPT and REFUSE on a circuit hop; REFUSE on a control hop. Return as a hop's on_message does.
 */
bool pending_accept(struct peer *hop, struct view body);
bool pending_refuse_on_hop(struct peer *hop, struct view body);
bool pending_refuse_on_control(struct peer *control, struct view body);

/* The hop of an ACCEPT is detached, rest came behind its last record: joins both sockets. */
void pending_join(struct pending *p, struct view rest);

/* The hop it was offered on, or was about to be, has ended. */
void pending_hop_lost(struct pending *p, const char *why);

/* The client's hop has ended. */
void pending_client_gone(struct pending *p);

/* Ends it with REFUSED. */
void pending_refuse(struct pending *p, enum code code, const char *text, uint16_t retry_s);

#endif
