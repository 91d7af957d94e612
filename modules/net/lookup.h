/* From a name to its addresses: /etc/hosts first, then the name servers, of which few are asked at
 * a time. */
#ifndef SPX_NET_LOOKUP_H
#define SPX_NET_LOOKUP_H

#include "net/address.h"
#include "net/loop.h"

struct lookup;

enum lookup_result {
    LOOKUP_FOUND,
    LOOKUP_NO_NAME,
    LOOKUP_NO_ADDRESS,
    LOOKUP_FAILED, /* the name servers cannot answer */
    LOOKUP_TIMED_OUT,
    LOOKUP_NOT_HERE, /* and no name server was to be asked */
    LOOKUP_NO_MEMORY,
};

struct lookup_request {
    const char *name;  /* copied */
    const void *owner; /* of whose names few are looked up at a time; NULL: of carriers */
    bool no_servers;   /* only what this machine knows by itself */
    /* Called with addresses, which have port 0: at once with all, or with those of each family when
     * they are there; more: those of the other family may still come. It may not cancel. */
    void (*found)(void *arg, const struct address *addresses, unsigned count, bool more);
    /* Called once; the look-up is gone then. LOOKUP_FOUND: found was called before. */
    void (*ended)(void *arg, enum lookup_result result);
    void *arg;
};

#define LOOKUP_NAME_BYTES 256
#define LOOKUP_ADDRESSES_MAX 16

/* Starts; calls nothing before it has returned. At most 64 of a loop and 6 of an owner run at a
 * time, more wait. NULL without memory. */
struct lookup *lookup_start(struct loop *loop, const struct lookup_request *request);

/* Ends it; nothing is called any more. */
void lookup_cancel(struct lookup *lookup);

#endif
