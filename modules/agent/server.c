/* Start, reload and end of an agent: puts its parts together. */
#include "agent/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/approval_desk.h"
#include "agent/call_desk.h"
#include "agent/changes.h"
#include "agent/code_desk.h"
#include "agent/control.h"
#include "agent/events.h"
#include "agent/guard.h"
#include "agent/inbound.h"
#include "agent/lock.h"
#include "agent/own_calls.h"
#include "agent/permits.h"
#include "agent/policy.h"
#include "agent/requests.h"
#include "agent/service.h"
#include "agent/uplink.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "base/version.h"
#include "config/reload.h"
#include "crypto/known_keys.h"
#include "guard/guard.h"

#define STATE_LOCK "running" /* a file in the state directory */

static bool is_configured(const struct agent *a, const struct uplink *u)
{
    for (size_t i = 0; i < a->config.relay_count; i++)
        if (uplink_is_at(u, &a->config.relays[i]))
            return true;
    return false;
}

/* Ends all uplinks, or those that the configuration does not have. Shortens the list first: a
 * session that loses its circuit here would probe freed uplinks. */
static void end_uplinks(struct agent *a, bool all)
{
    struct uplink **uplinks = a->uplinks;
    size_t count = a->uplink_count, kept = 0;
    for (size_t i = 0; i < count && !all; i++) {
        struct uplink *u = uplinks[i];
        if (!is_configured(a, u))
            continue;
        uplinks[i] = uplinks[kept];
        uplinks[kept++] = u;
    }
    a->uplink_count = kept;
    for (size_t i = kept; i < count; i++)
        uplink_free(uplinks[i]);
}

static bool has_uplink(const struct agent *a, const struct agent_relay *relay)
{
    for (size_t i = 0; i < a->uplink_count; i++)
        if (uplink_is_at(a->uplinks[i], relay))
            return true;
    return false;
}

/* One for each relay that is called and has none yet. */
static bool start_uplinks(struct agent *a)
{
    size_t most = a->uplink_count + a->config.relay_count;
    struct uplink **grown = realloc(a->uplinks, most * sizeof *grown);
    if (!grown)
        return false;
    a->uplinks = grown;
    for (size_t i = 0; i < a->config.relay_count; i++) {
        const struct agent_relay *relay = &a->config.relays[i];
        struct uplink *u;
        if (!relay->has_address || has_uplink(a, relay))
            continue;
        u = uplink_new(a, relay);
        if (!u)
            return false;
        a->uplinks[a->uplink_count++] = u;
    }
    return true;
}

static const char *labels_of(const struct agent_config *config)
{
    return config->labels ? config->labels : "";
}

static void probe_relays(struct agent *a)
{
    for (size_t i = 0; i < a->uplink_count; i++)
        uplink_probe(a->uplinks[i]);
}

/* Tells the handshake which keys are known. Without memory their results are computed each time. */
static void know(struct agent *a)
{
    known_keys_begin(a->party.known);
    for (size_t i = 0; i < a->config.user_count; i++)
        known_keys_add(a->party.known, a->config.users[i].public_key);
    for (size_t i = 0; i < a->config.relay_count; i++)
        known_keys_add(a->party.known, a->config.relays[i].public_key);
    known_keys_end(a->party.known);
}

static bool is_relay(void *agent, const uint8_t key[KEY_BYTES])
{
    return agent_find_relay(agent, key) != NULL;
}

static void refuse_reload(const struct error *e)
{
    log_event(LOG_ERROR, &(struct log_fields){.event = "reload_refused", .reason = e->text},
              "%s; the old configuration stays in effect%s", e->text, guard_hint(e));
}

static void reload(struct agent *a)
{
    struct agent_config config, old;
    struct error e = {0};
    bool labels_changed; /* which the hops have told */
    if (a->stopping)
        return;
    if (!agent_config_load(&config, a->config_path, &e)) {
        refuse_reload(&e);
        return;
    }
    if (!permits_may_reload(a, &config, &e)) {
        refuse_reload(&e);
        agent_config_free(&config);
        return;
    }
    config_carry_over(&agent_config_file, &a->config, &config);
    labels_changed = strcmp(labels_of(&config), labels_of(&a->config)) != 0;
    old = a->config;
    a->config = config;
    a->party.labels = labels_of(&a->config);
    know(a);
    log_event(LOG_INFO, &(struct log_fields){.event = "reloaded", .agent = a->config.name},
              "configuration reloaded");
    audit_write(a->audit, &(struct audit_entry){.event = "reloaded"});
    changes_log(a->audit, &old, &a->config);
    agent_guard_reloaded(a, &old);
    permits_reloaded(a);
    approval_desk_end_changed(a, &old);
    agent_config_free(&old);
    service_check_all(a);
    end_uplinks(a, false);
    for (size_t i = 0; labels_changed && i < a->uplink_count; i++)
        uplink_tell_labels(a->uplinks[i]);
    if (!start_uplinks(a))
        log_error(NO_MEMORY_TEXT ": not every relay is called");
    inbound_check(a->inbound);
    attempts_forget(&a->attempts, is_relay, a);
}

