/* Who may have a session at this agent. */
#ifndef SPX_AGENT_POLICY_H
#define SPX_AGENT_POLICY_H

#include "agent/state.h"
#include "wire/messages.h"
#include "wire/wire_error.h"

#define POLICY_CANNOT_WAIT_TEXT \
    "a session here needs approval, which this client cannot wait for: it needs a newer spx"

struct answer;

/* The facts of a decision; valid while the answer is in progress. */
struct facts {
    const struct offer *offer;         /* the relay's word */
    const struct session_hello *hello; /* the client's word, authentic */
    const uint8_t *proven_key;         /* whose word: KEY_BYTES */
};

enum verdict {
    VERDICT_YES,
    VERDICT_NO,
    VERDICT_LATER, /* work is needed first: a key process, a disk, a signature */
};

struct policy {
    /* Asked once the facts are there, and again after every answer_wake: a yes is always by the
     * configuration as it is then. NO: sets no. LATER: answer_wake follows when its work is done.
     */
    enum verdict (*decide)(struct agent *a, const struct facts *facts, struct answer *answer,
                           struct wire_error *no);
    /* An answer for which it said LATER is no longer needed: answer_wake must not follow. NULL if
     * it never says LATER. */
    void (*forget)(struct agent *a, struct answer *answer);
};

/* The one in use: the configuration's users and their rules, this agent's name, and who may ask
 * for approval. Never says LATER. */
extern const struct policy agent_policy;

/* The user's rules for the begin of a session, held against now. RULING_NO: no says which is in the
 * way. RULING_ASK: a person has to approve it; none has for the user's key. */
enum ruling_answer policy_begin(struct agent *a, const struct agent_user *user, bool has_reason,
                                struct wire_error *no);

#endif
