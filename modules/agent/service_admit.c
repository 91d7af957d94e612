/* Session message 1 finds its session: a new one, or the one that it resumes. */
#include <stdio.h>
#include <string.h>

#include "agent/ended.h"
#include "agent/permits.h"
#include "agent/policy.h"
#include "agent/service.h"
#include "agent/service_state.h"

static struct service *find_on(const struct list *seats, const uint8_t id[SESSION_ID_BYTES])
{
    list_each (link, seats) {
        struct service *v = service_of_seat(link);
        if (memcmp(session_id(v->session), id, SESSION_ID_BYTES) == 0)
            return v;
    }
    return NULL;
}

static struct service *find_session(const struct agent *a, const uint8_t id[SESSION_ID_BYTES])
{
    struct service *v = find_on(&a->seats.all, id);
    v = v ? v : find_on(&a->seats.asking, id);
    return v ? v : find_on(&a->seats.unstarted, id);
}

static struct service *find_service(const struct agent *a, const uint8_t id[SESSION_ID_BYTES],
                                    const uint8_t key[KEY_BYTES])
{
    struct service *v = find_session(a, id);
    return v && memcmp(v->seat.user_key, key, KEY_BYTES) == 0 ? v : NULL;
}

bool service_awaits(struct agent *a, const struct attempt *earlier)
{
    const struct service *v = find_session(a, earlier->session_id);
    return v && session_may_resume(v->session, earlier->number);
}

/* A stopping agent need not wait for a client whose circuit broke before it acknowledged CLOSE: it
 * has come to resume, and is told in message 2. */
static void end_told(struct agent *a, const uint8_t key[KEY_BYTES],
                     const struct session_hello *hello)
{
    struct service *v = find_service(a, hello->session_id, key);
    if (v && !v->current)
        service_end(v, session_reason(v->session));
}

/* By a permit, what its user may have; of a session that resumes it is not asked which. */
static struct guest *guest_of(const struct agent *a, const struct admission *in)
{
    const struct service *v = find_service(a, in->hello->session_id, in->user_key);
    return v ? v->guest : permits_guest(a, in->user_key, in->hello);
}

/* A new session, or for a copy of its message 1 the same. NULL: no says why there is none. */
static struct service *begin(struct agent *a, const struct agent_user *user,
                             const struct admission *in, struct wire_error *no)
{
    struct seat *oldest;
    struct service *v = NULL;
    bool asks;
    if (in->earlier && service_awaits(a, in->earlier))
        return find_session(a, in->earlier->session_id);
    if (in->earlier) {
        wire_error_set(no, CODE_STALE, "the client's first message was used before");
        return NULL;
    }
    if (!audit_permits(a->audit)) {
        wire_error_set(no, CODE_FULL, NO_AUDIT_TEXT);
        return NULL;
    }
    if (!service_quota_permits(a, user->public_key, no))
        return NULL;
    asks = policy_begin(a, user, in->hello->reason.len > 0, no) == RULING_ASK;
    if (!asks && !no->code && !seats_has_room(&a->seats, user->public_key)) {
        wire_error_set(no, CODE_FULL, "too many sessions are open at this agent");
        return NULL;
    }
    oldest = seats_in_the_way(&a->seats, in->relay_key);
    if (oldest)
        service_end(container_of(oldest, struct service, seat),
                    "it has not started, and too many others through its relay have not either");
    v = service_new(a, user, in);
    if (v)
        session_set_waiting(v->session, asks);
    else
        wire_error_set(no, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
    return v;
}

unsigned service_guests(const struct agent *a)
{
    unsigned count = 0;
    list_each (link, &a->seats.all)
        count += service_of_seat(link)->guest != NULL;
    return count;
}

/* Those of users of the file have a reserve. */
static bool has_place(const struct agent *a, const struct guest *guest, struct wire_error *no)
{
    return !guest || service_guests(a) < SESSIONS_BY_PERMIT ||
           wire_error_set(no, CODE_FULL, "%s", FULL_OF_GUESTS_TEXT);
}

/* The session that is to be resumed. NULL: no says why it cannot be. */
static struct service *resume(struct agent *a, const uint8_t key[KEY_BYTES],
                              const struct session_hello *hello, struct wire_error *no)
{
    const struct wire_error *ended;
    struct service *v = find_service(a, hello->session_id, key);
    if (v && session_may_resume(v->session, hello->circuit))
        return v;
    if (v)
        wire_error_set(no, CODE_STALE, "a newer circuit carries the session");
    else if ((ended = ended_why(&a->ended, hello->session_id, key, loop_now(a->loop))) != NULL)
        wire_error_set(no, ended->code, "%s", ended->text);
    else
        wire_error_set(
            no, CODE_NO_SESSION,
            "the session is not known: the agent was restarted, or the session ended long ago");
    return NULL;
}

struct attachment *service_admit(struct agent *a, const struct admission *in, struct wire_error *no)
{
    const uint8_t *key = in->user_key;
    const struct session_hello *hello = in->hello;
    const struct agent_user *user = agent_find_user(a, key);
    struct guest *guest = user ? NULL : guest_of(a, in);
    bool is_new = bytes_are_zero(hello->session_id, SESSION_ID_BYTES);
    struct attachment *t;
    struct service *v;
    if (!user && !guest) {
        wire_error_set(no, CODE_DENIED, "this agent does not allow the user's key");
        return NULL;
    }
    if (a->stopping) {
        wire_error_set(no, CODE_SHUTDOWN, AGENT_ENDING_TEXT);
        end_told(a, key, hello);
        return NULL;
    }
    if (is_new && !has_place(a, guest, no))
        return NULL;
    v = is_new ? begin(a, user ? user : &guest->user, in, no) : resume(a, key, hello, no);
    if (!v)
        return NULL;
    if (guest && !v->guest) {
        v->guest = guest;
        permits_take(a, guest);
    }
    t = attachment_new(a->loop, &service_attachment_events, v, v->session, &v->share->turns, hello,
                       in->label, in->relay_key);
    if (!t) {
        wire_error_set(no, CODE_INTERNAL, AGENT_NO_MEMORY_TEXT);
        if (!v->seat.started)
            service_end(v, no->text);
        return NULL;
    }
    snprintf(t->from, sizeof t->from, "%s", in->from);
    snprintf(t->circuit, sizeof t->circuit, "%s", in->circuit);
    if (v->candidate)
        service_let_go(v, v->candidate);
    session_take_hello(v->session, hello);
    v->candidate = t;
    return t;
}