static void on_reload(void *arg, int signo)
{
    (void)signo;
    reload(arg);
}

static void on_status(void *arg, int signo)
{
    const struct agent *a = arg;
    unsigned requests = requests_count(a->requests);
    char waiting[40] = "";
    size_t online = 0;
    (void)signo;
    if (requests)
        snprintf(waiting, sizeof waiting, ", %u request%s for approval", requests,
                 requests == 1 ? "" : "s");
    for (size_t i = 0; i < a->uplink_count; i++)
        online += uplink_is_online(a->uplinks[i]);
    log_event(LOG_INFO, &(struct log_fields){.event = "status", .agent = a->config.name},
              "status: online at %zu of %zu relays called, %u session%s%s%s", online,
              a->uplink_count, a->seats.count, a->seats.count == 1 ? "" : "s", waiting,
              a->stopping ? ", ending" : "");
    service_log_all(a);
}

static void tell_calls(struct agent *a)
{
    for (size_t i = 0; i < a->uplink_count; i++)
        uplink_tell_calls(a->uplinks[i]);
    call_desk_check(a->call_desk);
    service_calls_stored(a);
}

static void check_calls(struct agent *a)
{
    call_desk_check(a->call_desk);
}

/* Configured, or systemd's for the unit. */
static const char *state_directory(const struct agent *a)
{
    const char *units = getenv("STATE_DIRECTORY");
    if (a->config.state_directory || !units || *units == '\0' || strchr(units, ':'))
        return a->config.state_directory;
    return units;
}

/* Two agents would each overwrite what the other keeps there. */
static bool hold_state(struct agent *a, struct error *e)
{
    const char *directory = state_directory(a);
    char *path = NULL;
    if (!directory)
        return true;
    if (asprintf(&path, "%s/" STATE_LOCK, directory) < 0)
        return error_no_memory(e);
    a->state_held = file_lock(path);
    if (a->state_held < 0 && errno == EWOULDBLOCK)
        error_set(e, FAILURE_NETWORK,
                  "StateDirectory %s: another agent uses it: stop that one, or give each a "
                  "directory of its own",
                  directory);
    else if (a->state_held < 0)
        error_set(e, FAILURE_CONFIG, "StateDirectory: cannot create %s: %s", path,
                  system_text(errno));
    free(path);
    return a->state_held >= 0;
}

static void on_stop_limit(struct timer *timer)
{
    loop_stop(container_of(timer, struct agent, stop_limit)->loop);
}

/* Whatever Allow and Listen say: the addresses listened on, and the control socket. */
static bool is_own(const struct agent *a, const struct address *address)
{
    if (address_is_unix(address))
        return agent_control_is(a->control,
                                ((const struct sockaddr_un *)&address->storage)->sun_path);
    return inbound_is(a->inbound, address);
}

static void on_no_session(struct agent *a)
{
    if (a->stopping)
        loop_stop(a->loop);
}

static void on_stop(void *arg, int signo)
{
    struct agent *a = arg;
    a->why = loop_signal_text(signo);
    if (a->stopping || seats_are_empty(&a->seats)) {
        loop_stop(a->loop);
        return;
    }
    a->stopping = true;
    service_close_all(a, CODE_SHUTDOWN, AGENT_ENDING_TEXT);
    timer_set(a->loop, &a->stop_limit, loop_now(a->loop) + CLOSE_WAIT_S * CLOCK_US_PER_S);
}

static void on_audit_failing(void *agent, const char *why)
{
    struct agent *a = agent;
    const struct log_fields f = {.event = why ? "audit_failing" : "audit_written", .reason = why};
    char text[ERROR_TEXT_BYTES + 64];
    snprintf(text, sizeof text,
             why ? "the audit cannot be written: %s" : "the audit is written again", why);
    event_tell(a, EVENT_AUDIT_FAILURE, NULL, &f, &(struct audit_entry){0}, text);
}

static bool begin_audit(struct agent *a, struct error *e)
{
    const struct audit_settings settings = {.path = a->config.audit,
                                            .role = "agent",
                                            .agent = a->config.name,
                                            .limit_bytes = audit_bytes(a->config.audit_mb),
                                            .refuse = !a->config.audit_continue,
                                            .recent = true,
                                            .on_failing = on_audit_failing,
                                            .own_key = a->key.public_key,
                                            .on_head = service_head_signed,
                                            .arg = a};
    if (a->config.audit && !(a->audit = audit_start(a->loop, &settings, e)))
        return false;
    audit_counts_init(&a->counts, a->loop, a->audit);
    audit_started(a->audit, a->key.public_key);
    return true;
}

