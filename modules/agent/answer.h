/* An OFFER from its arrival to the answer (docs/PROTOCOL.md section 4): session message 1 is read,
 * the policy is asked, the session is found or begun, session message 2 is written. Each step may
 * have to wait for work that is done elsewhere, within the ticket's life. */
#ifndef SPX_AGENT_ANSWER_H
#define SPX_AGENT_ANSWER_H

#include "agent/attachment.h"
#include "agent/offers.h"
#include "agent/state.h"

struct answer;

/* The outcome of an OFFER; valid during the call that reports it. */
struct answer_result {
    const struct offer *offer;
    const struct wire_error *refusal; /* code CODE_OK: accepted */
    struct attachment *attachment;    /* accepted: now the callee's, waiting for its carrier */
    struct view message2;             /* session message 2; empty: message 1 was not for this agent,
                                         or its time was over before it was read */
};

/* Called once, from the loop, never inside answer_begin, answer_wake or answer_cancel. The answer
 * is freed when it returns. */
typedef void answer_done(void *owner, const struct answer_result *result);

/* Begins to answer; takes ownership of the OFFER. Without a verdict TICKET_S after its arrival it
 * is refused with CODE_TIMEOUT. The decision is logged. NULL without memory: the OFFER remains the
 * caller's. */
struct answer *answer_begin(struct agent *a, struct kept_offer *kept, answer_done *done,
                            void *owner);

/* The work that a step, or the policy, waited for is done: the answer continues at the end of the
 * round. */
void answer_wake(struct answer *w);

/* The hop with the OFFER has ended: on_done is not called. The answer is wiped and freed. */
void answer_cancel(struct answer *w);

/* ---- OFFERs on hops. ---- */

/* Reads an OFFER that arrived on a hop. NULL: it was refused at once, or the hop has failed. */
struct kept_offer *answer_read_offer(struct agent *a, struct hop *h, struct view body);

/* Sends REFUSE, for an OFFER that was not answered by session message 2. Returns as hop_send. */
bool answer_refuse(struct hop *h, const struct offer *offer, enum code code, const char *text);

/* The same for one that was: with the code, the text and the message of this result. */
bool answer_send_refusal(struct hop *h, const struct answer_result *result);

/* For a hop that carries one OFFER at a time and becomes the circuit (parked, or dialled): takes
 * one that arrived on it; the quiet rule holds until the answer. *answer is the one in progress,
 * NULL: none. Returns as a hop's on_message does. */
bool answer_take_offer(struct agent *a, struct hop *h, struct view body, struct answer **answer,
                       answer_done *done, void *owner);

/* For the same hop, when the answer is done: sends it. True: the hop becomes the circuit of
 * result->attachment, ACCEPT is in its out. Otherwise the hop stays or has failed, the attachment
 * is dropped, and the caller calls hop_driver_update. */
bool answer_tell(struct agent *a, struct hop *h, const struct answer_result *result);

#endif
