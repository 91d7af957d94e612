/* Lists of relays, users, sessions and streams. What is listed may change between two turns: a
 * number says how far it has got. */
#include "agent/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/code_desk.h"
#include "agent/guest.h"
#include "agent/lock.h"
#include "agent/requests.h"
#include "agent/service.h"
#include "agent/uplink.h"
#include "audit/audit.h"
#include "base/clock.h"
#include "base/version.h"
#include "forward/remote_listener.h"
#include "forward/target.h"
#include "guard/guard.h"

#define LINES_A_TURN 32

enum stage { STAGE_NEXT, STAGE_TARGETS, STAGE_CONNECTIONS };

struct agent_listing {
    struct control_request *request;
    const struct agent *agent;
    size_t relays, users, authorities; /* listed */
    uint32_t session, stream;          /* the numbers of those listed last */
    uint32_t number;                   /* the same of requests and approvals */
    enum stage stage;                  /* of that session's streams */
    uint64_t entry;                    /* of the audit: the next */
    unsigned room;                     /* in this turn, for so many lines */
};

struct listing_line {
    struct json_line json;
    char text[CONTROL_LINE_BYTES];
};

static void begin_line(struct listing_line *l, const char *kind)
{
    json_begin(&l->json, l->text, sizeof l->text);
    json_put_text(&l->json, "kind", kind);
}

static void put_line(struct agent_listing *l, struct listing_line *line)
{
    control_put(l->request, &line->json);
    l->room--;
}

static void put_age(const struct agent_listing *l, struct listing_line *line, const char *name,
                    uint64_t since_us)
{
    json_put_number(&line->json, name, (loop_now(l->agent->loop) - since_us) / CLOCK_US_PER_S);
}

static void put_left(const struct agent_listing *l, struct listing_line *line, uint64_t until_us)
{
    uint64_t now = loop_now(l->agent->loop);
    json_put_number(&line->json, "left_s",
                    until_us > now ? (until_us - now + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S : 0);
}

static void put_key(struct listing_line *line, const uint8_t key[KEY_BYTES])
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    key_fingerprint(fingerprint, key);
    json_put_text(&line->json, "key", fingerprint);
}

static void put_relay_name(struct listing_line *line, const struct agent_relay *relay)
{
    char name[sizeof relay->address.host + 8];
    snprintf(name, sizeof name, strchr(relay->address.host, ':') ? "[%s]:%u" : "%s:%u",
             relay->address.host, relay->address.port);
    json_put_text(&line->json, "relay", relay->has_address ? name : "that dials this agent");
}

static void on_gone(void *listing)
{
    free(listing);
}

static struct agent_listing *begin(struct control_request *r, const struct agent *a,
                                   const struct control_work *work)
{
    struct agent_listing *l = calloc(1, sizeof *l);
    if (!l) {
        control_failed(r, FAILURE_OTHER, NO_MEMORY_TEXT);
        return NULL;
    }
    l->request = r;
    l->agent = a;
    control_begin(r, work, l);
    return l;
}

/* ---- Status. ---- */

static void put_agent(struct agent_listing *l, uint64_t started_us)
{
    const struct agent *a = l->agent;
    struct listing_line line;
    begin_line(&line, "agent");
    json_put_text(&line.json, "agent", a->config.name);
    json_put_text(&line.json, "version", SPX_VERSION_TEXT);
    put_age(l, &line, "up_s", started_us);
    json_put_number(&line.json, "sessions", a->seats.count);
    json_put_number(&line.json, "requests", requests_count(a->requests));
    json_put_number(&line.json, "codes_left", code_desk_left(a->codes));
    json_put_truth(&line.json, "ending", a->stopping);
    json_put_truth(&line.json, "locked", a->is_locked);
    if (a->is_locked && lock_why(a->lock)[0])
        json_put_text(&line.json, "reason", lock_why(a->lock));
    if (!a->is_locked && lock_left_s(a->lock))
        json_put_number(&line.json, "open_for_s", lock_left_s(a->lock));
    json_put_text(&line.json, "guarded", guard_text());
    if (guard_missing()[0])
        json_put_text(&line.json, "not_guarded", guard_missing());
    put_line(l, &line);
}

