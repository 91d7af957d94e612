/* A user's rules, held against their sessions: when they start, and again and again until they end.
 */
#include <stdio.h>

#include "agent/policy.h"
#include "agent/service.h"
#include "agent/service_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

/* To the client, if it takes that. */
static void tell(struct service *v, enum access_state state, const struct rules *rules,
                 const struct ending *ending)
{
    char text[TERM_TEXT_BYTES];
    struct access_frame access = {.state = (uint8_t)state};
    term_text(text, v->agent, rules, ending);
    if (ending->rule != RULE_NONE && ending->at_wall > 0)
        access.until_s = (uint64_t)ending->at_wall;
    access.text = view_of_string(text);
    session_tell_access(v->session, &access);
}

static void announce(struct service *v, const struct rules *rules, const struct ending *ending)
{
    struct log_fields f = service_fields(v, "session_ends");
    uint64_t now = loop_now(v->agent->loop);
    char text[TERM_TEXT_BYTES], rule[ENDING_TEXT_BYTES], left[24];
    term_text(text, v->agent, rules, ending);
    ending_text(rule, ending, rules);
    text_duration(left, ending->at_us - now);
    f.reason = rule;
    log_caused_event(&v->agent->log, v->seat.user_key, now, LOG_INFO, &f,
                     "circuit %s: session of user %s ends in %s, at %s", v->label, v->access.user,
                     left, text);
    tell(v, ACCESS_ENDING, rules, ending);
}

static void end_by_rule(struct service *v, const struct rules *rules, const struct ending *ending)
{
    char rule[ENDING_TEXT_BYTES], text[ENDING_TEXT_BYTES + 32];
    ending_text(rule, ending, rules);
    snprintf(text, sizeof text, "ended by %s", rule);
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, text);
}

/* When it is to be looked at again. */
static uint64_t check_term(struct service *v)
{
    const struct agent_user *user = service_user(v);
    struct session_summary carried = session_summary(v->session);
    struct ending ending;
    uint64_t next_us;
    enum term_step step;
    if (!user || session_state(v->session) != SESSION_ACTIVE)
        return CLOCK_NEVER;
    step = term_look(&v->term, v->agent, &user->given.rules,
                     carried.bytes_sent + carried.bytes_received, &ending, &next_us);
    if (step == TERM_TELL)
        tell(v, ACCESS_GRANTED, &user->given.rules, &ending);
    if (step == TERM_ANNOUNCE)
        announce(v, &user->given.rules, &ending);
    if (step == TERM_OVER)
        end_by_rule(v, &user->given.rules, &ending);
    return step == TERM_OVER ? CLOCK_NEVER : next_us;
}

static void check_terms(struct agent *a)
{
    uint64_t first_us = CLOCK_NEVER;
    list_each (link, &a->seats.all) {
        uint64_t next_us = check_term(service_of_seat(link));
        first_us = next_us < first_us ? next_us : first_us;
    }
    list_each (link, &a->seats.asking) {
        uint64_t next_us = service_ask_look(service_of_seat(link));
        first_us = next_us < first_us ? next_us : first_us;
    }
    timer_set(a->loop, &a->terms, first_us);
}

static void on_terms(struct timer *timer)
{
    check_terms(container_of(timer, struct agent, terms));
}

void service_look_at_terms(struct agent *a, uint64_t at_us)
{
    a->terms.on_fire = on_terms;
    timer_set(a->loop, &a->terms, at_us);
}

/* Between its accepted OFFER and its START, or while it was approved, the clock and the
 * configuration have gone on. */
void service_begin_term(struct service *v)
{
    struct agent *a = v->agent;
    const struct agent_user *user = service_user(v);
    struct wire_error no = {0};
    term_begin(&v->term, loop_now(a->loop), v->awaits_grant);
    if (!user || policy_begin(a, user, v->reason[0] != '\0', &no) != RULING_NO) {
        service_look_at_terms(a, loop_now(a->loop));
        return;
    }
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, no.text);
}
