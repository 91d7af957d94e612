/* Ties the parts of the relay together. */
#include "relay/server.h"

#include <sched.h>

#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/version.h"
#include "config/reload.h"
#include "guard/guard.h"
#include "relay/accept.h"
#include "relay/authorities.h"
#include "relay/changes.h"
#include "relay/desk.h"
#include "relay/guard.h"
#include "relay/heads.h"
#include "relay/junction.h"
#include "relay/listing.h"
#include "relay/peer.h"
#include "relay/reload.h"
#include "relay/visitors.h"
#include "relay/worker.h"

#define SWEEP_US (5 * CLOCK_US_PER_S)
#define SHUTDOWN_RETRY_S 1

struct server {
    struct relay relay;
    struct acceptor acceptor;
    const char *config_path;
    const char *why; /* it ends */
    struct timer sweep;
};

static void on_sweep(struct timer *timer)
{
    struct relay *r = &container_of(timer, struct server, sweep)->relay;
    uint64_t now = loop_now(r->loop);
    crowd_sweep(&r->crowd, now);
    log_rates_sweep(&r->log, now);
    visitors_sweep(r);
    directory_sweep(&r->directory, now);
    key_stock_fill(&r->stock);
    heads_sweep(r, now);
    guard_tell_refused();
    timer_set(r->loop, timer, now + SWEEP_US);
}

static void refuse_reload(const struct error *e)
{
    log_event(LOG_ERROR, &(struct log_fields){.event = "reload_refused", .reason = e->text},
              "%s; the old configuration stays in effect%s", e->text, guard_hint(e));
}

static void on_reload(void *arg, int signo)
{
    struct server *s = arg;
    struct relay *r = &s->relay;
    struct relay_config fresh, old;
    struct error e = {0};
    (void)signo;
    if (!relay_config_load(&fresh, s->config_path, &e)) {
        refuse_reload(&e);
        return;
    }
    if (!visitors_read_revocations(r, &fresh, &e)) {
        refuse_reload(&e);
        relay_config_free(&fresh);
        return;
    }
    config_carry_over(&relay_config_file, &r->config, &fresh);
    relay_guard_reloaded(&fresh);
    log_event(LOG_INFO, &(struct log_fields){.event = "reloaded"},
              "configuration reloaded: %zu user%s, %zu agent%s", fresh.user_count,
              fresh.user_count == 1 ? "" : "s", fresh.agent_count,
              fresh.agent_count == 1 ? "" : "s");
    audit_write(r->audit, &(struct audit_entry){.event = "reloaded"});
    changes_log_new(r->audit, &r->directory, &fresh);
    changes_log_authorities(r->audit, &r->config, &fresh);
    reload_apply(r, &fresh);
    old = r->config;
    r->config = fresh;
    relay_config_free(&old);
}

static size_t length(const struct list *all)
{
    size_t n = 0;
    list_each (link, all)
        n++;
    return n;
}

static void on_status(void *arg, int signo)
{
    const struct server *s = arg;
    const struct relay *r = &s->relay;
    size_t users = 0, agents = 0;
    (void)signo;
    list_each (link, &r->directory.users) {
        const struct known_user *u = container_of(link, struct known_user, all);
        users += !list_empty(&u->hops) || u->circuit_count;
    }
    list_each (link, &r->directory.agents)
        agents += container_of(link, struct known_agent, all)->hops.control != NULL;
    log_event(
        LOG_INFO, &(struct log_fields){.event = "status"},
        "status: %zu of %zu users connected, %zu of %zu agents online, circuits: %zu, connects "
        "under way: %zu, connections: %zu",
        users, r->config.user_count + r->visitor_count, agents, r->config.agent_count,
        length(&r->junctions), length(&r->pendings), length(&r->peers));
}

static void on_stop(void *arg, int signo)
{
    static const char why[] = "the relay is shutting down";
    struct server *s = arg;
    struct relay *r = &s->relay;
    s->why = loop_signal_text(signo);
    acceptor_stop(&s->acceptor);
    while (!list_empty(&r->pendings)) {
        pending_refuse(container_of(r->pendings.next, struct pending, all), CODE_SHUTDOWN, why,
                       SHUTDOWN_RETRY_S);
    }
    list_each (link, &r->junctions)
        junction_end(container_of(link, struct junction, all), why);
    while (!list_empty(&r->peers)) {
        peer_bye(container_of(r->peers.next, struct peer, all), CODE_SHUTDOWN, why,
                 SHUTDOWN_RETRY_S);
    }
    timer_cancel(r->loop, &s->sweep);
    listing_stop(r);
    loop_stop(r->loop);
}

