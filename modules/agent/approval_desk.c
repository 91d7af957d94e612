/* Orders of the control socket on requests and approvals, and the approvals' entries in the audit.
 */
#include "agent/approval_desk.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/changes.h"
#include "agent/requests.h"
#include "agent/service.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "control/request.h"

struct approval_desk {
    struct agent *agent;
    struct list approving; /* what waits for the disk: of each request one at most */
};

/* An approval on its way to the disk. */
struct approving {
    struct list link;
    struct audit_wait kept;
    struct approval_desk *desk;
    struct control_request *order; /* NULL: none, or its asker has gone, which takes nothing back */
    bool ordered;                  /* by a person, who can do so again */
    uint32_t number, for_s;
    char by[APPROVAL_BY_BYTES];
};

struct approval_desk *approval_desk_new(struct agent *a)
{
    struct approval_desk *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->agent = a;
    list_init(&d->approving);
    return d;
}

static void forget(struct approving *p)
{
    list_remove(&p->link);
    free(p);
}

void approval_desk_free(struct approval_desk *d)
{
    if (!d)
        return;
    list_each (link, &d->approving) {
        struct approving *p = container_of(link, struct approving, link);
        audit_forget(&p->kept);
        forget(p);
    }
    free(d);
}

/* ---- Approvals for a time. ---- */

static void note_end(struct agent *a, const struct approval *approval, const char *by,
                     const char *why)
{
    char key[FINGERPRINT_TEXT_BYTES], number[12];
    struct log_fields f = {.event = "approval_ended",
                           .agent = a->config.name,
                           .user = approval->user,
                           .key = key,
                           .request = number,
                           .reason = why};
    key_fingerprint(key, approval->user_key);
    snprintf(number, sizeof number, "%u", approval->number);
    log_event(LOG_WARNING, &f, "approval %u, of user %s: ended by %s: %s", approval->number, f.user,
              by, why);
    audit_note(a->audit, &f, &(struct audit_entry){.by = by, .decision = true});
}

static void end_approval(struct agent *a, const struct approval *approval, const char *by,
                         const char *why)
{
    note_end(a, approval, by, why);
    approvals_end(&a->approvals, approval->number, loop_now(a->loop));
}

void approval_desk_end_all(struct agent *a, const char *by, const char *why)
{
    const struct approval *approval;
    while ((approval = approvals_next(&a->approvals, 0, loop_now(a->loop))) != NULL)
        end_approval(a, approval, by, why);
}

void approval_desk_end_changed(struct agent *a, const struct agent_config *old)
{
    const struct approval *approval;
    uint32_t after = 0;
    while ((approval = approvals_next(&a->approvals, after, loop_now(a->loop))) != NULL) {
        after = approval->number;
        if (!service_is_same_user(a, approval->user_key, approval->user, old))
            end_approval(a, approval, "reload", "what the user may do has changed");
    }
    service_end_changed_requests(a, old);
}

void approval_desk_withdraw(struct approval_desk *d, struct control_request *r, uint32_t number)
{
    struct agent *a = d->agent;
    const struct approval *approval =
        number ? approvals_next(&a->approvals, number - 1, loop_now(a->loop)) : NULL;
    if (!approval || approval->number != number) {
        control_failed(r, FAILURE_OTHER, "no approval has the number %u, or its time is over",
                       number);
        return;
    }
    end_approval(a, approval, control_caller(r), "withdrawn");
    control_done(r, "approval %u is withdrawn; sessions that have begun go on", number);
}

/* ---- Approving. ---- */

/* Of the key, after its request was granted. */
static void cover_key(struct approving *p, const uint8_t key[KEY_BYTES], const char *user,
                      char *text, size_t size)
{
    struct agent *a = p->desk->agent;
    char time[24];
    text_duration(time, p->for_s * CLOCK_US_PER_S);
    if (approvals_add(&a->approvals, p->number, key, user, p->by, loop_now(a->loop), p->for_s))
        snprintf(text, size, "; the key of %s need not ask for %s: approval %u", user, time,
                 p->number);
    else
        snprintf(text, size,
                 "; there are too many approvals for one more: the key has to ask again");
}

static void take_effect(struct approving *p, struct error *e)
{
    struct agent *a = p->desk->agent;
    struct control_request *r = p->order;
    struct request_facts f;
    char more[USER_TEXT_BYTES + 96] = "", user[USER_TEXT_BYTES];
    char begun[32] = "";
    uint8_t key[KEY_BYTES];
    bool now;
    if (!service_may_grant(a, p->number, e) || !service_next_request(a, p->number - 1, &f))
        return;
    memcpy(key, f.party.user_key, sizeof key);
    snprintf(user, sizeof user, "%s", f.party.user);
    now = service_grant(a, p->number, p->by, p->for_s);
    if (p->for_s)
        cover_key(p, key, user, more, sizeof more);
    if (now)
        snprintf(begun, sizeof begun, ": session %u", (unsigned)a->sessions_started);
    if (r)
        control_done(r, "request %u of %s is approved%s%s", p->number, user,
                     now ? begun : ", and granted when its client is back", more);
}

