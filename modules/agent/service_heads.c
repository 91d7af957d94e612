/* Heads of audits: the agent's to the clients of sessions and to relays, theirs into the agent's
 * chain (docs/AUDIT.md). */
#include "agent/service.h"
#include "agent/service_state.h"
#include "agent/uplink.h"
#include "audit/exchange.h"
#include "base/clock.h"

#define HEAD_US (300 * CLOCK_US_PER_S) /* of each session that there is */

/* All sessions that have started are owed one. False: there is none. */
static bool owe_all(struct agent *a)
{
    list_each (link, &a->seats.all)
        service_of_seat(link)->head_due = true;
    return !list_empty(&a->seats.all);
}

/* After the last session relays still hear of its end, if that was too soon after another head. */
static void on_heads(struct timer *timer)
{
    struct agent *a = container_of(timer, struct agent, heads);
    if (owe_all(a))
        timer_set(a->loop, &a->heads, loop_now(a->loop) + HEAD_US);
    audit_want_head(a->audit);
}

void service_want_head(struct service *v)
{
    struct agent *a = v->agent;
    v->head_due = true;
    audit_want_head(a->audit);
    a->heads.on_fire = on_heads;
    if (a->audit && !timer_is_set(&a->heads))
        timer_set(a->loop, &a->heads, loop_now(a->loop) + HEAD_US);
}

void service_head_signed(void *agent, struct view head)
{
    struct agent *a = agent;
    list_each (link, &a->seats.all) {
        struct service *v = service_of_seat(link);
        if (v->head_due)
            session_tell_head(v->session, head);
        v->head_due = false;
    }
    for (size_t i = 0; i < a->uplink_count; i++)
        uplink_tell_head(a->uplinks[i], head);
}

/* Nobody has approved yet one that waits, whose key would count from then on. */
void service_take_head(struct session *s, struct view head)
{
    struct service *v = session_owner(s);
    struct audit_entry of = v->subject.entry;
    of.by = "client";
    if (!v->seat.asks &&
        audit_take_head(v->agent->audit, &v->meter->heads, &of, v->seat.user_key, head))
        service_count_entry(v);
}