static bool start(struct agent *a, struct error *e)
{
    a->loop = loop_new_with_signals(on_stop, on_reload, on_status, a, e);
    if (!a->loop)
        return false;
    partings_init(&a->partings, a->loop);
    a->party.known = known_keys_new();
    if (!a->party.known)
        return error_no_memory(e);
    /* Ports first, which may take root; then what is given up, before there is another thread. */
    if (a->config.listen.count && !(a->inbound = inbound_new(a, e)))
        return false;
    if (!agent_guard_become(a, e) || !events_begin(a, e))
        return false;
    agent_guard_begin(a, state_directory(a));
    if (!begin_audit(a, e))
        return false;
    know(a);
    key_stock_fill(&a->stock);
    agent_sweep_log(a);
    if (!hold_state(a, e))
        return false;
    if (!(a->calls = own_calls_new(a, state_directory(a), e)))
        return false;
    if (!(a->permits = permits_new(a, state_directory(a), e)))
        return false;
    if (!(a->call_desk = call_desk_new(a)))
        return error_no_memory(e);
    if (!(a->requests = requests_new()) || !(a->approval_desk = approval_desk_new(a)))
        return error_no_memory(e);
    if (!(a->codes = code_desk_new(a, state_directory(a))))
        return error_no_memory(e);
    if (!(a->lock = lock_new(a, state_directory(a))))
        return error_no_memory(e);
    if (agent_config_socket(&a->config) && !(a->control = agent_control_new(a, e)))
        return false;
    inbound_start(a->inbound);
    if (!start_uplinks(a))
        return error_no_memory(e);
    log_started();
    return true;
}

/* The parts that need no loop and cannot fail. */
static void init(struct agent *a, struct agent_config *config, const char *path)
{
    uint8_t hash_key[16];
    random_bytes(hash_key, sizeof hash_key);
    log_rates_init(&a->log, hash_key);
    a->config_path = path;
    a->config = *config;
    a->key = config->key;
    a->party = (struct hop_party){.own = &a->key,
                                  .stock = &a->stock,
                                  .version = SPX_VERSION_TEXT,
                                  .labels = labels_of(&a->config),
                                  .keepalive_s = KEEPALIVE_DEFAULT_S};
    handshake_mac1_key(a->party.mac1_key, a->key.public_key);
    a->state_held = -1;
    a->stop_limit.on_fire = on_stop_limit;
    a->policy = &agent_policy;
    a->on_path_in_doubt = probe_relays;
    a->on_no_session = on_no_session;
    a->on_revoked = service_check_all;
    a->on_calls_stored = tell_calls;
    a->on_calls_heard = check_calls;
    a->is_own = is_own;
    key_stock_init(&a->stock);
    seats_init(&a->seats);
    list_init(&a->ended);
    list_init(&a->over);
    list_init(&a->shares);
    list_init(&a->guests);
    list_init(&a->attempts);
    list_init(&a->meters);
    a->quota.run = service_end_spent;
    wipe(config, sizeof *config);
}

static void end(struct agent *a, const char *why)
{
    a->stopping = false;
    service_end_all(a);
    end_uplinks(a, true);
    free(a->uplinks);
    inbound_free(a->inbound);
    call_desk_free(a->call_desk);
    agent_control_free(a->control);
    approval_desk_free(a->approval_desk);
    requests_free(a->requests);
    lock_free(a->lock);
    code_desk_free(a->codes);
    own_calls_free(a->calls);
    permits_free(a->permits);
    if (a->state_held >= 0)
        close(a->state_held);
    partings_free(&a->partings);
    events_end(a);
    attempts_forget(&a->attempts, NULL, NULL);
    meters_free(&a->meters);
    log_rates_free(&a->log);
    guard_tell_refused();
    agent_guard_end(a);
    audit_counts_end(&a->counts);
    audit_ended(a->audit, why);
    audit_end(a->audit, AUDIT_END_US);
    if (a->loop) {
        timer_cancel(a->loop, &a->log_sweep);
        timer_cancel(a->loop, &a->terms);
        timer_cancel(a->loop, &a->heads);
        timer_cancel(a->loop, &a->stop_limit);
        timer_cancel(a->loop, &a->restock);
        loop_free(a->loop);
    }
    known_keys_free(a->party.known);
    key_stock_end(&a->stock);
    agent_config_free(&a->config);
    wipe(&a->key, sizeof a->key);
}

enum failure agent_run(struct agent_config *config, const char *path)
{
    struct agent a = {0};
    struct error e = {0};
    init(&a, config, path);
    if (start(&a, &e))
        loop_run(a.loop);
    log_ended(e.failure, e.failure ? e.text : a.why);
    end(&a, e.failure ? e.text : a.why);
    return e.failure;
}
