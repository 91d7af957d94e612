/* The curve arithmetic of first messages (docs/PROTOCOL.md section 2.1), done by a worker that has
 * time for it and within the budget that the crowd has for the message's source. */
#ifndef SPX_RELAY_HELLO_H
#define SPX_RELAY_HELLO_H

#include "base/bytes.h"

struct peer;
struct hello_job;

/* Has the peer's first message (copied) read; its hop's hop_hello_read follows, or has happened
 * when this returns. peer->job is set while it is under way. A message that is a recent one's
 * repetition or beyond the budget is not read: the hop is silent. The peer is in the crowd. */
void hello_read(struct peer *peer, struct view message);

/* The peer is gone: nobody waits for the result. */
void hello_job_forget(struct hello_job *job);

#endif
