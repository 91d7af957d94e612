#include "forward/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "forward/endpoint.h"
#include "net/dial.h"

struct targets {
    struct loop *loop;
    char label[160];
    const struct target_pattern *allow;
    size_t allow_count;
    struct list waiting; /* attempts whose turn has not come */
    unsigned connecting;
};

/* The owner of a stream until its target is connected. */
struct attempt {
    struct list link; /* on targets->waiting, or on none */
    struct targets *targets;
    struct stream *stream;
    struct dial *dial;
    struct target target;
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
    free(a);
    start_waiting(t);
}

/* Refuses the stream and says so in the log. */
static void refuse(struct attempt *a, enum reset_code code, const char *text)
{
    log_info("%s: %s: %s", a->targets->label, a->text, text);
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

static void connected(struct attempt *a, int fd, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    struct endpoint *e;
    struct stream *st = a->stream;
    socket_set_application(fd);
    e = endpoint_new(a->targets->loop, fd, NULL, NULL);
    if (!e) {
        close(fd);
        refuse(a, RESET_INTERNAL, "out of memory or descriptors");
        return;
    }
    address_to_text(text, address);
    log_info("%s: %s: connected, stream %u", a->targets->label, a->text, st->id);
    stream_set_owner(st, &endpoint_events, e);
    endpoint_start(e, st);
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
    struct dial_request request = {
        .host = a->target.endpoint.host,
        .port = a->target.endpoint.port,
        .timeout_us = TARGET_CONNECT_S * CLOCK_US_PER_S,
        .allow = allows,
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
            refuse(a, RESET_INTERNAL, "out of memory");
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

static void on_nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events attempt_events = {
    .pull = pull,
    .push = push,
    .on_eof = on_nothing,
    .on_reset = on_reset,
    .on_done = on_nothing,
};

void targets_open(struct targets *t, struct stream *stream, struct view target)
{
    struct error why = {0};
    struct attempt *a = calloc(1, sizeof *a);
    if (!a) {
        stream_reset(stream, RESET_INTERNAL, "out of memory");
        return;
    }
    list_init(&a->link);
    a->targets = t;
    a->stream = stream;
    stream_set_owner(stream, &attempt_events, a);
    text_clean(a->text, sizeof a->text, target);
    if (!value_target(&a->target, a->text, &why))
        refuse(a, RESET_UNSUPPORTED, why.text);
    else if (a->target.kind == TARGET_UDP)
        refuse(a, RESET_UNSUPPORTED, "datagrams are not supported by this agent");
    else if (!may_allow(t, &a->target))
        refuse(a, RESET_NOT_PERMITTED, "not permitted by this agent's configuration");
    else {
        list_append(&t->waiting, &a->link);
        start_waiting(t);
    }
}
