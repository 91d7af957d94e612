/* The client's side of -R: a LISTEN for each, again after a refusal, and each connection goes to
 * the local target. */
#include "forward/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "forward/target.h"
#include "session/session.h"

#define RETRY_FIRST_US CLOCK_US_PER_S
#define RETRY_MOST_US (30 * CLOCK_US_PER_S)

struct remote {
    const struct forward *forward;
    struct remotes *set;
    struct stream *listener;     /* NULL: not asked, or refused */
    struct timer retry;          /* asks again after a refusal */
    uint64_t pause_us;           /* before that; 0: it was not refused in this session */
    bool hopeless;               /* by what the agent says, another try will not help either */
    char told[RESET_TEXT_BYTES]; /* the refusal that the log has already */
};

struct remotes {
    struct loop *loop;
    struct log_party by;
    struct session *session; /* NULL: between two, or it closes */
    struct targets *targets;
    const char *prefix;
    remote_refused *refused;
    void *arg;
    size_t count;
    struct remote each[];
};

static void on_retry(struct timer *timer);

struct remotes *remotes_new(struct loop *loop, const struct log_party *by,
                            const struct forward *forwards, size_t count, const char *prefix,
                            remote_refused *refused, void *arg)
{
    struct remotes *r = calloc(1, sizeof *r + count * sizeof r->each[0]);
    if (!r)
        return NULL;
    r->loop = loop;
    r->by = *by;
    r->prefix = prefix;
    r->refused = refused;
    r->arg = arg;
    r->targets = targets_new(loop, NULL, "from the agent", by, NULL, 0);
    if (!r->targets) {
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (forwards[i].kind == FORWARD_REMOTE)
            r->each[r->count++] =
                (struct remote){.forward = &forwards[i], .set = r, .retry.on_fire = on_retry};
    return r;
}

void remotes_stop(struct remotes *r)
{
    r->session = NULL;
    for (size_t i = 0; i < r->count; i++)
        timer_cancel(r->loop, &r->each[i].retry);
}

void remotes_free(struct remotes *r)
{
    if (!r)
        return;
    remotes_stop(r);
    targets_free(r->targets);
    free(r);
}

size_t remotes_count(const struct remotes *r)
{
    return r->count;
}

size_t remotes_alive(const struct remotes *r)
{
    size_t alive = 0;
    for (size_t i = 0; i < r->count; i++)
        alive += r->each[i].listener || !r->each[i].hopeless;
    return alive;
}

static void on_listening(void *owner, struct view address)
{
    struct remote *r = owner;
    char text[ADDRESS_MAX_BYTES + 1], target[TARGET_TEXT_BYTES];
    text_clean(text, sizeof text, address);
    target_to_text(target, &r->forward->target);
    struct log_fields f = log_party_fields(&r->set->by, "listener_opened");
    f.address = text;
    f.target = target;
    log_caused_event(r->set->by.all, r->set->by.key, loop_now(r->set->loop), LOG_INFO, &f,
                     "%sforwarding %s at the agent to %s", r->set->prefix, text, target);
    r->pause_us = 0;
    r->told[0] = '\0';
}

static void ask_later(struct remote *r)
{
    uint64_t twice = 2 * r->pause_us;
    r->pause_us = !twice ? RETRY_FIRST_US : twice < RETRY_MOST_US ? twice : RETRY_MOST_US;
    timer_set(r->set->loop, &r->retry, loop_now(r->set->loop) + r->pause_us);
}

/* Each reason once. */
static void log_refusal(struct remote *r, const char *why)
{
    char address[ADDRESS_TEXT_BYTES], pause[24], again[sizeof pause + 24] = "";
    struct log_fields f = log_party_fields(&r->set->by, "listener_refused");
    bool told = strcmp(r->told, why) == 0;
    address_to_text(address, &r->forward->listen);
    text_duration(pause, r->pause_us);
    if (timer_is_set(&r->retry))
        snprintf(again, sizeof again, "; asking again in %s", pause);
    f.address = address;
    f.reason = why;
    log_caused_event(r->set->by.all, r->set->by.key, loop_now(r->set->loop),
                     told ? LOG_DEBUG : LOG_ERROR, &f, "%sagent cannot listen on %s: %s%s",
                     r->set->prefix, address, why, again);
    snprintf(r->told, sizeof r->told, "%s", why);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    struct remote *r = owner;
    bool over = !r->set->session || session_state(r->set->session) != SESSION_ACTIVE;
    r->listener = NULL;
    if (over)
        return; /* it ends with its session */
    text = text[0] ? text : reset_code_text(code);
    r->hopeless = code == RESET_NOT_PERMITTED || code == RESET_UNSUPPORTED;
    if (r->set->refused(r->set->arg, code, text))
        ask_later(r);
    log_refusal(r, text);
}

static void on_done(void *owner)
{
    on_reset(owner, RESET_INTERNAL, "the agent has stopped listening");
}

static const struct stream_events remote_events = {
    .on_opened = on_listening,
    .on_reset = on_reset,
    .on_done = on_done,
};

/* False with errno. */
static bool ask(struct remote *r)
{
    char address[ADDRESS_TEXT_BYTES];
    address_to_text(address, &r->forward->listen);
    r->listener = listen_request(r->set->session, address, &remote_events, r);
    return r->listener != NULL;
}

static void on_retry(struct timer *timer)
{
    struct remote *r = container_of(timer, struct remote, retry);
    if (ask(r))
        return;
    const char *why = system_text(errno);
    ask_later(r);
    log_refusal(r, why);
}

bool remotes_ask(struct remotes *r, struct session *s, struct error *e)
{
    char address[ADDRESS_TEXT_BYTES];
    r->session = s;
    for (size_t i = 0; i < r->count; i++) {
        struct remote *remote = &r->each[i];
        remote->pause_us = 0;
        remote->hopeless = false;
        if (ask(remote))
            continue;
        if (errno == EAGAIN)
            return error_set(e, FAILURE_OTHER, "too many -R: an agent listens for at most %d",
                             LISTENERS_MAX);
        address_to_text(address, &remote->forward->listen);
        return error_set(e, FAILURE_OTHER, "cannot ask the agent to listen on %s: %s", address,
                         system_text(errno));
    }
    return true;
}

void remotes_connect(struct remotes *r, struct stream *stream, const struct stream *listener,
                     struct view peer)
{
    const struct remote *remote = stream_owner(listener);
    char text[ADDRESS_MAX_BYTES + 1];
    text_clean(text, sizeof text, peer);
    log_caused(r->by.all, r->by.key, loop_now(r->loop), LOG_DEBUG,
               "connection from %s at the agent, stream %u", text, stream_id(stream));
    targets_connect(r->targets, stream, &remote->forward->target);
}
