/* The curve arithmetic of first messages (docs/PROTOCOL.md section 2.1), done by a worker that has
 * time for it. */
#ifndef SPX_RELAY_HELLO_H
#define SPX_RELAY_HELLO_H

#include "base/bytes.h"

struct peer;
struct hello_job;

/* Has the peer's first message (copied) read by another thread; its hop's hop_hello_read follows in
 * the desk's loop, peer->job is set until then. False: no thread has time, the desk reads it
 * itself. */
bool hello_read_elsewhere(struct peer *peer, struct view message);

/* The peer is gone: nobody waits for what was read. */
void hello_job_forget(struct hello_job *job);

#endif
