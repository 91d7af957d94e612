/* A session that waits for the approval of a person: it asks, and is granted, denied, or over. */
#include <stdio.h>
#include <string.h>

#include "agent/budget.h"
#include "agent/changes.h"
#include "agent/events.h"
#include "agent/lock.h"
#include "agent/policy.h"
#include "agent/service.h"
#include "agent/service_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

static struct service *service_of_request(struct asked_request *q)
{
    return container_of(q, struct service, request);
}

static struct service *find_request(const struct agent *a, uint32_t number)
{
    struct asked_request *q = number ? requests_next(a->requests, number - 1) : NULL;
    return q && q->number == number ? service_of_request(q) : NULL;
}

/* ---- It asks. ---- */

static void log_used(struct service *v, struct approval *used)
{
    struct log_fields f = service_fields(v, "approval_used");
    struct audit_entry more = v->subject.entry;
    char number[12], text[ERROR_TEXT_BYTES];
    more.by = used->by;
    used->uses++;
    snprintf(number, sizeof number, "%u", used->number);
    f.request = number;
    snprintf(text, sizeof text, "user %s need not ask: approval %s covers the key", v->access.user,
             number);
    log_caused_event(&v->agent->log, v->seat.user_key, loop_now(v->agent->loop), LOG_INFO, &f,
                     "circuit %s: %s", v->label, text);
    service_note(v, &f, used->by);
    event_tell(v->agent, EVENT_GRANTED, v->seat.user_key, &f, &more, text);
}

/* Between its accepted OFFER and its START the rules, and the approvals, have gone on. */
void service_take_place(struct service *v)
{
    struct agent *a = v->agent;
    const struct agent_user *user = service_user(v);
    struct wire_error no = {0};
    struct approval *approval =
        approvals_of(&a->approvals, v->seat.user_key, user ? user->name : "", loop_now(a->loop));
    bool asks = user && policy_begin(a, user, v->reason[0] != '\0', &no) == RULING_ASK;
    v->awaits_grant = session_waits(v->session) || asks;
    session_set_waiting(v->session, asks);
    if (asks)
        seats_ask(&a->seats, &v->seat);
    else
        seats_start(&a->seats, &v->seat);
    if (!asks && user && !no.code && user->given.rules.access == ACCESS_ASK && approval)
        log_used(v, approval);
}

static uint64_t wall_end_s(const struct service *v)
{
    return (uint64_t)clock_wall_s() + service_ask_left_s(v);
}

static void tell_code(struct service *v)
{
    const struct access_frame access = {
        .state = ACCESS_WAITING, .until_s = wall_end_s(v), .text = view_of_string(v->request.code)};
    session_tell_access(v->session, &access);
}

/* A decision of the agent's owner, which is not the user's to pay for. Returns as audit_write. */
static uint64_t note_decision(const struct service *v, const struct log_fields *f, const char *by)
{
    struct audit_entry e = v->subject.entry;
    e.by = by;
    e.decision = true;
    return audit_note(v->agent->audit, f, &e);
}

static struct log_fields request_fields(const struct service *v, const char *event)
{
    struct log_fields f = service_fields(v, event);
    f.request = v->request_text;
    return f;
}

static void log_asked(struct service *v)
{
    struct log_fields f = request_fields(v, "session_asked");
    char text[ERROR_TEXT_BYTES + USER_TEXT_BYTES], said[QUOTED_REASON_BYTES], left[24];
    text_quote(said, sizeof said, v->reason);
    text_duration(left, v->request.until_us - v->request.asked_us);
    f.reason = v->reason;
    snprintf(text, sizeof text, "request %s: user %s asks for approval within %s%s%s", f.request,
             v->access.user, left, v->reason[0] ? ", and says " : "", v->reason[0] ? said : "");
    log_caused_event(&v->agent->log, v->seat.user_key, loop_now(v->agent->loop), LOG_WARNING, &f,
                     "circuit %s: %s", v->label, text);
    service_note(v, &f, NULL);
    event_tell(v->agent, EVENT_REQUEST, v->seat.user_key, &f, &v->subject.entry, text);
}

