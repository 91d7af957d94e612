/* Looking up a name, and connecting to the first of its addresses that answers. */
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
    bool no_servers; /* a name is looked up in what this machine knows by itself, and nowhere else;
                        one that is not there is not allowed */
    bool datagrams;  /* UDP: the first address that is allowed and has a route is taken */
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

/* Starts. Literal addresses are tried at once; names are looked up (net/lookup.h; at most 64 at a
 * time, more wait). Connecting begins with the first answer; IPv4 addresses wait 50 ms for IPv6
 * ones. At most 16 addresses are tried, the families in turn; when one has not answered after
 * 250 ms the next is tried beside it (RFC 8305), the first that connects wins. Names under .invalid
 * are never asked for (RFC 6761). Every dial ends, by done or dial_cancel, before its loop is
 * freed. NULL without memory. */
struct dial *dial_start(struct loop *loop, const struct dial_request *request);

/* Ends it; done is not called any more. */
void dial_cancel(struct dial *dial);

#endif
