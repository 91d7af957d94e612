/* The connections of one process on their loop, and the signals that reach all of them. */
#include "client/group.h"

#include <signal.h>
#include <stdlib.h>

#include "audit/exchange.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/exits.h"
#include "base/log.h"

#define HEAD_US (300 * CLOCK_US_PER_S)

struct group {
    struct loop *loop;
    struct audit *audit; /* or NULL */
    struct timer heads;  /* of it, when agents are owed one again */
    struct connection **all;
    size_t count, running;
};

static void on_ended(void *arg)
{
    struct group *g = arg;
    if (--g->running == 0)
        loop_stop(g->loop);
}

static void on_status_signal(void *arg, int signo)
{
    struct group *g = arg;
    (void)signo;
    for (size_t i = 0; i < g->count; i++)
        connection_log_status(g->all[i]);
}

static void on_signal(void *arg, int signo)
{
    struct group *g = arg;
    (void)signo;
    for (size_t i = 0; i < g->count; i++)
        connection_interrupt(g->all[i]);
}

/* ssh ends its ProxyCommand by SIGHUP; under nohup the signal stays ignored. */
static bool heeds_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

static void on_head(void *arg, struct view head)
{
    struct group *g = arg;
    for (size_t i = 0; i < g->count && g->all; i++)
        if (g->all[i])
            connection_tell_head(g->all[i], head);
}

static void on_heads(struct timer *timer)
{
    struct group *g = container_of(timer, struct group, heads);
    for (size_t i = 0; i < g->count; i++)
        connection_owe_head(g->all[i]);
    audit_want_head(g->audit);
    timer_set(g->loop, timer, loop_now(g->loop) + HEAD_US);
}

static bool begin_audit(struct group *g, const struct client_task *task, struct error *e)
{
    const struct client_config *config = task->config;
    const struct audit_settings settings = {.path = config->audit,
                                            .role = "client",
                                            .limit_bytes = audit_bytes(config->audit_mb),
                                            .own_key = task->party->own->public_key,
                                            .on_head = on_head,
                                            .arg = g};
    if (config->audit && !(g->audit = audit_start(g->loop, &settings, e)))
        return false;
    g->heads.on_fire = on_heads;
    if (g->audit)
        timer_set(g->loop, &g->heads, loop_now(g->loop) + HEAD_US);
    audit_started(g->audit, task->party->own->public_key);
    return true;
}

static bool prepare(struct group *g, const struct client_task *tasks, struct error *e)
{
    struct connection_place place = {.alone = g->count == 1, .ended = on_ended, .arg = g};
    g->loop =
        loop_new_with_signals(on_signal, heeds_hangup() ? on_signal : NULL, on_status_signal, g, e);
    if (!g->loop)
        return false;
    if (!begin_audit(g, &tasks[0], e))
        return false;
    g->all = calloc(g->count, sizeof *g->all);
    if (!g->all)
        return error_no_memory(e);
    place.loop = g->loop;
    place.audit = g->audit;
    for (size_t i = 0; i < g->count; i++) {
        place.row = (unsigned)i;
        g->all[i] = connection_new(&tasks[i], &place);
        if (!g->all[i])
            return error_no_memory(e);
    }
    return true;
}

/* Starts all; if one cannot begin, it says why and none does. */
static bool start_all(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct error e = {0};
        if (connection_start(g->all[i], &e))
            continue;
        connection_stop(g->all[i], e.failure, e.text);
        while (i-- > 0)
            connection_stop(g->all[i], e.failure, "not all forwards can be opened");
        return false;
    }
    return true;
}

static enum failure run(struct group *g)
{
    enum failure failure = FAILURE_NONE;
    if (start_all(g)) {
        log_started();
        loop_run(g->loop);
    }
    for (size_t i = 0; i < g->count; i++) {
        enum failure one = connection_end(g->all[i]);
        failure = failure ? failure : one;
    }
    return failure;
}

enum failure group_run(const struct client_task *tasks, size_t count)
{
    struct group g = {.count = count, .running = count};
    struct error e = {0};
    enum failure failure;
    if (prepare(&g, tasks, &e)) {
        failure = run(&g);
    } else {
        log_error("%s", e.text);
        failure = e.failure;
    }
    audit_leave_loop(g.audit);
    if (g.loop)
        timer_cancel(g.loop, &g.heads);
    loop_free(g.loop);
    for (size_t i = 0; i < count && g.all; i++)
        connection_free(g.all[i]);
    free(g.all);
    audit_ended(g.audit, exit_text(failure));
    audit_end(g.audit, AUDIT_END_US);
    return failure;
}
