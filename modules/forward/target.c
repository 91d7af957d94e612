#include "forward/target.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/log.h"
#include "base/text.h"
#include "forward/endpoint.h"
#include "forward/refusals.h"
#include "forward/udp_target.h"
#include "net/dial.h"
#include "net/socket.h"

struct targets {
    struct loop *loop;
    char label[160];
    const struct target_pattern *allow;
    size_t allow_count;
    struct list waiting; /* attempts whose turn has not come */
    unsigned connecting;
    struct refusals refusals;
};

/* The owner of a stream until its target is connected. */
struct attempt {
    struct list link; /* on targets->waiting, or on none */
    struct targets *targets;
    struct stream *stream;
    struct dial *dial;
    struct target target;
    bool own; /* of this side's own configuration */
    /* The first datagrams, which come before the target is there. */
    struct fifo early;
    uint16_t early_len[EARLY_DATAGRAMS];
    unsigned early_count;
    char text[TARGET_TEXT_BYTES];
};

struct targets *targets_new(struct loop *loop, const char *label,
                            const struct target_pattern *allow, size_t allow_count)
{
    struct targets *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = loop;
    list_init(&t->waiting);
    targets_set_label(t, label);
    targets_set_policy(t, allow, allow_count);
    return t;
}

void targets_set_label(struct targets *t, const char *label)
{
    snprintf(t->label, sizeof t->label, "%s", label);
}

void targets_set_policy(struct targets *t, const struct target_pattern *allow, size_t allow_count)
{
    t->allow = allow;
    t->allow_count = allow_count;
}

void targets_free(struct targets *t)
{
    if (t)
        refusals_end(&t->refusals, t->label);
    free(t);
}

static bool may_allow(const struct targets *t, const struct target *target)
{
    for (size_t i = 0; i < t->allow_count; i++)
        if (target_pattern_may_allow(&t->allow[i], target))
            return true;
    return false;
}

static bool allows(void *arg, const struct address *address)
{
    const struct attempt *a = arg;
    const struct targets *t = a->targets;
    for (size_t i = 0; i < t->allow_count; i++)
        if (target_pattern_allows(&t->allow[i], &a->target, address))
            return true;
    return false;
}

static void start_waiting(struct targets *t);

static void attempt_free(struct attempt *a)
{
    struct targets *t = a->targets;
    if (a->dial) {
        dial_cancel(a->dial);
        t->connecting--;
    }
    list_remove(&a->link);
    fifo_clear(&a->early);
    free(a);
    start_waiting(t);
}

/* Refuses the stream and says so in the log. */
static void refuse(struct attempt *a, enum reset_code code, const char *text)
{
    struct targets *t = a->targets;
    refusals_log(&t->refusals, loop_now(t->loop), t->label, a->text, text);
    stream_reset(a->stream, code, text);
    attempt_free(a);
}

static enum reset_code code_of(enum dial_result result)
{
    static const enum reset_code codes[] = {
        [DIAL_NO_NAME] = RESET_NO_NAME,           [DIAL_REFUSED] = RESET_REFUSED,
        [DIAL_UNREACHABLE] = RESET_UNREACHABLE,   [DIAL_TIMED_OUT] = RESET_TIMEOUT,
        [DIAL_NOT_ALLOWED] = RESET_NOT_PERMITTED, [DIAL_INTERNAL] = RESET_INTERNAL,
    };
    return codes[result];
}

/* The socket is the stream's owner from now on; false without memory or descriptors. */
static bool hand_over_connection(struct attempt *a, int fd, const struct address *address)
{
    struct endpoint *e = endpoint_new(a->targets->loop, fd, address_is_unix(address), NULL, NULL);
    if (!e)
        return false;
    socket_set_application(fd, address);
    stream_set_owner(a->stream, &endpoint_events, e);
    endpoint_start(e, a->stream);
    return true;
}

static void send_early(struct attempt *a, struct udp_target *u)
{
    for (unsigned i = 0; i < a->early_count; i++) {
        const uint8_t *bytes = fifo_front_whole(&a->early, a->early_len[i]);
        if (!bytes)
            return;
        udp_target_send(u, view_of(bytes, a->early_len[i]));
        fifo_drop(&a->early, a->early_len[i]);
    }
}

static bool hand_over_datagrams(struct attempt *a, int fd)
{
    char label[sizeof a->targets->label + sizeof a->text + 2];
    struct udp_target *u;
    snprintf(label, sizeof label, "%s: %s", a->targets->label, a->text);
    u = udp_target_new(a->targets->loop, fd, label);
    if (!u)
        return false;
    stream_set_owner(a->stream, &udp_target_events, u);
    udp_target_start(u, a->stream);
    send_early(a, u);
    return true;
}

