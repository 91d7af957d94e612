/* A hop that this side opens: name look-up, connect and handshake in one object, with one error. */
#ifndef SPX_HOP_OUTGOING_H
#define SPX_HOP_OUTGOING_H

#include "hop/driver.h"
#include "net/carriers.h"

struct outgoing;

struct outgoing_request {
    const char *host;
    uint16_t port;
    const struct hop_party *party;
    const struct hop_handler *handler; /* finds its struct by outgoing_of */
    enum role role;
    const uint8_t *peer_key;
    const uint8_t *ticket; /* NULL unless used */
    /* The hop could not be opened or has ended; hop_error of o->driver.hop tells why, and names the
     * peer and its address if the hop was never open. Called once, never inside outgoing_start; the
     * callee calls outgoing_close. */
    void (*on_ended)(struct outgoing *o);
    /* The first message is on its way: time to compute what is needed once it is answered. May be
     * NULL. */
    void (*on_waiting)(struct outgoing *o);
    /* As struct hop_driver's; may be NULL. */
    void (*on_detached)(struct outgoing *o);
};

#define OUTGOING_RELAY_BYTES (256 + ADDRESS_TEXT_BYTES + 4) /* a host's name is at most 255 */

struct outgoing {
    struct hop_driver driver;
    struct loop *loop;
    struct carrier_dial dial;
    struct outgoing_request request;
    uint8_t peer_key[KEY_BYTES];
    uint8_t ticket[TICKET_BYTES];
    char address[ADDRESS_TEXT_BYTES]; /* connected to, or tried last, or the name */
    char relay[OUTGOING_RELAY_BYTES]; /* as configured, and that address */
    bool running;                     /* between outgoing_start and outgoing_close */
    bool open;                        /* the handshake is complete */
};

static inline struct outgoing *outgoing_of(struct hop *h)
{
    return container_of(hop_driver_of(h), struct outgoing, driver);
}

/* Starts; o is zeroed or closed. Keys and ticket are copied, host must live until the look-up has
 * ended. False without memory. */
bool outgoing_start(struct outgoing *o, struct loop *loop, const struct outgoing_request *request);

/* The handler's on_open calls this first: the time limits of connecting no longer count. */
void outgoing_opened(struct outgoing *o);

/* "refused by relay RELAY: WHY", of one that ended by a refusal of the peer. */
#define OUTGOING_REFUSAL_BYTES (ERROR_TEXT_BYTES + OUTGOING_RELAY_BYTES + 128)
void outgoing_refusal_text(char out[OUTGOING_REFUSAL_BYTES], const struct outgoing *o);

/* Ends it at any stage; no callback comes any more. */
void outgoing_close(struct outgoing *o);

#endif