static void put_relay(struct agent_listing *l, const struct uplink *u)
{
    struct uplink_facts f = uplink_facts_of(u);
    struct listing_line line;
    begin_line(&line, "relay");
    put_relay_name(&line, f.relay);
    json_put_text(&line.json, "state", f.online ? "online" : "not connected");
    if (f.online)
        put_age(l, &line, "for_s", f.since_us);
    if (f.rtt_us)
        json_put_number(&line.json, "round_trip_us", f.rtt_us);
    put_key(&line, f.relay->public_key);
    put_line(l, &line);
}

static const struct approval *approval_for(const struct agent *a, const struct agent_user *user)
{
    const struct approval *approval;
    uint32_t after = 0;
    while ((approval = approvals_next(&a->approvals, after, loop_now(a->loop))) != NULL) {
        if (memcmp(approval->user_key, user->public_key, KEY_BYTES) == 0 &&
            strcmp(approval->user, user->name) == 0)
            break;
        after = approval->number;
    }
    return approval;
}

/* Of a user who has to ask, and may not just now. */
static void put_why_not_asked(const struct agent_listing *l, struct listing_line *line,
                              const struct agent_user *user)
{
    struct wire_error no = {0};
    if (!requests_may_ask(l->agent->requests, user->public_key, false, loop_now(l->agent->loop),
                          &no))
        json_put_text(&line->json, "reason", no.text);
}

/* If the rules let a session begin now. Returns their answer. */
static enum ruling_answer put_ruling(const struct agent_listing *l, struct listing_line *line,
                                     const struct rules *rules)
{
    struct circumstances now = agent_circumstances(l->agent);
    struct ruling ruling = rules_begin(rules, &now, true);
    char why[RULING_TEXT_BYTES];
    json_put_truth(&line->json, "may_connect", ruling.answer != RULING_NO);
    ruling_text(why, &ruling, rules, &now);
    if (ruling.answer == RULING_NO)
        json_put_text(&line->json, "reason", why);
    return ruling.answer;
}

static void put_user(struct agent_listing *l, const struct agent_user *user)
{
    const struct approval *approval = approval_for(l->agent, user);
    bool asks;
    struct listing_line line;
    begin_line(&line, "user");
    json_put_text(&line.json, "user", user->name);
    put_key(&line, user->public_key);
    json_put_number(&line.json, "sessions", seats_of_user(&l->agent->seats, user->public_key));
    asks = put_ruling(l, &line, &user->given.rules) == RULING_ASK;
    if (asks)
        json_put_truth(&line.json, "asks", approval == NULL);
    if (asks && !approval)
        put_why_not_asked(l, &line, user);
    if (asks && approval)
        put_left(l, &line, approval->until_us);
    put_line(l, &line);
}

static unsigned sessions_by(const struct agent *a, const struct agent_authority *authority)
{
    unsigned count = 0;
    list_each (link, &a->guests) {
        const struct guest *g = container_of(link, struct guest, place);
        if (memcmp(g->authority, authority->public_key, SIGN_PUBLIC_BYTES) == 0)
            count += g->sessions;
    }
    return count;
}

/* Of all users by its permits, as one. */
static void put_authority(struct agent_listing *l, const struct agent_authority *authority)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES];
    struct listing_line line;
    begin_line(&line, "authority");
    json_put_text(&line.json, "authority", authority->most.name);
    sign_fingerprint(fingerprint, authority->public_key);
    json_put_text(&line.json, "key", fingerprint);
    json_put_number(&line.json, "sessions", sessions_by(l->agent, authority));
    if (put_ruling(l, &line, &authority->most.given.rules) == RULING_ASK)
        json_put_truth(&line.json, "asks", true);
    put_line(l, &line);
}

static void more_status(struct control_request *r, void *listing)
{
    struct agent_listing *l = listing;
    const struct agent *a = l->agent;
    for (l->room = LINES_A_TURN; l->room > 0;) {
        if (l->relays < a->uplink_count) {
            put_relay(l, a->uplinks[l->relays++]);
        } else if (l->users < a->config.user_count) {
            put_user(l, &a->config.users[l->users++]);
        } else if (l->authorities < a->config.authority_count) {
            put_authority(l, &a->config.authorities[l->authorities++]);
        } else {
            control_done(r, "%s", "");
            return;
        }
    }
}

