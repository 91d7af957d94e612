/* A listening socket in the loop: takes the connections that come, a number of them in a round, and
 * pauses when descriptors or memory are short. */
#ifndef SPX_NET_DOOR_H
#define SPX_NET_DOOR_H

#include <sys/types.h>

#include "net/address.h"
#include "net/loop.h"

struct door_events {
    /* Takes a connection; fd is the owner's. Must not close the door. */
    void (*take)(void *owner, int fd, const struct address *peer);
    /* Says whether there is room for a connection now; if not, the next are accepted after
     * door_go. NULL: always. */
    bool (*may_take)(void *owner);
    /* Descriptors or memory are short; errno says which. True: the owner has given some back, and
     * the door tries again at once. False: it pauses for 100 ms, for the connection that waits
     * would wake the loop without end. */
    bool (*on_shortage)(void *owner);
};

/* Embedded in its owner; zeroed: closed. */
struct door {
    struct io io;
    struct timer pause;
    struct loop *loop; /* NULL: closed */
    const struct door_events *events;
    void *owner;
    struct address bound;
    dev_t device; /* of a UNIX socket's file, and its inode: not one that took its place */
    ino_t inode;
    int backlog;
    bool going, shut;
};

/* Listens; accepts from the first door_go on. False: e says what and where. */
bool door_open(struct door *d, struct loop *loop, const struct address *listen, int backlog,
               const struct door_events *events, void *owner, struct error *e);

/* Accepts, until there is no room or door_stop; after it connections wait in the kernel. */
void door_go(struct door *d);
void door_stop(struct door *d);

/* Shuts the door: connections that wait are reset, and others refused, until door_unshut; the
 * address stays its own as far as the system keeps it. Harmless when that is so already. False: e
 * says what and where; then it is closed, or still shut. */
bool door_shut(struct door *d, struct error *e);
bool door_unshut(struct door *d, struct error *e);

/* True if this path leads to the file of its UNIX socket. */
bool door_is_file(const struct door *d, const char *path);

/* Closes the socket; the file of a UNIX socket is removed. Harmless when it is closed. */
void door_close(struct door *d);

/* The backlog of a door to which strangers come: as long as systems have it, for a flood must not
 * fill it between two rounds. */
#define DOOR_BACKLOG 4096

#endif
