/* A session whose client gave an emergency code in place of an approval. */
#include <stdio.h>

#include "agent/code_desk.h"
#include "agent/service.h"
#include "agent/service_state.h"
#include "base/log.h"

static void note_used(const struct service *v, unsigned number)
{
    struct log_fields f = service_fields(v, "code_used");
    struct audit_entry e = v->subject.entry;
    char text[64];
    snprintf(text, sizeof text, "emergency code %u; %zu are left", number,
             code_desk_left(v->agent->codes));
    f.request = v->request_text;
    f.reason = text;
    e.by = "client";
    e.decision = true;
    log_event(LOG_WARNING, &f, "circuit %s: user %s used %s", v->label, v->access.user, text);
    audit_note(v->agent->audit, &f, &e);
}

static void note_refused(struct service *v, const char *why)
{
    struct log_fields f = service_fields(v, "code_refused");
    f.request = v->request_text;
    f.reason = why;
    log_caused_event(&v->agent->log, v->seat.user_key, loop_now(v->agent->loop), LOG_WARNING, &f,
                     "circuit %s: user %s gave an emergency code in vain: %s", v->label,
                     v->access.user, why);
    service_note(v, &f, "agent");
}

bool service_use_code(struct service *v, struct error *e)
{
    const struct agent_user *user = service_user(v);
    unsigned number = 0;
    if (!v->emergency[0])
        return true;
    if (!user)
        error_set(e, FAILURE_DENIED, "the user is no longer allowed at this agent");
    else if (service_may_grant(v->agent, v->request.number, e)) /* or it would be in vain */
        number = code_desk_take(v->agent->codes, v->emergency, user, v->request.number, e);
    wipe(v->emergency, sizeof v->emergency);
    if (number)
        note_used(v, number);
    else
        note_refused(v, e->text);
    return number > 0;
}