void listing_status(struct control_request *r, const struct agent *a, uint64_t started_us)
{
    static const struct control_work work = {.more = more_status, .gone = on_gone};
    struct agent_listing *l = begin(r, a, &work);
    if (l)
        put_agent(l, started_us);
}

/* ---- Sessions. ---- */

/* Whose a session is, and why they want it. */
static void put_party(struct listing_line *line, const struct service_party *p)
{
    json_put_text(&line->json, "circuit", p->circuit);
    json_put_text(&line->json, "user", p->user);
    put_key(line, p->user_key);
    if (p->reason[0])
        json_put_text(&line->json, "reason", p->reason);
}

/* How it comes here, if it has a circuit. */
static void put_way(const struct agent_listing *l, struct listing_line *line,
                    const struct service_party *p)
{
    const struct agent_relay *relay =
        p->relay_key ? agent_find_relay(l->agent, p->relay_key) : NULL;
    if (relay)
        put_relay_name(line, relay);
    if (p->from[0])
        json_put_text(&line->json, "from", p->from);
}

static void put_session(struct agent_listing *l, const struct service_facts *f)
{
    struct listing_line line;
    begin_line(&line, "session");
    json_put_number(&line.json, "session", f->number);
    put_party(&line, &f->party);
    json_put_text(&line.json, "state",
                  f->is_closing        ? "ending"
                  : f->party.relay_key ? "connected"
                                       : "waiting for its client");
    put_age(l, &line, "for_s", f->begun_us);
    put_age(l, &line, "idle_s", f->idle_since_us);
    if (f->waiting_since_us)
        put_age(l, &line, "waiting_s", f->waiting_since_us);
    put_way(l, &line, &f->party);
    if (f->carried.rtt_us)
        json_put_number(&line.json, "round_trip_us", f->carried.rtt_us);
    json_put_number(&line.json, "streams", f->carried.streams_opened);
    json_put_number(&line.json, "bytes_up", f->carried.bytes_received);
    json_put_number(&line.json, "bytes_down", f->carried.bytes_sent);
    put_line(l, &line);
}

/* Sent by this side goes to the client: down. */
static void put_traffic(struct agent_listing *l, struct listing_line *line,
                        const struct traffic *traffic, uint64_t begun_us)
{
    json_put_number(&line->json, "bytes_up", traffic->received);
    json_put_number(&line->json, "bytes_down", traffic->sent);
    put_age(l, line, "for_s", begun_us);
    put_line(l, line);
}

static bool put_target(void *listing, const struct target_facts *f)
{
    struct agent_listing *l = listing;
    char at[ADDRESS_TEXT_BYTES];
    struct listing_line line;
    if (l->room == 0)
        return false;
    address_to_text(at, f->at);
    begin_line(&line, "stream");
    json_put_number(&line.json, "session", l->session);
    json_put_number(&line.json, "stream", f->stream);
    json_put_text(&line.json, "target", f->target);
    json_put_text(&line.json, "address", at);
    put_traffic(l, &line, &f->traffic, f->begun_us);
    l->stream = f->number;
    return true;
}

static bool put_connection(void *listing, const struct connection_facts *f)
{
    struct agent_listing *l = listing;
    char at[ADDRESS_TEXT_BYTES];
    struct listing_line line;
    if (l->room == 0)
        return false;
    address_to_text(at, f->listener);
    begin_line(&line, "connection");
    json_put_number(&line.json, "session", l->session);
    json_put_text(&line.json, "target", at);
    json_put_text(&line.json, "address", f->peer);
    put_traffic(l, &line, &f->traffic, f->begun_us);
    l->stream = f->number;
    return true;
}

/* True if the session, or all that is left of it, is listed. */
static bool put_streams(struct agent_listing *l)
{
    struct service_facts f;
    if (!service_next(l->agent, l->session - 1, &f) || f.number != l->session)
        return true;
    if (l->stage == STAGE_TARGETS && targets_tell(f.targets, l->stream, put_target, l)) {
        l->stage = STAGE_CONNECTIONS;
        l->stream = 0;
    }
    return l->stage == STAGE_CONNECTIONS &&
           remote_listeners_tell(f.listeners, l->stream, put_connection, l);
}

