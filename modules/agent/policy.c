/* The configuration's verdict on an OFFER. Limits on sessions are checked after it (service.h). */
#include "agent/policy.h"

#include <string.h>

#include "agent/permits.h"
#include "agent/requests.h"

enum ruling_answer policy_begin(struct agent *a, const struct agent_user *user, bool has_reason,
                                struct wire_error *no)
{
    const struct rules *rules = &user->given.rules;
    struct circumstances now = agent_circumstances(a);
    struct ruling ruling = rules_begin(rules, &now, has_reason);
    char text[RULING_TEXT_BYTES];
    if (ruling.answer == RULING_ASK &&
        approvals_of(&a->approvals, user->public_key, user->name, loop_now(a->loop)))
        return RULING_YES;
    if (ruling.answer != RULING_NO)
        return ruling.answer;
    ruling_text(text, &ruling, rules, &now);
    wire_error_set(no, CODE_DENIED, "%s", text);
    return RULING_NO;
}

/* Of a new session. */
static void check_begin(struct agent *a, const struct agent_user *user, bool by_permit,
                        const struct session_hello *hello, struct wire_error *no)
{
    const uint8_t needed = HELLO_TAKES_ACCESS | HELLO_TAKES_WAITING;
    if (policy_begin(a, user, hello->reason.len > 0, no) != RULING_ASK)
        return;
    if ((hello->takes & needed) != needed)
        wire_error_set(no, CODE_DENIED, POLICY_CANNOT_WAIT_TEXT);
    else
        requests_may_ask(a->requests, user->public_key, by_permit, loop_now(a->loop), no);
}

/* By a permit that is admitted, if there is no user of the file. Those that resume have begun. */
static void check_session(struct agent *a, const struct agent_user *user, const struct facts *facts,
                          struct wire_error *no)
{
    const struct guest *guest;
    if (!bytes_are_zero(facts->hello->session_id, SESSION_ID_BYTES))
        return;
    guest = user ? NULL : permits_guest(a, facts->proven_key, facts->hello);
    check_begin(a, guest ? &guest->user : user, guest != NULL, facts->hello, no);
}

static enum verdict decide(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no)
{
    const struct agent_user *user = agent_find_user(a, facts->proven_key);
    (void)answer;
    if (!user && !permits_are_asked(a, facts->proven_key, facts->hello))
        wire_error_set(no, CODE_DENIED, "this agent does not allow the user's key");
    else if (memcmp(facts->offer->user_key, facts->proven_key, KEY_BYTES) != 0)
        wire_error_set(no, CODE_DENIED, "the relay names another key than the user proves");
    else if (!view_equal(facts->hello->agent, view_of_string(a->config.name)))
        wire_error_set(no, CODE_WRONG_AGENT, "this is agent '%s'", a->config.name);
    else if (facts->hello->version < 1)
        wire_error_set(no, CODE_VERSION, "protocol version 0 does not exist");
    else if (user || permits_admit(a, facts->proven_key, facts->hello, no))
        check_session(a, user, facts, no);
    return no->code ? VERDICT_NO : VERDICT_YES;
}

const struct policy agent_policy = {.decide = decide};
