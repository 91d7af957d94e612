/* The configuration's verdict on an OFFER. Limits on sessions are checked after it (service.h). */
#include "agent/policy.h"

#include <string.h>

static enum verdict decide(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no)
{
    (void)answer;
    if (!agent_find_user(a, facts->proven_key))
        wire_error_set(no, CODE_DENIED, "this agent does not allow the user's key");
    else if (memcmp(facts->offer->user_key, facts->proven_key, KEY_BYTES) != 0)
        wire_error_set(no, CODE_DENIED, "the relay names another key than the user proves");
    else if (!view_equal(facts->hello->agent, view_of_string(a->config.name)))
        wire_error_set(no, CODE_WRONG_AGENT, "this is agent '%s'", a->config.name);
    else if (facts->hello->version < 1)
        wire_error_set(no, CODE_VERSION, "protocol version 0 does not exist");
    return no->code ? VERDICT_NO : VERDICT_YES;
}

const struct policy agent_policy = {.decide = decide};