static void more_sessions(struct control_request *r, void *listing)
{
    struct agent_listing *l = listing;
    struct service_facts f;
    for (l->room = LINES_A_TURN; l->room > 0;) {
        if (l->stage != STAGE_NEXT && put_streams(l)) {
            l->stage = STAGE_NEXT;
        } else if (l->stage == STAGE_NEXT && service_next(l->agent, l->session, &f)) {
            put_session(l, &f);
            l->session = f.number;
            l->stage = STAGE_TARGETS;
            l->stream = 0;
        } else if (l->stage == STAGE_NEXT) {
            control_done(r, "%s", "");
            return;
        }
    }
}

void listing_sessions(struct control_request *r, const struct agent *a)
{
    static const struct control_work work = {.more = more_sessions, .gone = on_gone};
    begin(r, a, &work);
}

/* ---- The audit. ---- */

/* The entry is an object already. */
static void put_entry(struct agent_listing *l, const char *object, size_t len)
{
    static const char kind[] = "{\"kind\":\"entry\",";
    char line[CONTROL_LINE_BYTES];
    size_t head = sizeof kind - 1;
    memcpy(line, kind, head);
    memcpy(line + head, object + 1, len - 1);
    line[head + len - 1] = '\n';
    control_request_send(l->request, view_of(line, head + len));
}

static void more_entries(struct control_request *r, void *listing)
{
    struct agent_listing *l = listing;
    char object[AUDIT_LINE_MAX];
    for (l->room = LINES_A_TURN; l->room > 0; l->room--) {
        size_t len = audit_recall(l->agent->audit, &l->entry, object);
        if (len == 0) {
            control_done(r, "%s", "");
            return;
        }
        put_entry(l, object, len);
    }
}

void listing_audit(struct control_request *r, const struct agent *a, uint32_t last)
{
    static const struct control_work work = {.more = more_entries, .gone = on_gone};
    struct agent_listing *l;
    if (!a->audit) {
        control_failed(r, FAILURE_OTHER, "this agent keeps no audit: Audit is not configured");
        return;
    }
    l = begin(r, a, &work);
    if (l)
        l->entry = audit_recall_from(a->audit, last);
}

/* ---- Requests and approvals. ---- */

static void put_request(struct agent_listing *l, const struct request_facts *f)
{
    struct listing_line line;
    begin_line(&line, "request");
    json_put_number(&line.json, "request", f->number);
    put_party(&line, &f->party);
    json_put_text(&line.json, "state",
                  f->is_approved ? "approved, away"
                  : f->is_away   ? "away"
                                 : "connected");
    put_age(l, &line, "for_s", f->asked_us);
    json_put_number(&line.json, "left_s", f->left_s);
    put_way(l, &line, &f->party);
    put_line(l, &line);
}

static void more_requests(struct control_request *r, void *listing)
{
    struct agent_listing *l = listing;
    struct request_facts f;
    for (l->room = LINES_A_TURN; l->room > 0; l->number = f.number) {
        if (!service_next_request(l->agent, l->number, &f)) {
            control_done(r, "%s", "");
            return;
        }
        put_request(l, &f);
    }
}

void listing_requests(struct control_request *r, const struct agent *a)
{
    static const struct control_work work = {.more = more_requests, .gone = on_gone};
    begin(r, a, &work);
}

static void put_approval(struct agent_listing *l, const struct approval *approval)
{
    struct listing_line line;
    begin_line(&line, "approval");
    json_put_number(&line.json, "approval", approval->number);
    json_put_text(&line.json, "user", approval->user);
    put_key(&line, approval->user_key);
    json_put_text(&line.json, "by", approval->by);
    put_age(l, &line, "for_s", approval->begun_us);
    put_left(l, &line, approval->until_us);
    json_put_number(&line.json, "uses", approval->uses);
    put_line(l, &line);
}

static void more_approvals(struct control_request *r, void *listing)
{
    struct agent_listing *l = listing;
    const struct approval *approval;
    for (l->room = LINES_A_TURN; l->room > 0; l->number = approval->number) {
        approval = approvals_next(&l->agent->approvals, l->number, loop_now(l->agent->loop));
        if (!approval) {
            control_done(r, "%s", "");
            return;
        }
        put_approval(l, approval);
    }
}

void listing_approvals(struct control_request *r, const struct agent *a)
{
    static const struct control_work work = {.more = more_approvals, .gone = on_gone};
    begin(r, a, &work);
}
