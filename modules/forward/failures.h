/* Streams that could not be opened or ended with an error, as the client's log tells of them: the
 * application mostly sees no more than a reset. */
#ifndef SPX_FORWARD_FAILURES_H
#define SPX_FORWARD_FAILURES_H

#include "base/log_rates.h"
#include "wire/codes.h"

/* One for all forwards of a client. The agent's name, and whose the lines are, are the owner's. */
struct failures {
    const char *agent;
    const struct log_party *by;
    struct log_seldom full;
};

/* Logs "target TARGET at AGENT: WHY" for this RESET. */
void failures_log(struct failures *f, uint64_t now_us, const char *target, enum reset_code code,
                  const char *text);

/* Warns that the session has as many streams as it may, if it has. */
struct session;
void failures_note_full(struct failures *f, uint64_t now_us, const struct session *s);

#endif
