/* A hop as an engine without I/O: handshake, records, control messages, keepalive (docs/PROTOCOL.md
 * sections 2 to 4). */
#ifndef SPX_HOP_HOP_H
#define SPX_HOP_HOP_H

#include "base/fifo.h"
#include "crypto/handshake.h"
#include "wire/codes.h"
#include "wire/messages.h"
#include "wire/wire_error.h"

enum hop_state {
    HOP_WAIT_HELLO,   /* responder: the first message is not whole yet */
    HOP_READING,      /* responder: the owner reads the first message, hop_hello_read follows */
    HOP_SILENT,       /* responder: it will never be right; nothing is read or answered any more */
    HOP_WAIT_WELCOME, /* initiator: the first message is out */
    HOP_WAIT_FIRST,   /* responder: WELCOME is out; the initiator's first record has not verified */
    HOP_OPEN,
    HOP_DETACHED, /* the bytes from here on belong to a circuit */
    HOP_ENDED,    /* hop_error says why; the bytes in out may still be written */
};

struct hop;

/* The owner's callbacks. Called from inside hop_input; may send, detach and end, not free. */
struct hop_handler {
    /* Responder: a whole first message with a right mac1 and a known suite has come; nothing of it
     * is decrypted. May be NULL. True: the owner has taken (copied) it, lets handshake_accept and
     * noise_prepare do the curve arithmetic wherever it likes, and calls hop_hello_read with the
     * result; until then the hop reads nothing. False: the hop does it at once. */
    bool (*on_first_message)(struct hop *h, struct view message);
    /* Responder: the first message was not authentic, or one that no honest initiator sends (its
     * HELLO is malformed, bytes follow it before the answer); the hop is silent until its owner
     * ends it. May be NULL. */
    void (*on_not_authentic)(struct hop *h);
    /* Responder: message 1 is authentic, peer_key set. Decide: the answer comes as CODE_FULL; set
     * code and text, and with CODE_OK also name. The views are used after the call: what they
     * point to must live until hop_input returns. A refusal is written and the hop ends. Not
     * called for a HELLO of version 0 or of a role that cannot connect here: that is refused. */
    void (*on_hello)(struct hop *h, const struct hello *hello, struct welcome *welcome);
    /* Open: both sides have proven their keys, and the peer's INFO (NULL: initiator, the peer's
     * INFO is still to come) is read. */
    void (*on_open)(struct hop *h, const struct info *info);
    /* A message other than PING, PONG and BYE, allowed by section 3's table for the peer's role.
     * Return false after hop_fail. INFO comes here for initiators. */
    bool (*on_message)(struct hop *h, unsigned type, struct view body);
};

/* Shared by all hops of a party. Outlives them. */
struct hop_party {
    const struct keypair *own;
    struct known_keys *known;     /* of the peers; NULL: none */
    struct key_stock *stock;      /* for answers; NULL: none */
    uint8_t mac1_key[HASH_BYTES]; /* handshake_mac1_key of the own public key, for responders */
    const char *version;          /* software version for INFO */
    const char *labels;           /* for INFO */
    uint16_t keepalive_s;         /* what WELCOME says; 0: the default */
    bool takes_calls;             /* INFO says that CALLS is taken */
    bool peer_lacks_aes;          /* known of the peer that hops are started to: suite 2 then */
    /* The user's permit as it is now, for HELLO; empty: none. Valid until the next call. NULL:
     * never one. */
    struct view (*permit)(void *permit_arg);
    void *permit_arg;
};

