/* All sessions: after a reload, for those who look at them, and for those who end them. */
#include <string.h>

#include "agent/ended.h"
#include "agent/service.h"
#include "agent/service_state.h"
#include "base/log.h"
#include "base/text.h"

/* A circuit through a relay that is no longer in the configuration ends; the session may resume
 * through another. */
static void drop_removed_relay(struct service *v)
{
    static const char why[] = "its relay is no longer in the configuration";
    struct agent *a = v->agent;
    if (v->candidate && !agent_find_relay(a, v->candidate->relay_key)) {
        service_let_go(v, v->candidate);
        service_candidate_lost(v, why);
    }
    if (!v->current || agent_find_relay(a, v->current->relay_key))
        return;
    service_let_go(v, v->current);
    if (session_state(v->session) == SESSION_ACTIVE)
        service_circuit_lost(v, why);
    else
        service_end(v, why);
}

/* False: no memory for what they allow more. */
static bool update_permissions(struct service *v, const struct agent_user *user)
{
    if (user->listen_count && !session_widen_own_streams(v->session, AGENT_STREAMS_MAX))
        return false;
    if (!access_update(&v->access, user))
        return false;
    access_set_label(&v->access, v->label); /* with the user's name */
    return true;
}

static void check(struct service *v)
{
    const struct agent_user *user = service_user(v);
    if (!user)
        service_close(v, CODE_REVOKED,
                      v->guest && v->guest->why ? v->guest->why
                                                : "the user is no longer allowed at this agent");
    else if (!update_permissions(v, user))
        service_close(v, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    else
        drop_removed_relay(v);
}

void service_check_all(struct agent *a)
{
    list_each (link, &a->seats.all)
        check(service_of_seat(link));
    list_each (link, &a->seats.asking)
        check(service_of_seat(link));
    list_each (link, &a->seats.unstarted)
        check(service_of_seat(link));
    service_look_at_terms(a, loop_now(a->loop));
}

void service_calls_stored(struct agent *a)
{
    list_each (link, &a->seats.all)
        access_calls_stored(&service_of_seat(link)->access);
}

static void log_state(const struct service *v)
{
    struct log_fields f = service_counted_fields(v, "session_status");
    char totals[LOG_TOTALS_BYTES];
    log_fields_totals(totals, &f);
    log_event(LOG_INFO, &f, "status: circuit %s: user %s, %s, %u stream%s opened, %s", v->label,
              v->access.user, v->current ? "connected" : "waiting for its client", f.streams,
              f.streams == 1 ? "" : "s", totals);
}

void service_log_all(const struct agent *a)
{
    list_each (link, &a->seats.all)
        log_state(service_of_seat(link));
}

/* ---- For those who look at them and end them. ---- */

struct service_party service_party_of(const struct service *v)
{
    return (struct service_party){
        .user = v->access.user,
        .user_key = v->seat.user_key,
        .reason = v->reason,
        .circuit = v->label,
        .from = v->current ? v->current->from : "",
        .relay_key = v->current ? v->current->relay_key : NULL,
    };
}

static struct service_facts facts_of(const struct service *v)
{
    struct session_summary carried = session_summary(v->session);
    return (struct service_facts){
        .number = v->number,
        .party = service_party_of(v),
        .begun_us = v->begun_us,
        .waiting_since_us = v->seat.waiting_since_us,
        .idle_since_us = term_idle_since_us(&v->term, carried.bytes_sent + carried.bytes_received,
                                            loop_now(v->agent->loop)),
        .carried = carried,
        .is_closing = session_state(v->session) != SESSION_ACTIVE,
        .targets = v->access.targets,
        .listeners = v->access.listeners,
    };
}

bool service_next(const struct agent *a, uint32_t after, struct service_facts *out)
{
    list_each (link, &a->seats.all) {
        const struct service *v = service_of_seat(link);
        if (v->number <= after)
            continue;
        *out = facts_of(v);
        return true;
    }
    return false;
}

/* Returns 1 if it was to end and does. */
static unsigned end_chosen(struct service *v, uint32_t number, const char *user, const char *text)
{
    if ((number && v->number != number) || (user && strcmp(v->access.user, user) != 0) ||
        session_state(v->session) != SESSION_ACTIVE)
        return 0;
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, text);
    return 1;
}

unsigned service_end_by_order(struct agent *a, uint32_t number, const char *user, const char *text)
{
    unsigned count = 0;
    list_each (link, &a->seats.all)
        count += end_chosen(service_of_seat(link), number, user, text);
    if (number)
        return count;
    list_each (link, &a->seats.asking)
        count += end_chosen(service_of_seat(link), 0, user, text);
    list_each (link, &a->seats.unstarted)
        end_chosen(service_of_seat(link), 0, user, text);
    return count;
}

void service_close_all(struct agent *a, enum code code, const char *text)
{
    list_each (link, &a->seats.all)
        service_close(service_of_seat(link), code, text);
    list_each (link, &a->seats.asking)
        service_close(service_of_seat(link), code, text);
    list_each (link, &a->seats.unstarted)
        service_close(service_of_seat(link), code, text);
}

void service_end_all(struct agent *a)
{
    list_each (link, &a->seats.all)
        service_end(service_of_seat(link), AGENT_ENDING_TEXT);
    list_each (link, &a->seats.asking)
        service_end(service_of_seat(link), AGENT_ENDING_TEXT);
    list_each (link, &a->seats.unstarted)
        service_end(service_of_seat(link), AGENT_ENDING_TEXT);
    list_each (link, &a->over)
        service_free(service_of_seat(link));
    ended_free(&a->ended);
}