/* Nobody would come back to a request by a code that is used up. */
static void fail(const struct approving *p, const struct error *e)
{
    if (p->order)
        control_failed(p->order, e->failure, "%s", e->text);
    if (p->ordered)
        return;
    log_error("%s: %s", p->by, e->text);
    service_end_request(p->desk->agent, p->number, e->text);
}

static void on_kept(struct audit_wait *w, bool ok)
{
    struct approving *p = container_of(w, struct approving, kept);
    struct error e = {0};
    if (ok)
        take_effect(p, &e);
    else
        error_set(&e, FAILURE_OTHER, "not approved: the audit has no room for it");
    if (e.failure)
        fail(p, &e);
    forget(p);
}

static void on_gone(void *approving)
{
    struct approving *p = approving;
    p->order = NULL;
}

static bool is_on_its_way(const struct approval_desk *d, uint32_t number)
{
    list_each (link, &d->approving)
        if (container_of(link, struct approving, link)->number == number)
            return true;
    return false;
}

/* False: e says what is in the way. */
static bool may_approve(struct approval_desk *d, const struct asked_request *q, struct error *e)
{
    if (is_on_its_way(d, q->number))
        return error_set(e, FAILURE_OTHER, "request %u is being approved already", q->number);
    return service_may_grant(d->agent, q->number, e);
}

/* Without an audit there is nothing to wait for, nor with one that need not be written. */
static void begin(struct approving *p)
{
    struct agent *a = p->desk->agent;
    list_append(&p->desk->approving, &p->link);
    p->kept.done = on_kept;
    p->kept.ticket = service_note_approval(a, p->number, p->by, p->for_s);
    if (audit_can_keep(a->audit))
        audit_when_written(a->audit, &p->kept);
    else
        on_kept(&p->kept, true);
}

static void begin_order(struct approval_desk *d, struct control_request *r, uint32_t number,
                        uint32_t for_s)
{
    static const struct control_work work = {.gone = on_gone};
    struct approving *p = calloc(1, sizeof *p);
    if (!p) {
        control_failed(r, FAILURE_OTHER, NO_MEMORY_TEXT);
        return;
    }
    *p = (struct approving){
        .desk = d, .order = r, .ordered = true, .number = number, .for_s = for_s};
    snprintf(p->by, sizeof p->by, "%s", control_caller(r));
    control_begin(r, &work, p);
    begin(p);
}

void approval_desk_approve_for(struct approval_desk *d, uint32_t number, const char *by)
{
    struct approving *p = calloc(1, sizeof *p);
    struct error e = {0};
    if (!p) {
        service_end_request(d->agent, number, AGENT_NO_MEMORY_TEXT);
        return;
    }
    *p = (struct approving){.desk = d, .number = number};
    snprintf(p->by, sizeof p->by, "%s", by);
    if (!is_on_its_way(d, number) && service_may_grant(d->agent, number, &e)) {
        begin(p);
        return;
    }
    if (e.failure)
        fail(p, &e);
    free(p);
}

static void note_refused(struct agent *a, const char *by, const char *why)
{
    struct log_fields f = {.event = "approval_refused", .agent = a->config.name, .reason = why};
    log_event(LOG_WARNING, &f, "%s approves nothing: %s", by, why);
    audit_note(a->audit, &f, &(struct audit_entry){.by = by, .decision = true});
}

void approval_desk_approve(struct approval_desk *d, struct control_request *r, const char *code,
                           uint32_t for_s)
{
    struct agent *a = d->agent;
    struct error e = {0};
    bool looks = requests_take_codes(a->requests, loop_now(a->loop));
    const struct asked_request *q = requests_by_code(a->requests, code, loop_now(a->loop), &e);
    if (!q) {
        if (looks) /* or whoever tries all codes would fill log and audit */
            note_refused(a, control_caller(r), e.text);
        control_failed(r, e.failure, "%s", e.text);
    } else if (may_approve(d, q, &e)) {
        begin_order(d, r, q->number, for_s);
    } else {
        control_failed(r, e.failure, "%s", e.text);
    }
}

void approval_desk_deny(struct approval_desk *d, struct control_request *r, uint32_t number,
                        const char *why)
{
    if (service_deny(d->agent, number, control_caller(r), why))
        control_done(r, "request %u is denied", number);
    else
        control_failed(r, FAILURE_OTHER, "no request has the number %u", number);
}
