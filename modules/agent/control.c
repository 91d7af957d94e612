/* The verbs of the agent's control socket. */
#include "agent/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/approval_desk.h"
#include "agent/call_desk.h"
#include "agent/code_desk.h"
#include "agent/listing.h"
#include "agent/lock.h"
#include "agent/service.h"
#include "audit/note.h"
#include "audit/recent.h"
#include "base/log.h"
#include "base/text.h"
#include "control/server.h"
#include "guard/user.h"

#define ENTRIES_LISTED 20 /* of the audit, unless the asker wants more */

struct agent_control {
    struct agent *agent;
    struct control_server *server;
    uint64_t started_us;
};

/* ---- Looking. ---- */

static void run_status(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    listing_status(r, c->agent, c->started_us);
}

static void run_sessions(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    listing_sessions(r, c->agent);
}

static void run_audit(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    uint64_t last = ENTRIES_LISTED;
    json_get_number(control_arguments(r), "last", &last);
    if (last < 1 || last > AUDIT_RECENT_MAX)
        control_failed(r, FAILURE_USAGE, "last: expected 1 to %d", AUDIT_RECENT_MAX);
    else
        listing_audit(r, c->agent, (uint32_t)last);
}

/* ---- Ending. ---- */

/* The sessions that are meant. */
struct chosen {
    uint32_t number;  /* 0: any */
    const char *user; /* NULL: any */
};

static bool is_known(const struct agent *a, const char *user)
{
    struct service_facts f;
    for (size_t i = 0; i < a->config.user_count; i++)
        if (strcmp(a->config.users[i].name, user) == 0)
            return true;
    for (uint32_t after = 0; service_next(a, after, &f); after = f.number)
        if (strcmp(f.party.user, user) == 0)
            return true;
    return false;
}

static bool is_number(const struct agent *a, const char *what, uint32_t *number)
{
    static const struct number_range numbers = {1, UINT32_MAX, PLAIN_NUMBER};
    struct error e = {0};
    struct service_facts f;
    return value_number(number, what, &numbers, &e) && service_next(a, *number - 1, &f) &&
           f.number == *number;
}

/* False: e says what is wrong. */
static bool choose(const struct agent *a, const char *what, struct chosen *chosen, struct error *e)
{
    uint32_t number = 0;
    bool numbered = is_number(a, what, &number), user = is_known(a, what);
    bool all = strcmp(what, "all") == 0;
    *chosen = (struct chosen){.number = numbered ? number : 0, .user = user && !all ? what : NULL};
    if (all || numbered + user == 1)
        return true;
    return error_set(e, FAILURE_OTHER,
                     numbered ? "'%s' is a session and a user: end all, or change the user's name"
                              : "no session has the number '%s', and no user has this name",
                     what);
}

static void log_end(const struct control_request *r, const struct agent *a, const char *what,
                    unsigned count, const char *why)
{
    struct log_fields f = {.event = "end_ordered", .agent = a->config.name, .reason = why};
    log_event(LOG_WARNING, &f, "%s ends %s (%u session%s)%s%s", control_caller(r), what, count,
              count == 1 ? "" : "s", why[0] ? ": " : "", why);
    audit_note(a->audit, &f,
               &(struct audit_entry){.count = count, .by = control_caller(r), .decision = true});
}

/* False: e says that it is too long. */
static bool read_why(const struct control_request *r, char why[LOCK_WHY_MAX_BYTES + 1],
                     struct error *e)
{
    char said[LOCK_WHY_MAX_BYTES + 1] = "";
    if (json_find(control_arguments(r), "why") &&
        !json_get_text(control_arguments(r), "why", said, sizeof said))
        return error_set(e, FAILURE_USAGE, "the reason is too long: expected at most %d bytes",
                         LOCK_WHY_MAX_BYTES);
    text_clean(why, LOCK_WHY_MAX_BYTES + 1, view_of_string(said));
    return true;
}

static void run_end(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    char what[NAME_TEXT_BYTES] = "", why[LOCK_WHY_MAX_BYTES + 1] = "";
    char text[LOCK_WHY_MAX_BYTES + 64];
    struct chosen chosen;
    struct error e = {0};
    unsigned count;
    json_get_text(control_arguments(r), "what", what, sizeof what);
    if (!read_why(r, why, &e) || !choose(c->agent, what, &chosen, &e)) {
        control_failed(r, e.failure, "%s", e.text);
        return;
    }
    snprintf(text, sizeof text, "ended by the agent's owner%s%s", why[0] ? ": " : "", why);
    count = service_end_by_order(c->agent, chosen.number, chosen.user, text);
    log_end(r, c->agent, what, count, why);
    control_done(r, "%u session%s ended", count, count == 1 ? "" : "s");
}

/* ---- The lock. ---- */

static void run_lock(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    char why[LOCK_WHY_MAX_BYTES + 1] = "";
    struct error e = {0};
    if (read_why(r, why, &e))
        lock_close(c->agent->lock, r, why);
    else
        control_failed(r, e.failure, "%s", e.text);
}

static void run_unlock(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    uint64_t for_s = 0;
    json_get_number(control_arguments(r), "for_s", &for_s);
    if (for_s > UNLOCK_MAX_S)
        control_failed(r, FAILURE_USAGE, "expected at most a year");
    else
        lock_open(c->agent->lock, r, (uint32_t)for_s);
}

/* ---- Approval. ---- */

static void run_requests(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    listing_requests(r, c->agent);
}

static void run_approvals(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    listing_approvals(r, c->agent);
}