static void connected(struct attempt *a, int fd, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    struct stream *st = a->stream;
    bool datagrams = a->target.kind == TARGET_UDP;
    if (!(datagrams ? hand_over_datagrams(a, fd) : hand_over_connection(a, fd, address))) {
        socket_close_reset(fd);
        refuse(a, RESET_INTERNAL, "out of memory or descriptors");
        return;
    }
    address_to_text(text, address);
    log_info("%s: %s: %s, stream %u", a->targets->label, a->text,
             datagrams ? "open for datagrams" : "connected", stream_id(st));
    attempt_free(a);
    stream_accept(st, text);
}

static void dial_done(void *arg, enum dial_result result, int fd, const struct address *address,
                      const char *text)
{
    struct attempt *a = arg;
    a->dial = NULL;
    a->targets->connecting--;
    if (result == DIAL_OK)
        connected(a, fd, address);
    else
        refuse(a, code_of(result), text);
}

static bool start(struct attempt *a)
{
    bool path = a->target.kind == TARGET_UNIX;
    struct dial_request request = {
        .host = path ? a->text : a->target.at.host, /* "unix:/path" */
        .port = a->target.at.port,
        .owner = a->targets,
        .datagrams = a->target.kind == TARGET_UDP,
        .timeout_us = TARGET_CONNECT_S * CLOCK_US_PER_S,
        .allow = a->own ? NULL : allows,
        .done = dial_done,
        .arg = a,
    };
    a->dial = dial_start(a->targets->loop, &request);
    if (a->dial)
        a->targets->connecting++;
    return a->dial != NULL;
}

static void start_waiting(struct targets *t)
{
    while (!list_empty(&t->waiting) && t->connecting < CONNECTS_IN_PROGRESS) {
        struct attempt *a = container_of(t->waiting.next, struct attempt, link);
        list_remove(&a->link);
        if (!start(a)) {
            refuse(a, RESET_INTERNAL, NO_MEMORY_TEXT);
            return;
        }
    }
}

/* The peer gave up, or the session ended. */
static void on_reset(void *owner, unsigned code, const char *text)
{
    (void)code;
    (void)text;
    attempt_free(owner);
}

static ssize_t pull(void *owner, struct iovec *piece, int pieces)
{
    (void)owner;
    (void)piece;
    (void)pieces;
    return STREAM_PULL_NONE;
}

static size_t push(void *owner, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)data;
    (void)len;
    return 0;
}

/* Keeps the first few: a question need not be asked twice because its target was just being looked
 * up. */
static void on_datagram(void *owner, struct view bytes)
{
    struct attempt *a = owner;
    if (a->early_count == EARLY_DATAGRAMS || a->early.bytes + bytes.len > EARLY_DATAGRAM_BYTES ||
        !fifo_append(&a->early, bytes.data, bytes.len))
        return;
    a->early_len[a->early_count++] = (uint16_t)bytes.len;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events attempt_events = {
    .pull = pull,
    .push = push,
    .on_datagram = on_datagram,
    .on_eof = on_nothing,
    .on_reset = on_reset,
    .on_done = on_nothing,
};

/* The stream's owner from now on. NULL: it was reset. */
static struct attempt *attempt_new(struct targets *t, struct stream *stream)
{
    struct attempt *a = calloc(1, sizeof *a);
    if (!a) {
        stream_reset(stream, RESET_INTERNAL, NO_MEMORY_TEXT);
        return NULL;
    }
    list_init(&a->link);
    a->targets = t;
    a->stream = stream;
    stream_set_owner(stream, &attempt_events, a);
    return a;
}

void targets_connect(struct targets *t, struct stream *stream, const struct target *target)
{
    struct attempt *a = attempt_new(t, stream);
    if (!a)
        return;
    a->own = true;
    a->target = *target;
    target_to_text(a->text, target);
    list_append(&t->waiting, &a->link);
    start_waiting(t);
}

void targets_open(struct targets *t, struct stream *stream, struct view target)
{
    struct error why = {0};
    struct attempt *a = attempt_new(t, stream);
    if (!a)
        return;
    text_clean(a->text, sizeof a->text, target);
    if (!value_target(&a->target, a->text, &why))
        refuse(a, RESET_UNSUPPORTED, why.text);
    else if (!may_allow(t, &a->target))
        refuse(a, RESET_NOT_PERMITTED, "not permitted by this agent's configuration");
    else {
        list_append(&t->waiting, &a->link);
        start_waiting(t);
    }
}
