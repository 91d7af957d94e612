/* A session's entries in the audit, and how many its user may cause: when it is too much in
 * a short time the user's sessions are read more slowly, so that their OPENs wait; when it is too
 * much in a day they end. Others are none the wiser. */
#include <stdio.h>
#include <string.h>

#include "agent/service.h"
#include "agent/service_state.h"
#include "base/log.h"
#include "base/text.h"
#include "forward/stream_audit.h"

#define SPENT_TEXT_BYTES 160

static void spent_text(char out[SPENT_TEXT_BYTES], const struct agent *a, const struct meter *m)
{
    char wait[32];
    uint64_t now = loop_now(a->loop), end = meter_day_ends_us(m);
    text_wait(wait, end > now ? end - now : 0);
    snprintf(out, SPENT_TEXT_BYTES,
             "the user has caused %u entries of the agent's audit, as many as are allowed in a "
             "day; try again %s",
             a->config.audit_quota, wait);
}

static bool is_spent(const struct service *v)
{
    return meter_is_spent(v->meter, v->agent->config.audit_quota, loop_now(v->agent->loop));
}

static void tell_spent(struct service *v)
{
    struct log_fields f = service_fields(v, "quota_reached");
    struct audit_entry e = v->subject.entry;
    char text[SPENT_TEXT_BYTES];
    spent_text(text, v->agent, v->meter);
    f.reason = text;
    v->meter->told = true;
    log_event(LOG_WARNING, &f, "user %s: sessions end: %s", f.user, text);
    e.session = e.circuit = NULL;
    e.count = v->meter->entries;
    e.by = "agent";
    e.decision = true;
    audit_note(v->agent->audit, &f, &e);
    loop_defer(v->agent->loop, &v->agent->quota);
}

void service_count_entry(struct service *v)
{
    uint64_t until = meter_count(v->meter, loop_now(v->agent->loop));
    if (until)
        turns_hold(&v->share->turns, until);
    if (!v->meter->told && is_spent(v))
        tell_spent(v);
}

void service_note(struct service *v, const struct log_fields *f, const char *by)
{
    struct audit_entry e = v->subject.entry;
    e.by = by;
    if (!v->agent->audit)
        return;
    audit_note(v->agent->audit, f, &e);
    service_count_entry(v);
}

void service_note_permit(struct service *v)
{
    struct log_fields f = service_fields(v, "permit_used");
    char id[PERMIT_ID_TEXT_BYTES], text[sizeof id + QUOTED_REASON_BYTES + 16];
    const struct guest *g = v->guest;
    if (!g)
        return;
    text_hex(id, g->id, sizeof g->id);
    snprintf(text, sizeof text, "permit %s%s%s", id, g->reason[0] ? ": " : "", g->reason);
    f.reason = text;
    log_caused_event(&v->agent->log, v->seat.user_key, loop_now(v->agent->loop), LOG_INFO, &f,
                     "circuit %s: by %s", v->label, text);
    service_note(v, &f, NULL);
}

void service_note_stream(struct service *v, const struct stream_report *report)
{
    stream_audit_note(v->agent->audit, false, loop_now(v->agent->loop), &v->subject.entry, report);
    service_count_entry(v);
}

static void end_if_spent(struct service *v)
{
    char text[SPENT_TEXT_BYTES];
    if (session_state(v->session) != SESSION_ACTIVE || !is_spent(v))
        return;
    spent_text(text, v->agent, v->meter);
    v->ended_as = CODE_DENIED;
    service_close(v, CODE_DENIED, text);
}

void service_end_spent(struct deferred *quota)
{
    struct agent *a = container_of(quota, struct agent, quota);
    list_each (link, &a->seats.all)
        end_if_spent(service_of_seat(link));
    list_each (link, &a->seats.asking)
        end_if_spent(service_of_seat(link));
    list_each (link, &a->seats.unstarted)
        end_if_spent(service_of_seat(link));
}

bool service_quota_permits(struct agent *a, const uint8_t user_key[KEY_BYTES],
                           struct wire_error *no)
{
    const struct meter *m = meter_of(&a->meters, user_key);
    char text[SPENT_TEXT_BYTES];
    if (!m || !meter_is_spent(m, a->config.audit_quota, loop_now(a->loop)))
        return true;
    spent_text(text, a, m);
    wire_error_set(no, CODE_DENIED, "%s", text);
    return false;
}
