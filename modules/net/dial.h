/* Name look-up off the loop, and connecting to the first address that answers. */
#ifndef SPX_NET_DIAL_H
#define SPX_NET_DIAL_H

#include "net/loop.h"
#include "net/socket.h"

struct dial;

enum dial_result {
    DIAL_OK,
    DIAL_NO_NAME,     /* the name has no address */
    DIAL_REFUSED,     /* connection refused */
    DIAL_UNREACHABLE, /* no route, network down, any other error */
    DIAL_TIMED_OUT,
    DIAL_NOT_ALLOWED, /* the filter refused every address */
    DIAL_INTERNAL,    /* no memory, no descriptor */
};

struct dial_request {
    const char
        *host; /* name, literal address, or "unix:/path" (then port is not looked at); copied */
    uint16_t port;
    /* Whose it is, for targets: of one owner's names only a few are looked up at a time, so that
     * names which nobody answers for do not hold up those of others, and the last descriptors are
     * left to carriers. A target's connection that is given up is reset. NULL: a carrier. */
    const void *owner;
    bool datagrams;      /* UDP: the first address that is allowed and has a route is taken */
    uint64_t timeout_us; /* for all of it */
    /* Asked for each address just before connecting to it; NULL allows all. Must not call
     * dial_cancel. */
    bool (*allow)(void *arg, const struct address *address);
    /* Called once, never inside dial_start; fd is the callee's (only with DIAL_OK, else -1),
     * address the one connected to, or the one that failed last (len 0: none was tried), text the
     * reason alone, without address or name ("" with DIAL_OK); both are valid during the call. The
     * dial is gone when it is called. */
    void (*done)(void *arg, enum dial_result result, int fd, const struct address *address,
                 const char *text);
    void *arg;
};

/* Starts. Literal addresses are tried at once; names are looked up in a thread (at most 16 at a
 * time, more wait). At most 16 addresses are tried, in the order of getaddrinfo; when one has not
 * answered after 250 ms the next is tried beside it (RFC 8305), the first that connects wins. Names
 * under .invalid are never asked for (RFC 6761). Every dial ends, by done or dial_cancel, before
 * its loop is freed. NULL without memory. */
struct dial *dial_start(struct loop *loop, const struct dial_request *request);

/* Ends it; done is not called any more. A look-up under way ends by itself and is thrown away. */
void dial_cancel(struct dial *dial);

#endif
