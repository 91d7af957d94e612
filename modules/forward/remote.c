/* The client's side of -R: a LISTEN for each, and each connection goes to the local target. */
#include "forward/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "forward/target.h"

struct remote {
    const struct forward *forward;
    struct remotes *set;
    struct stream *listener; /* NULL: not asked, or refused */
};

struct remotes {
    struct loop *loop;
    struct log_party by;
    struct targets *targets;
    remote_refused *refused;
    void *arg;
    size_t count;
    struct remote each[];
};

struct remotes *remotes_new(struct loop *loop, const struct log_party *by,
                            const struct forward *forwards, size_t count, remote_refused *refused,
                            void *arg)
{
    struct remotes *r = calloc(1, sizeof *r + count * sizeof r->each[0]);
    if (!r)
        return NULL;
    r->loop = loop;
    r->by = *by;
    r->refused = refused;
    r->arg = arg;
    r->targets = targets_new(loop, "from the agent", by, NULL, 0);
    if (!r->targets) {
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (forwards[i].kind == FORWARD_REMOTE)
            r->each[r->count++] = (struct remote){.forward = &forwards[i], .set = r};
    return r;
}

void remotes_free(struct remotes *r)
{
    if (r)
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
        alive += r->each[i].listener != NULL;
    return alive;
}

static void on_listening(void *owner, struct view address)
{
    const struct remote *r = owner;
    char text[ADDRESS_MAX_BYTES + 1], target[TARGET_TEXT_BYTES];
    text_clean(text, sizeof text, address);
    target_to_text(target, &r->forward->target);
    log_caused(r->set->by.all, r->set->by.key, loop_now(r->set->loop), LOG_INFO,
               "forwarding %s at the agent to %s", text, target);
}

static void on_reset(void *owner, enum reset_code code, const char *text)
{
    char address[ADDRESS_TEXT_BYTES];
    struct remote *r = owner;
    bool over =
        session_state(stream_session(r->listener)) != SESSION_ACTIVE; /* it ends with its session */
    r->listener = NULL;
    if (over)
        return;
    address_to_text(address, &r->forward->listen);
    text = text[0] ? text : reset_code_text(code);
    log_caused(r->set->by.all, r->set->by.key, loop_now(r->set->loop), LOG_ERROR,
               "agent cannot listen on %s: %s", address, text);
    r->set->refused(r->set->arg, code, text);
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

bool remotes_ask(struct remotes *r, struct session *s, struct error *e)
{
    char address[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < r->count; i++) {
        struct remote *remote = &r->each[i];
        address_to_text(address, &remote->forward->listen);
        remote->listener = listen_request(s, address, &remote_events, remote);
        if (!remote->listener && errno == EAGAIN)
            return error_set(e, FAILURE_OTHER, "too many -R: an agent listens for at most %d",
                             LISTENERS_MAX);
        if (!remote->listener)
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