/* A number that nothing has for one that is too large. */
static uint32_t bounded(uint64_t number)
{
    return number <= UINT32_MAX ? (uint32_t)number : 0;
}

static void run_approve(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    char code[32] = "";
    uint64_t for_s = 0;
    json_get_text(control_arguments(r), "code", code, sizeof code);
    json_get_number(control_arguments(r), "for_s", &for_s);
    if (for_s > APPROVAL_MAX_S)
        control_failed(r, FAILURE_USAGE, "expected at most 31 days");
    else
        approval_desk_approve(c->agent->approval_desk, r, code, (uint32_t)for_s);
}

static void run_deny(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    char why[LOCK_WHY_MAX_BYTES + 1] = "";
    uint64_t number = 0;
    struct error e = {0};
    json_get_number(control_arguments(r), "number", &number);
    if (read_why(r, why, &e))
        approval_desk_deny(c->agent->approval_desk, r, bounded(number), why);
    else
        control_failed(r, e.failure, "%s", e.text);
}

static void run_withdraw(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    uint64_t number = 0;
    json_get_number(control_arguments(r), "number", &number);
    approval_desk_withdraw(c->agent->approval_desk, r, bounded(number));
}

/* ---- Emergency codes. ---- */

static void run_codes(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    uint64_t count;
    if (!json_get_number(control_arguments(r), "new", &count))
        code_desk_list(c->agent->codes, r);
    else if (count > EMERGENCY_CODES_MAX)
        control_failed(r, FAILURE_USAGE, "expected at most %d codes", EMERGENCY_CODES_MAX);
    else
        code_desk_make(c->agent->codes, r, (size_t)count);
}

/* ---- Calls for help. ---- */

static void run_call(struct control_request *r)
{
    const struct agent_control *c = control_owner(r);
    call_desk_take(c->agent->call_desk, r);
}

static const struct control_argument call_arguments[] = {{"severity", JSON_NUMBER, true},
                                                         {"text", JSON_TEXT, false},
                                                         {"number", JSON_NUMBER, false},
                                                         {0}};

static const struct control_argument audit_arguments[] = {{"last", JSON_NUMBER, false}, {0}};
static const struct control_argument lock_arguments[] = {{"why", JSON_TEXT, false}, {0}};
static const struct control_argument unlock_arguments[] = {{"for_s", JSON_NUMBER, false}, {0}};

static const struct control_argument codes_arguments[] = {{"new", JSON_NUMBER, false}, {0}};

static const struct control_argument end_arguments[] = {
    {"what", JSON_TEXT, true}, {"why", JSON_TEXT, false}, {0}};

static const struct control_argument approve_arguments[] = {
    {"code", JSON_TEXT, true}, {"for_s", JSON_NUMBER, false}, {0}};
static const struct control_argument deny_arguments[] = {
    {"number", JSON_NUMBER, true}, {"why", JSON_TEXT, false}, {0}};
static const struct control_argument withdraw_arguments[] = {{"number", JSON_NUMBER, true}, {0}};

static const struct control_verb verbs[] = {
    {"status", NULL, run_status},
    {"sessions", NULL, run_sessions},
    {"end", end_arguments, run_end},
    {"requests", NULL, run_requests},
    {"approve", approve_arguments, run_approve},
    {"deny", deny_arguments, run_deny},
    {"approvals", NULL, run_approvals},
    {"withdraw", withdraw_arguments, run_withdraw},
    {"watch", NULL, control_watch},
    {"audit", audit_arguments, run_audit},
    {"call", call_arguments, run_call},
    {"codes", codes_arguments, run_codes},
    {"lock", lock_arguments, run_lock},
    {"unlock", unlock_arguments, run_unlock},
    {0},
};

/* ---- The socket. ---- */

static void on_logged(void *arg, struct view line)
{
    const struct agent_control *c = arg;
    control_server_tell(c->server, line);
}

static bool listen_there(struct agent_control *c, struct error *e)
{
    const struct agent_config *config = &c->agent->config;
    struct control_settings settings = {
        .path = agent_config_socket(config),
        .has_group = config->control_group != NULL,
        .verbs = verbs,
        .owner = c,
    };
    struct error why = {0};
    uint32_t gid = 0;
    if (config->control_group && !guard_find_group(config->control_group, &gid))
        return error_set(e, FAILURE_CONFIG, "ControlGroup: no group '%s' on this system",
                         config->control_group);
    settings.group = (gid_t)gid;
    c->server = control_server_new(c->agent->loop, &settings, &why);
    return c->server ||
           error_set(e, why.failure, "ControlSocket = %s: %s%s", settings.path, why.text,
                     why.failure == FAILURE_NETWORK ? ": another agent with this configuration runs"
                                                    : "");
}

struct agent_control *agent_control_new(struct agent *a, struct error *e)
{
    struct agent_control *c = calloc(1, sizeof *c);
    if (!c) {
        error_no_memory(e);
        return NULL;
    }
    c->agent = a;
    if (a->config.call_socket)
        log_warning("CallSocket in [Agent] is called ControlSocket now");
    c->started_us = loop_now(a->loop);
    if (!listen_there(c, e)) {
        free(c);
        return NULL;
    }
    log_set_tap(on_logged, c);
    return c;
}

void agent_control_free(struct agent_control *c)
{
    if (!c)
        return;
    log_set_tap(NULL, NULL);
    control_server_free(c->server);
    free(c);
}

bool agent_control_is(const struct agent_control *c, const char *path)
{
    return c && control_server_is(c->server, path);
}
