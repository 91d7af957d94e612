/* The client's local listeners, its -R and its standard input and output, as one object; the module
 * forward does the work of each. */
#include "client/forwards.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "forward/failures.h"
#include "forward/local_listener.h"
#include "forward/remote.h"
#include "forward/statement.h"
#include "net/socket.h"

struct forwards {
    struct loop *loop;
    struct forwards_request request;
    struct local_listener **listeners; /* of the -L, -D and -U among the forwards */
    size_t listener_count;
    struct remotes *remotes; /* of the -R among them */
    struct failures failures;
};

static void stdio_ended(void *arg, enum reset_code code, const char *text)
{
    const struct forwards *f = arg;
    char target[TARGET_TEXT_BYTES], reason[RESET_TEXT_BYTES];
    char why[sizeof target + sizeof reason + NAME_TEXT_BYTES + 16] = "finished";
    if (code == RESET_BY_APPLICATION) {
        snprintf(why, sizeof why, "%s", text);
    } else if (code) {
        target_to_text(target, f->request.stdio);
        reset_to_text(reason, code, text);
        snprintf(why, sizeof why, "target %s at %s: %s", target, f->failures.agent, reason);
    }
    f->request.ended(f->request.arg, code, why);
}

/* The agent has answered, or why it has not. */
static void question_heard(void *arg, enum reset_code code, const char *text, struct view answer)
{
    const struct forwards *f = arg;
    char why[RESET_TEXT_BYTES + NAME_TEXT_BYTES + 80] = "finished", reason[RESET_TEXT_BYTES];
    const char *none = code ? NULL : f->request.answered(f->request.arg, answer);
    reset_to_text(reason, code, text);
    if (code == RESET_UNSUPPORTED)
        snprintf(why, sizeof why, "agent %s is of a version of spx that cannot be asked for this",
                 f->failures.agent);
    else if (code)
        snprintf(why, sizeof why, "agent %s does not answer: %s", f->failures.agent, reason);
    else if (none)
        snprintf(why, sizeof why, "agent %s: %s", f->failures.agent, none);
    f->request.ended(f->request.arg, none ? RESET_REFUSED : code, why);
}

/* The client goes on as long as it forwards anything. */
static bool remote_ended(void *arg, enum reset_code code, const char *text)
{
    const struct forwards *f = arg;
    char why[RESET_TEXT_BYTES];
    if (f->listener_count || remotes_alive(f->remotes))
        return true;
    snprintf(why, sizeof why, "agent cannot listen: %s", text);
    f->request.ended(f->request.arg, code, why);
    return false;
}

/* NULL: e says why. */
static struct local_listener *open_listener(struct forwards *f, const struct forward *forward,
                                            struct error *e)
{
    char target[TARGET_TEXT_BYTES] = "targets named by SOCKS or HTTP";
    struct local_listener *l = local_listener_new(f->loop, forward, &f->failures, e);
    struct log_fields fields;
    if (!l)
        return NULL;
    f->listeners[f->listener_count++] = l;
    if (forward->kind != FORWARD_DYNAMIC)
        target_to_text(target, &forward->target);
    fields = log_party_fields(f->request.by, "listening");
    fields.address = local_listener_address(l);
    fields.target = target;
    log_event(LOG_INFO, &fields, "%sforwarding %s to %s", f->request.prefix, fields.address,
              target);
    return l;
}

/* Opens the local sockets of a forward; false: e says why. A program that looks up localhost may
 * try ::1 first, and must not meet another program there. */
static bool open_forward(struct forwards *f, const struct forward *forward, struct error *e)
{
    struct forward second = *forward;
    const struct local_listener *l;
    if (forward->kind == FORWARD_REMOTE)
        return true; /* the agent listens for it */
    l = open_listener(f, forward, e);
    if (!l || !forward->both_loopbacks)
        return l != NULL;
    address_from_literal(&second.listen, "::1", local_listener_port(l));
    return !socket_is_own_address(&second.listen) || open_listener(f, &second, e);
}

static bool open_all(struct forwards *f, struct error *e)
{
    const struct forwards_request *q = &f->request;
    f->listeners = calloc(2 * q->count + 1, sizeof *f->listeners);
    f->remotes = remotes_new(f->loop, q->by, q->forwards, q->count, q->prefix, remote_ended, f);
    if (!f->listeners || !f->remotes)
        return error_no_memory(e);
    for (size_t i = 0; i < q->count; i++)
        if (!open_forward(f, &q->forwards[i], e))
            return false;
    return true;
}

struct forwards *forwards_new(struct loop *loop, const struct forwards_request *request,
                              struct error *e)
{
    struct forwards *f = calloc(1, sizeof *f);
    if (!f) {
        error_no_memory(e);
        return NULL;
    }
    f->loop = loop;
    f->request = *request;
    f->failures = (struct failures){.agent = request->agent, .by = request->by};
    if (open_all(f, e))
        return f;
    forwards_free(f);
    return NULL;
}

uint16_t forwards_agent_streams(const struct forwards *f)
{
    return remotes_count(f->remotes) ? AGENT_STREAMS_MAX : 0;
}

static bool open_stdio(struct forwards *f, struct session *s)
{
    char target[TARGET_TEXT_BYTES];
    struct endpoint *e = endpoint_new_pair(f->loop, STDIN_FILENO, STDOUT_FILENO, stdio_ended, f);
    struct stream *st;
    target_to_text(target, f->request.stdio);
    st = e ? stream_open(s, target, &endpoint_events, e) : NULL;
    if (!st)
        return false;
    endpoint_start(e, st);
    return true;
}

bool forwards_begin(struct forwards *f, struct session *s, struct error *e)
{
    if (f->request.stdio && !open_stdio(f, s))
        return error_set(e, FAILURE_OTHER, "cannot use standard input or output");
    if (f->request.question && !statement_ask(s, f->request.question, question_heard, f))
        return error_no_memory(e);
    return remotes_ask(f->remotes, s, e);
}

bool forwards_tie(struct forwards *f, struct session *s, struct error *e)
{
    for (size_t i = 0; i < f->listener_count; i++) {
        if (!local_listener_open(f->listeners[i], e))
            return false;
        local_listener_set_session(f->listeners[i], s);
    }
    return true;
}

bool forwards_hold(struct forwards *f, struct error *e)
{
    for (size_t i = 0; i < f->listener_count; i++)
        if (!local_listener_shut(f->listeners[i], e))
            return false;
    return true;
}

void forwards_untie(struct forwards *f)
{
    remotes_stop(f->remotes);
    for (size_t i = 0; i < f->listener_count; i++)
        local_listener_set_session(f->listeners[i], NULL);
}

void forwards_resume(struct forwards *f)
{
    for (size_t i = 0; i < f->listener_count; i++)
        local_listener_resume(f->listeners[i]);
}

void forwards_connect(struct forwards *f, struct stream *stream, const struct stream *listener,
                      struct view peer)
{
    remotes_connect(f->remotes, stream, listener, peer);
}

void forwards_free(struct forwards *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->listener_count; i++)
        local_listener_free(f->listeners[i]);
    free(f->listeners);
    remotes_free(f->remotes);
    free(f);
}