/* Embedded in its owner; an open one has no other memory while nothing waits. */
struct hop {
    enum hop_state state;
    bool initiator;
    bool quiet;        /* between hop_quiet_begin and hop_quiet_end */
    bool peer_has_aes; /* from INFO */
    bool info_read;
    bool mac1_valid; /* responder: a whole first message with a right mac1 has come */
    bool known_only; /* the same: set in on_first_message, silence for a key that is not in the
                        party's known */
    bool pinged;     /* a PING is out and nothing was read since */
    bool ping_waits; /* the last PING's PONG has not come */
    uint8_t own_role, peer_role;
    const struct hop_party *party;
    const struct hop_handler *handler;
    uint8_t peer_key[KEY_BYTES];
    char peer_name[NAME_TEXT_BYTES]; /* WELCOME's name, on both sides: what the responder knows the
                                        initiator by */
    struct noise *noise;             /* while shaking hands */
    struct cipher send, receive;
    uint8_t *partial; /* a message not whole yet */
    size_t partial_len, partial_size;
    struct fifo out; /* to be written to the carrier */
    uint64_t keepalive_us, last_read_us, last_ping_us, opened_us;
    uint64_t probe_us;        /* hop_probe's limit; 0: none */
    uint64_t pings;           /* sent so far: the number in the last one */
    uint64_t records;         /* read so far */
    struct wire_error *error; /* hop_error's; NULL: none, or no memory for it */
    uint32_t retry_s;         /* the peer's BYE or refusal: when to come back */
    bool refused_by_peer;     /* error is what the peer said */
    uint64_t rtt_us;          /* of the last PING answered, 0 unknown */
};

/* Initiator: writes the first message into out. role: the own one; ticket NULL unless used. False:
 * the key is not usable (hop_error); hop_free follows all the same. */
bool hop_start(struct hop *h, const struct hop_party *party, const struct hop_handler *handler,
               enum role role, const uint8_t peer_key[KEY_BYTES], const uint8_t *ticket,
               uint64_t now_us);

/* Responder: own_role ROLE_RELAY, or ROLE_AGENT_CIRCUIT for an agent that is dialled. */
void hop_listen(struct hop *h, const struct hop_party *party, const struct hop_handler *handler,
                enum role own_role, uint64_t now_us);

/* Ends HOP_READING, also from inside on_first_message: noise has read the first message, payload is
 * its result. Takes noise over (it is wiped and freed); NULL: the message was not authentic.
 * Harmless in any other state. */
void hop_hello_read(struct hop *h, struct noise *noise, struct view payload);

/* Takes bytes of the carrier (decrypts in them). Returns how many belonged to the hop: fewer than
 * len only when it was detached or ended; the rest are the circuit's. */
size_t hop_input(struct hop *h, uint8_t *data, size_t len, uint64_t now_us);

/* Encrypts one message into out. False: not open, or no memory (the hop then fails). */
bool hop_send(struct hop *h, enum message_type type, struct view body);

/* Sends BYE and ends. Under the quiet rule, or before the hop is open, it ends without a BYE. */
void hop_bye(struct hop *h, enum code code, const char *text, uint32_t retry_s);

/* Ends with an error that this side has found; nothing is sent. Returns false. */
bool hop_fail(struct hop *h, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Why it has ended: as this side found or the peer said; CODE_OK: it goes on. Valid until hop_free
 * or hop_explain. */
const struct wire_error *hop_error(const struct hop *h);

/* Replaces the error of a hop that has ended: its owner knows more than the hop. */
void hop_explain(struct hop *h, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on the bytes are a circuit's; wipes the keys. Bytes in out still go first. Part of a
 * record that came before (the peer broke the quiet rule) is dropped. */
void hop_detach(struct hop *h);

/* Section 4's quiet rule: this side has asked for what may turn the hop into a circuit, and until
 * the answer nothing more may be written, as it could become the circuit's first bytes. So there is
 * no PING, no PONG and no BYE, and the peer's silence is no sign of its death. Begins once the
 * question (CONNECT, OFFER) is sent or, at the one who is asked and answers later, has come. */
void hop_quiet_begin(struct hop *h);

/* The answer was no: an ordinary hop again. The silence until now was asked for, liveness counts
 * from now on. Harmless when the hop was not quiet. Outside a handler hop_driver_update follows. */
void hop_quiet_end(struct hop *h, uint64_t now_us);

/* Does what is due: PING, the liveness limit. */
void hop_tick(struct hop *h, uint64_t now_us);

/* Asks whether the peer is still there: unless something is read within the time, the hop fails. */
void hop_probe(struct hop *h, uint64_t now_us, uint64_t within_us);

/* The time of the next hop_tick; CLOCK_NEVER: none. */
uint64_t hop_deadline(const struct hop *h);

/* Wipes and frees; peer_key and peer_name stay readable. The struct may then be used again. */
void hop_free(struct hop *h);

#endif
