/* A listening socket that takes connections as long as its owner has room for them; the others wait
 * in the kernel. */
#ifndef SPX_FORWARD_INTAKE_H
#define SPX_FORWARD_INTAKE_H

#include "net/address.h"
#include "net/loop.h"

struct intake;

struct intake_events {
    /* True if a connection can be taken now; if not, call intake_go when one can. */
    bool (*may_take)(void *owner);
    /* Takes a connection: fd is the owner's. */
    void (*take)(void *owner, int fd, const struct address *peer);
};

/* Binds and listens; accepts from the first intake_go on. NULL: e says what and where. */
struct intake *intake_new(struct loop *loop, const struct address *listen,
                          const struct intake_events *events, void *owner, struct error *e);

/* There may be room: connections are accepted until may_take says no or intake_stop. */
void intake_go(struct intake *a);
void intake_stop(struct intake *a);

/* As door_shut and door_unshut (net/door.h). */
bool intake_shut(struct intake *a, struct error *e);
bool intake_unshut(struct intake *a, struct error *e);

/* The address that is bound, as text and as it is. */
const char *intake_address(const struct intake *a);
const struct address *intake_bound(const struct intake *a);

/* Closes it; the file of a UNIX socket is removed. NULL is harmless. */
void intake_free(struct intake *a);

#endif
