/* A door (net/door.h) for applications: it stays shut while its owner cannot take anybody. */
#include "forward/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_rate.h"
#include "net/descriptors.h"
#include "net/door.h"
#include "net/socket.h"

#define BACKLOG 1024

struct intake {
    struct door door;
    const struct intake_events *events;
    void *owner;
    struct log_seldom shortages;
    char text[ADDRESS_TEXT_BYTES];
};

static bool may_take(void *owner)
{
    struct intake *a = owner;
    return a->events->may_take(a->owner);
}

/* Hops and circuits keep the last descriptors for themselves. */
static void turn_away(struct intake *a, int fd)
{
    socket_close_reset(fd);
    log_seldom(&a->shortages, loop_now(a->door.io.loop), LOG_WARNING,
               "a connection to %s is reset: too few descriptors are left (raise the limit of open "
               "files)",
               a->text);
}

static void take(void *owner, int fd, const struct address *peer)
{
    struct intake *a = owner;
    if (descriptor_is_scarce(fd)) {
        turn_away(a, fd);
        return;
    }
    if (!address_is_loopback(&a->door.bound))
        socket_avoid_pacing(fd); /* the application may still be on this machine */
    a->events->take(a->owner, fd, peer);
}

static bool on_shortage(void *owner)
{
    struct intake *a = owner;
    log_seldom(&a->shortages, loop_now(a->door.io.loop), LOG_WARNING,
               "cannot accept on %s: %s; connections wait", a->text, system_text(errno));
    return false;
}

static const struct door_events door_events = {
    .take = take, .may_take = may_take, .on_shortage = on_shortage};

struct intake *intake_new(struct loop *loop, const struct address *listen,
                          const struct intake_events *events, void *owner, struct error *e)
{
    struct intake *a = calloc(1, sizeof *a);
    if (!a) {
        error_no_memory(e);
        return NULL;
    }
    a->events = events;
    a->owner = owner;
    if (!door_open(&a->door, loop, listen, BACKLOG, &door_events, a, e)) {
        free(a);
        return NULL;
    }
    if (descriptor_is_scarce(a->door.io.fd)) {
        error_set(e, FAILURE_OTHER,
                  "too few descriptors are left to listen: raise the limit of open files");
        intake_free(a);
        return NULL;
    }
    socket_set_application(a->door.io.fd, &a->door.bound);
    address_to_text(a->text, &a->door.bound);
    return a;
}

void intake_go(struct intake *a)
{
    door_go(&a->door);
}

void intake_stop(struct intake *a)
{
    door_stop(&a->door);
}

bool intake_shut(struct intake *a, struct error *e)
{
    if (a->door.shut)
        return true;
    if (!door_shut(&a->door, e))
        return false;
    socket_set_application(a->door.io.fd, &a->door.bound);
    return true;
}

bool intake_unshut(struct intake *a, struct error *e)
{
    return door_unshut(&a->door, e);
}

const char *intake_address(const struct intake *a)
{
    return a->text;
}

const struct address *intake_bound(const struct intake *a)
{
    return &a->door.bound;
}

void intake_free(struct intake *a)
{
    char what[sizeof a->text + 16];
    if (!a)
        return;
    door_close(&a->door);
    snprintf(what, sizeof what, "connections to %s", a->text);
    log_seldom_end(&a->shortages, LOG_INFO, what);
    free(a);
}
