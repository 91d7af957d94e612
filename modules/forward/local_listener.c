/* -L, -D and -U as one kind of object for the client. Only -L is done here: dynamic.c and
 * udp_listener.c do the others. */
#include "forward/local_listener.h"

#include <stdlib.h>

#include "forward/dynamic.h"
#include "forward/failures.h"
#include "forward/intake.h"
#include "forward/udp_listener.h"
#include "net/socket.h"

struct local_listener {
    struct loop *loop;
    struct intake *intake;
    struct session *session;
    struct failures *failures;
    char target[TARGET_TEXT_BYTES]; /* -L */
    struct dynamic *dynamic;        /* -D; else NULL */
    struct udp_listener *udp;       /* -U: all it has; else NULL */
};

/* The application sees only a reset; the user is told why. */
static void stream_ended(void *arg, enum reset_code code, const char *text)
{
    struct local_listener *l = arg;
    if (code)
        failures_log(l->failures, loop_now(l->loop), l->target, code, text);
}

static void open_stream(struct local_listener *l, int fd, bool is_unix)
{
    struct endpoint *e = endpoint_new(l->loop, fd, is_unix, stream_ended, l);
    struct stream *st;
    if (!e) {
        socket_close_reset(fd);
        return;
    }
    st = stream_open(l->session, l->target, &endpoint_events, e);
    if (st)
        endpoint_start_accepted(e, st);
    else
        endpoint_drop(e);
}

static bool may_take(void *owner)
{
    struct local_listener *l = owner;
    if (l->dynamic)
        return l->session && dynamic_has_room(l->dynamic);
    if (!l->session || session_may_open(l->session))
        return l->session != NULL;
    failures_note_full(l->failures, loop_now(l->loop), l->session);
    return false;
}

static void take(void *owner, int fd, const struct address *peer)
{
    struct local_listener *l = owner;
    if (l->dynamic)
        dynamic_take(l->dynamic, fd);
    else
        open_stream(l, fd, address_is_unix(peer));
}

static const struct intake_events intake_events = {.may_take = may_take, .take = take};

static void on_dynamic_room(void *arg)
{
    struct local_listener *l = arg;
    if (l->session)
        intake_go(l->intake);
}

/* The socket of -L and -D. */
static bool open_intake(struct local_listener *l, const struct forward *forward, struct error *e)
{
    l->intake = intake_new(l->loop, &forward->listen, &intake_events, l, e);
    if (!l->intake)
        return false;
    if (forward->kind == FORWARD_LOCAL) {
        target_to_text(l->target, &forward->target);
        return true;
    }
    l->dynamic = dynamic_new(l->loop, intake_address(l->intake), l->failures, on_dynamic_room, l);
    return l->dynamic || error_no_memory(e);
}

struct local_listener *local_listener_new(struct loop *loop, const struct forward *forward,
                                          struct failures *failures, struct error *e)
{
    struct local_listener *l = calloc(1, sizeof *l);
    if (!l) {
        error_no_memory(e);
        return NULL;
    }
    l->loop = loop;
    l->failures = failures;
    if (forward->kind == FORWARD_UDP
            ? (l->udp = udp_listener_new(loop, forward, failures, e)) != NULL
            : open_intake(l, forward, e))
        return l;
    local_listener_free(l);
    return NULL;
}

void local_listener_set_session(struct local_listener *l, struct session *s)
{
    l->session = s;
    if (l->udp) {
        udp_listener_set_session(l->udp, s);
        return;
    }
    if (l->dynamic)
        dynamic_set_session(l->dynamic, s);
    if (s)
        intake_go(l->intake);
    else
        intake_stop(l->intake);
}

bool local_listener_shut(struct local_listener *l, struct error *e)
{
    local_listener_set_session(l, NULL);
    return l->udp || intake_shut(l->intake, e);
}

bool local_listener_open(struct local_listener *l, struct error *e)
{
    return l->udp || intake_unshut(l->intake, e);
}

void local_listener_resume(struct local_listener *l)
{
    if (l->session && !l->udp)
        intake_go(l->intake);
}

const char *local_listener_address(const struct local_listener *l)
{
    return l->udp ? udp_listener_address(l->udp) : intake_address(l->intake);
}

uint16_t local_listener_port(const struct local_listener *l)
{
    return address_port(l->udp ? udp_listener_bound(l->udp) : intake_bound(l->intake));
}

void local_listener_free(struct local_listener *l)
{
    if (!l)
        return;
    udp_listener_free(l->udp);
    dynamic_free(l->dynamic);
    intake_free(l->intake);
    free(l);
}
