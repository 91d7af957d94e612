/* Dial mode: the agent listens, and the configuration's relays may open circuit hops. */
#ifndef SPX_AGENT_INBOUND_H
#define SPX_AGENT_INBOUND_H

#include "agent/state.h"
#include "base/error.h"

struct inbound;

/* Listens on every address of the configuration; what comes waits. NULL: e says on which it cannot,
 * and why. */
struct inbound *inbound_new(struct agent *a, struct error *e);

/* Takes what comes, and says in the log where. NULL is harmless. */
void inbound_start(struct inbound *in);

/* Ends every hop of a relay that the configuration no longer has. NULL is harmless. */
void inbound_check(struct inbound *in);

/* True if a connect to this address, on this machine, would come to the agent. NULL: it does not
 * listen. */
bool inbound_is(const struct inbound *in, const struct address *address);

/* Stops listening and closes the hops of relays that have dialled; circuits stay. NULL is harmless.
 */
void inbound_free(struct inbound *in);

#endif
