#include "relay/server.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/version.h"
#include "config/reload.h"
#include "relay/circuit.h"
#include "relay/connect.h"
#include "relay/peer.h"
#include "relay/worker.h"

#define SWEEP_US (5 * CLOCK_US_PER_S)
#define SHUTDOWN_RETRY_S 1

/* Every circuit takes two descriptors, every agent too. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warning("the limit of open files stays as it is: %s", strerror(errno));
    }
}

static void on_sweep(struct timer *timer)
{
    struct relay *r = container_of(timer, struct relay, sweep);
    uint64_t now = loop_now(r->loop);
    crowd_sweep(&r->acceptor.crowd, now);
    directory_sweep(&r->directory, now);
    key_stock_fill(&r->stock);
    timer_set(r->loop, timer, now + SWEEP_US);
}

static bool still_allowed(const struct relay *r, const struct user *u, const struct agent *a)
{
    return u->generation == r->directory.generation && a->generation == r->directory.generation &&
           directory_may_reach(u, a->name);
}

/* Ends the connects and circuits that the configuration no longer allows. */
static void end_forbidden(struct relay *r)
{
    list_each (link, &r->pendings) {
        struct pending *p = container_of(link, struct pending, all);
        if (!still_allowed(r, p->user, p->agent))
            pending_refuse(p, CODE_REVOKED, "no longer permitted by the relay", 0);
    }
    list_each (link, &r->circuits) {
        struct relay_circuit *c = container_of(link, struct relay_circuit, all);
        if (c->user && !still_allowed(r, c->user, c->agent))
            relay_circuit_end(c, "no longer permitted");
    }
}

static void end_revoked(struct peer *peer)
{
    peer_bye(peer, CODE_REVOKED, "this key is no longer in the relay's configuration", 0);
}

static void end_gone_users(struct list *gone)
{
    list_each (link, gone) {
        struct user *u = container_of(link, struct user, all);
        while (!list_empty(&u->peers))
            end_revoked(container_of(u->peers.next, struct peer, place));
        directory_free_user(u);
    }
}

static void end_gone_agents(struct list *gone)
{
    list_each (link, gone) {
        struct agent *a = container_of(link, struct agent, all);
        while (!list_empty(&a->parked))
            end_revoked(container_of(a->parked.next, struct peer, place));
        if (a->control)
            end_revoked(a->control);
        directory_free_agent(a);
    }
}

static bool know(struct known_keys *known, const struct relay_config *config)
{
    bool all = true;
    known_keys_begin(known);
    for (size_t i = 0; i < config->user_count; i++)
        all &= known_keys_add(known, config->users[i].public_key);
    for (size_t i = 0; i < config->agent_count; i++)
        all &= known_keys_add(known, config->agents[i].public_key);
    known_keys_end(known);
    return all;
}

/* Takes over a configuration: who is no longer in it, or no longer allowed, is ended. */
static void apply(struct relay *r, const struct relay_config *config)
{
    struct list gone_users, gone_agents;
    list_init(&gone_users);
    list_init(&gone_agents);
    bool known = know(r->known, config);
    if (!directory_update(&r->directory, config, loop_now(r->loop), &gone_users, &gone_agents) ||
        !known)
        log_error("no memory for all users and agents: some are not known");
    end_forbidden(r);
    end_gone_users(&gone_users);
    end_gone_agents(&gone_agents);
    r->party.keepalive_s = (uint16_t)config->keepalive_s;
}

static void on_reload(void *arg, int signo)
{
    struct relay *r = arg;
    struct relay_config fresh, old;
    struct error e = {0};
    (void)signo;
    if (!relay_config_load(&fresh, r->config_path, &e)) {
        log_error("%s; the old configuration stays in effect", e.text);
        return;
    }
    config_carry_over(&relay_config_file, &r->config, &fresh);
    apply(r, &fresh);
    old = r->config;
    r->config = fresh;
    relay_config_free(&old);
    log_info("configuration reloaded: %zu users, %zu agents", r->config.user_count,
             r->config.agent_count);
}

static void on_stop(void *arg, int signo)
{
    static const char why[] = "the relay is shutting down";
    struct relay *r = arg;
    log_info("stopping: %s", signo == SIGINT ? "interrupted" : "told to end");
    acceptor_stop(r);
    while (!list_empty(&r->pendings)) {
        pending_refuse(container_of(r->pendings.next, struct pending, all), CODE_SHUTDOWN, why,
                       SHUTDOWN_RETRY_S);
    }
    list_each (link, &r->circuits)
        relay_circuit_end(container_of(link, struct relay_circuit, all), why);
    while (!list_empty(&r->peers)) {
        peer_bye(container_of(r->peers.next, struct peer, all), CODE_SHUTDOWN, why,
                 SHUTDOWN_RETRY_S);
    }
    timer_cancel(r->loop, &r->sweep);
    timer_cancel(r->loop, &r->notices.timer);
    loop_stop(r->loop);
}

/* How many this process may run on. */
static unsigned cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < RELAY_WORKERS_MAX ? (unsigned)count : RELAY_WORKERS_MAX;
}

static void init(struct relay *r, const struct relay_config *config, const char *path)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    r->config_path = path;
    r->config = *config;
    r->key = config->key;
    r->worker_count = config->workers ? config->workers : cores();
    r->party.own = &r->key;
    r->party.stock = &r->stock;
    key_stock_init(&r->stock);
    handshake_mac1_key(r->party.mac1_key, r->key.public_key);
    r->party.version = SPX_VERSION_TEXT;
    r->party.labels = "";
    list_init(&r->peers);
    list_init(&r->pendings);
    list_init(&r->circuits);
    directory_init(&r->directory, hash_key);
    listing_init(r);
    acceptor_init(r);
    r->sweep.on_fire = on_sweep;
}

static bool start(struct relay *r, struct error *e)
{
    r->loop = loop_new();
    r->known = known_keys_new();
    if (!r->loop || !r->known)
        return error_set(e, FAILURE_OTHER, "no memory or descriptors");
    r->party.known = r->known;
    key_stock_fill(&r->stock);
    apply(r, &r->config);
    if (!loop_on_signal(r->loop, SIGTERM, on_stop, r) ||
        !loop_on_signal(r->loop, SIGINT, on_stop, r) ||
        !loop_on_signal(r->loop, SIGHUP, on_reload, r))
        return error_set(e, FAILURE_OTHER, "cannot handle signals: %s", strerror(errno));
    timer_set(r->loop, &r->sweep, loop_now(r->loop) + SWEEP_US);
    return workers_start(r, e) && acceptor_start(r, e); /* threads start with signals blocked */
}

static void finish(struct relay *r)
{
    if (r->loop) {
        acceptor_stop(r);
        timer_cancel(r->loop, &r->sweep);
    }
    workers_stop(r);
    workers_free(r);
    acceptor_free(r);
    directory_free(&r->directory);
    known_keys_free(r->known);
    key_stock_end(&r->stock);
    relay_config_free(&r->config);
    wipe(&r->key, sizeof r->key);
}

enum failure relay_serve(struct relay_config *config, const char *path)
{
    struct error e = {0};
    struct relay *r = calloc(1, sizeof *r);
    if (!r) {
        log_error("no memory");
        relay_config_free(config);
        return FAILURE_OTHER;
    }
    init(r, config, path);
    wipe(&config->key, sizeof config->key);
    raise_descriptor_limit();
    if (start(r, &e))
        loop_run(r->loop);
    else
        log_error("cannot start: %s", e.text);
    finish(r);
    free(r);
    return e.failure;
}