/* Requests of the same key that are away give way. False: no says why it cannot ask. */
static bool begin_request(struct service *v, struct wire_error *no)
{
    struct agent *a = v->agent;
    const uint8_t *key = v->seat.user_key;
    uint64_t now = loop_now(a->loop);
    const struct agent_user *user = service_user(v);
    struct asked_request *away;
    if (!session_can_wait(v->session))
        return wire_error_set(no, CODE_DENIED, POLICY_CANNOT_WAIT_TEXT);
    if (!requests_may_ask(a->requests, key, v->guest != NULL, now, no))
        return false;
    while ((away = requests_away_of(a->requests, key)) != NULL)
        service_end(service_of_request(away), "it was away, and its user asks anew");
    return requests_begin(a->requests, &v->request, key, v->guest != NULL, now,
                          user->given.rules.ask_timeout_s) ||
           wire_error_set(no, CODE_FULL, "no code for a request is left today");
}

static void refuse(struct service *v, enum code code, const char *text)
{
    v->ended_as = code;
    service_close(v, code, text);
}

void service_ask(struct service *v)
{
    struct wire_error no = {0};
    struct error e = {0};
    if (begin_request(v, &no)) {
        snprintf(v->request_text, sizeof v->request_text, "%u", v->request.number);
        log_asked(v);
        tell_code(v);
        service_look_at_terms(v->agent, loop_now(v->agent->loop));
        if (!service_use_code(v, &e))
            refuse(v, CODE_DENIED, e.text);
    } else {
        refuse(v, no.code, no.text);
    }
}

/* ---- It waits. ---- */

void service_ask_away(struct service *v)
{
    v->request.is_away = true;
}

