/* One try to reach an agent through one relay: hop, LIST and CONNECT, session handshake, circuit.
 */
#ifndef SPX_CLIENT_REACH_H
#define SPX_CLIENT_REACH_H

#include "config/config.h"
#include "crypto/circuit_label.h"
#include "hop/outgoing.h"
#include "session/driver.h"

struct audit;
struct rate;
struct client_permit;
struct reach;

struct reach_outcome {
    struct wire_error error; /* code 0: reached */
    bool answered;           /* the relay's hop was open */
    bool keys_differ;        /* the relay lists another key than the known one */
    bool by_agent;    /* the error is from the agent itself, authenticated by session message 2 */
    uint32_t retry_s; /* the peer asks to wait as long as this */
};

/* The payload of session message 1, more than it ever takes. */
#define SESSION_HELLO_MAX (512 + PERMIT_MAX_BYTES)

struct reach_request {
    const struct client_relay *relay;
    const struct hop_party *party;
    const char *agent;
    const uint8_t *agent_key;
    const char *reason;                 /* the user's, for a new session; NULL: none */
    const char *emergency;              /* and the code for it; NULL: none */
    struct session *session;            /* the circuit is for */
    struct audit *audit;                /* or NULL; the relay and it exchange heads */
    struct rate *heads;                 /* of the relays' that are taken */
    const struct client_permit *permit; /* the user's; NULL: none */
    struct circuit_driver *driver; /* zeroed but for on_change and turns; open when done says so */
    /* Another relay is left to try: an agent that this one lists as offline is not waited for
     * (CODE_OFFLINE). */
    bool impatient;
    /* Nor long one that it lists as online and that does not answer there (CODE_TIMEOUT). */
    bool hurried;
    /* The relay lists the agent as offline, and waits for it. May be NULL. */
    void (*waits)(void *arg);
    /* Called once, from the loop: without an error in outcome the circuit is open. The callee calls
     * reach_end. */
    void (*done)(void *arg, struct reach *r);
    void *arg;
};

struct reach {
    struct outgoing hop;
    struct reach_request request;
    struct deferred result;
    struct noise noise; /* of the session's handshake */
    uint8_t message1[HANDSHAKE_MESSAGE1_OVERHEAD + SESSION_HELLO_MAX];
    size_t message1_len;
    struct reach_outcome outcome;
    bool accepted; /* by the agent: message 2 has been read */
    bool finished;
    uint8_t listed_key[KEY_BYTES];
    bool listed, listed_offline;     /* the list is complete; it has the agent as offline */
    char circuit[HASH_NAME_BYTES];   /* its name in audits */
    char label[CIRCUIT_LABEL_BYTES]; /* the circuit's, as in the relay's and the agent's log */
    struct cipher send, receive;
    uint32_t number; /* of the circuit, as message 1 tells it */
    uint64_t told_position;
};

/* Starts. False without memory. */
bool reach_start(struct reach *r, struct loop *loop, const struct reach_request *request);

/* True once its outcome is settled: done comes next, unless the hop is lost before. */
bool reach_is_settled(const struct reach *r);

/* Ends it in any stage; the driver stays. */
void reach_end(struct reach *r);

#endif
