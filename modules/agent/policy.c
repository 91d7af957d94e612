/* The configuration's verdict on an OFFER. Limits on sessions are checked after it (service.h). */
#include "agent/policy.h"

#include <string.h>

bool policy_may_begin(const struct agent *a, const struct agent_user *user, struct wire_error *no)
{
    const struct rules *rules = &user->given.rules;
    struct circumstances now = agent_circumstances(a);
    struct ruling ruling = rules_begin(rules, &now, false);
    char text[RULING_TEXT_BYTES];
    if (ruling.answer == RULING_YES)
        return true;
    ruling_text(text, &ruling, rules, &now);
    wire_error_set(no, CODE_DENIED, "%s", text);
    return false;
}

static enum verdict decide(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no)
{
    const struct agent_user *user = agent_find_user(a, facts->proven_key);
    (void)answer;
    if (!user)
        wire_error_set(no, CODE_DENIED, "this agent does not allow the user's key");
    else if (memcmp(facts->offer->user_key, facts->proven_key, KEY_BYTES) != 0)
        wire_error_set(no, CODE_DENIED, "the relay names another key than the user proves");
    else if (!view_equal(facts->hello->agent, view_of_string(a->config.name)))
        wire_error_set(no, CODE_WRONG_AGENT, "this is agent '%s'", a->config.name);
    else if (facts->hello->version < 1)
        wire_error_set(no, CODE_VERSION, "protocol version 0 does not exist");
    else if (bytes_are_zero(facts->hello->session_id, SESSION_ID_BYTES)) /* others have begun */
        policy_may_begin(a, user, no);
    return no->code ? VERDICT_NO : VERDICT_YES;
}

const struct policy agent_policy = {.decide = decide};