uint32_t service_ask_left_s(const struct service *v)
{
    uint64_t now = loop_now(v->agent->loop), until = v->request.until_us;
    return until > now ? (uint32_t)((until - now + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S) : 0;
}

void service_ask_over(struct service *v)
{
    requests_end(v->agent->requests, &v->request);
}

static void lapse(struct service *v)
{
    struct log_fields f = request_fields(v, "session_lapsed");
    char text[120], waited[24];
    text_duration(waited, v->request.until_us - v->request.asked_us);
    if (v->request.is_approved)
        snprintf(text, sizeof text, "it was approved, but its client did not come back");
    else
        snprintf(text, sizeof text, "nobody approved the request within %s", waited);
    f.reason = text;
    log_event(LOG_WARNING, &f, "circuit %s: request %s of user %s: %s", v->label, f.request,
              v->access.user, text);
    service_note(v, &f, "agent");
    refuse(v, CODE_DENIED, text);
}

uint64_t service_ask_look(struct service *v)
{
    struct agent *a = v->agent;
    const struct agent_user *user = service_user(v);
    uint64_t look_us = loop_now(a->loop) + TERM_LOOK_US;
    struct wire_error no = {0};
    if (!v->request.number || !user)
        return CLOCK_NEVER;
    if (v->request.until_us <= loop_now(a->loop)) {
        lapse(v);
        return CLOCK_NEVER;
    }
    if (policy_begin(a, user, true, &no) == RULING_NO) {
        refuse(v, no.code, no.text);
        return CLOCK_NEVER;
    }
    return v->request.until_us < look_us ? v->request.until_us : look_us;
}

/* ---- It is decided. ---- */

static void grant(struct service *v)
{
    requests_end(v->agent->requests, &v->request);
    session_set_waiting(v->session, false);
    service_enter(v);
}

void service_ask_back(struct service *v)
{
    v->request.is_away = false;
    if (v->request.is_approved)
        grant(v);
}

static bool has_place(const struct service *v, uint32_t number, struct error *e)
{
    const struct seats *seats = &v->agent->seats;
    if (v->guest && service_guests(v->agent) >= SESSIONS_BY_PERMIT)
        return error_set(e, FAILURE_OTHER, "request %u: " FULL_OF_GUESTS_TEXT ": end one first",
                         number);
    return (seats_has_room(seats, v->seat.user_key) && budget_has_room_for(seats, v->session)) ||
           error_set(e, FAILURE_OTHER, "request %u: too many sessions are open: end one first",
                     number);
}

bool service_may_grant(struct agent *a, uint32_t number, struct error *e)
{
    struct service *v = find_request(a, number);
    const struct agent_user *user = v ? service_user(v) : NULL;
    struct wire_error no = {0};
    if (!user)
        return error_set(e, FAILURE_OTHER, "request %u is over", number);
    if (v->request.is_approved)
        return error_set(e, FAILURE_OTHER,
                         "request %u is approved, and granted when its client is "
                         "back",
                         number);
    if (policy_begin(a, user, v->reason[0] != '\0', &no) == RULING_NO)
        return error_set(e, FAILURE_DENIED, "request %u: %s", number, no.text);
    if (!audit_permits(a->audit))
        return error_set(e, FAILURE_OTHER, NO_AUDIT_TEXT);
    return has_place(v, number, e);
}

uint64_t service_note_approval(struct agent *a, uint32_t number, const char *by, uint32_t for_s)
{
    const struct service *v = find_request(a, number);
    struct log_fields f = request_fields(v, "session_approved");
    char time[24], text[32];
    text_duration(time, for_s * CLOCK_US_PER_S);
    snprintf(text, sizeof text, "for %s", time);
    f.reason = for_s ? text : NULL;
    return note_decision(v, &f, by);
}

static void log_approved(const struct service *v, const char *by, uint32_t for_s)
{
    struct log_fields f = request_fields(v, "session_approved");
    struct audit_entry more = v->subject.entry;
    char text[ERROR_TEXT_BYTES], time[24];
    text_duration(time, for_s * CLOCK_US_PER_S);
    snprintf(text, sizeof text, "request %s of user %s: approved by %s%s%s%s", f.request,
             v->access.user, by, for_s ? ", and all of this key for " : "", for_s ? time : "",
             v->request.is_away ? ", when its client is back" : "");
    more.by = by;
    log_event(LOG_WARNING, &f, "circuit %s: %s", v->label, text);
    event_tell(v->agent, EVENT_GRANTED, NULL, &f, &more, text);
}

bool service_grant(struct agent *a, uint32_t number, const char *by, uint32_t for_s)
{
    struct service *v = find_request(a, number);
    uint64_t away_until_us =
        loop_now(a->loop) + session_resume_window_s(v->session) * CLOCK_US_PER_S;
    bool is_away = v->request.is_away;
    log_approved(v, by, for_s);
    requests_approved(a->requests, v->seat.user_key);
    v->request.is_approved = true;
    if (v->request.until_us < away_until_us)
        v->request.until_us = away_until_us;
    if (!is_away)
        grant(v);
    return !is_away;
}

void service_end_request(struct agent *a, uint32_t number, const char *text)
{
    struct service *v = find_request(a, number);
    if (v)
        refuse(v, CODE_DENIED, text);
}

bool service_deny(struct agent *a, uint32_t number, const char *by, const char *why)
{
    struct service *v = find_request(a, number);
    struct log_fields f;
    char text[LOCK_WHY_MAX_BYTES + 64];
    uint32_t wait_s;
    if (!v)
        return false;
    f = request_fields(v, "session_denied");
    f.reason = why;
    snprintf(text, sizeof text, "denied by the agent's owner%s%s", why[0] ? ": " : "", why);
    wait_s = requests_denied(a->requests, v->seat.user_key, loop_now(a->loop));
    log_event(
        LOG_WARNING, &f,
        "circuit %s: request %s of user %s: denied by %s%s%s; the key may ask again in %u min",
        v->label, f.request, v->access.user, by, why[0] ? ": " : "", why, wait_s / 60);
    note_decision(v, &f, by);
    refuse(v, CODE_DENIED, text);
    return true;
}

/* ---- All that wait. ---- */

bool service_is_same_user(const struct agent *a, const uint8_t key[KEY_BYTES], const char *name,
                          const struct agent_config *old)
{
    if (agent_find_user(a, key))
        return changes_same_user(old, &a->config, key);
    list_each (link, &a->guests) {
        const struct guest *g = container_of(link, struct guest, place);
        if (memcmp(g->user.public_key, key, KEY_BYTES) == 0 && strcmp(g->user.name, name) == 0)
            return !g->changed && !g->withdrawn;
    }
    return false;
}

void service_end_changed_requests(struct agent *a, const struct agent_config *old)
{
    list_each (link, &a->seats.asking) {
        struct service *v = service_of_seat(link);
        if (!v->request.number || service_is_same_user(a, v->seat.user_key, v->access.user, old))
            continue;
        refuse(v, CODE_DENIED, "what the user may do here has changed: ask again");
    }
}

bool service_next_request(const struct agent *a, uint32_t after, struct request_facts *out)
{
    struct asked_request *q = requests_next(a->requests, after);
    const struct service *v = q ? service_of_request(q) : NULL;
    if (!v)
        return false;
    *out = (struct request_facts){
        .number = q->number,
        .party = service_party_of(v),
        .asked_us = q->asked_us,
        .left_s = service_ask_left_s(v),
        .is_away = q->is_away,
        .is_approved = q->is_approved,
    };
    return true;
}