/* The number of processors this process may run on. */
static unsigned cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < RELAY_WORKERS_MAX ? (unsigned)count : RELAY_WORKERS_MAX;
}

static void init(struct server *s, struct relay_config *config, const char *path)
{
    struct relay *r = &s->relay;
    uint8_t hash_key[16];
    s->config_path = path;
    s->sweep.on_fire = on_sweep;
    r->config = *config;
    r->key = config->key;
    r->worker_count = config->workers ? config->workers : cores();
    r->party.own = &r->key;
    r->party.stock = &r->stock;
    key_stock_init(&r->stock);
    handshake_mac1_key(r->party.mac1_key, r->key.public_key);
    r->party.version = SPX_VERSION_TEXT;
    r->party.labels = "";
    r->party.takes_calls = true;
    list_init(&r->hellos);
    list_init(&r->peers);
    list_init(&r->pendings);
    list_init(&r->junctions);
    random_bytes(hash_key, sizeof hash_key);
    crowd_init(&r->crowd, hash_key);
    log_rates_init(&r->log, hash_key);
    random_bytes(hash_key, sizeof hash_key);
    directory_init(&r->directory, hash_key);
    wipe(config, sizeof *config);
}

static bool begin_audit(struct relay *r, struct error *e)
{
    const struct audit_settings settings = {.path = r->config.audit,
                                            .role = "relay",
                                            .limit_bytes = audit_bytes(r->config.audit_mb),
                                            .own_key = r->key.public_key,
                                            .on_head = heads_signed,
                                            .arg = r};
    if (r->config.audit && !(r->audit = audit_start(r->loop, &settings, e)))
        return false;
    audit_counts_init(&r->counts, r->loop, r->audit);
    audit_started(r->audit, r->key.public_key);
    return true;
}

static bool start(struct server *s, struct error *e)
{
    struct relay *r = &s->relay;
    r->loop = loop_new_with_signals(on_stop, on_reload, on_status, s, e);
    if (!r->loop)
        return false;
    r->known = known_keys_new();
    r->seen = seen_new();
    r->authorities = authorities_new();
    if (!r->known || !r->seen || !r->authorities || !listing_start(r))
        return error_no_memory(e);
    r->party.known = r->known;
    /* Ports first, which may take root; then what is given up, before there is another thread. */
    if (!acceptor_open(&s->acceptor, r, e) || !relay_guard_begin(r, s->config_path, e))
        return false;
    if (!begin_audit(r, e))
        return false;
    if (!visitors_read_revocations(r, &r->config, e))
        return false;
    key_stock_fill(&r->stock);
    reload_apply(r, &r->config);
    timer_set(r->loop, &s->sweep, loop_now(r->loop) + SWEEP_US);
    /* Threads start with signals blocked. */
    if (!workers_start(r, junctions_end_told, e))
        return false;
    acceptor_start(&s->acceptor);
    log_started();
    return true;
}

static void end(struct server *s, const char *why)
{
    struct relay *r = &s->relay;
    acceptor_stop(&s->acceptor);
    if (r->loop)
        timer_cancel(r->loop, &s->sweep);
    workers_stop(r);
    audit_counts_end(&r->counts);
    audit_leave_loop(r->audit);
    workers_free(r); /* and the loop, once the ends of all circuits are told */
    audit_ended(r->audit, why);
    audit_end(r->audit, AUDIT_END_US);
    crowd_free(&r->crowd);
    directory_free(&r->directory);
    listing_free(r);
    log_rates_free(&r->log);
    guard_tell_refused();
    seen_free(r->seen);
    known_keys_free(r->known);
    authorities_free(r->authorities);
    revoked_free(&r->revoked);
    key_stock_end(&r->stock);
    relay_config_free(&r->config);
    wipe(&r->key, sizeof r->key);
}

enum failure relay_run(struct relay_config *config, const char *path)
{
    struct server s = {0};
    struct error e = {0};
    init(&s, config, path);
    if (start(&s, &e))
        loop_run(s.relay.loop);
    log_ended(e.failure, e.failure ? e.text : s.why);
    end(&s, e.failure ? e.text : s.why);
    return e.failure;
}
