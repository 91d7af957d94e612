/* What the log says of a session's refusals: whoever may not reach something can ask for it without
 * end, and shall neither fill a disk with that nor hide what else happens. */
#ifndef SPX_FORWARD_REFUSALS_H
#define SPX_FORWARD_REFUSALS_H

#include "base/rate.h"

/* Zeroed: none so far. */
struct refusals {
    struct rate rate;
    unsigned left_out; /* since the last one that was logged */
};

/* Logs "LABEL: WHAT: WHY", at most 20 at once and one a second in the long run; the next one that
 * is logged tells how many were left out before it. */
void refusals_log(struct refusals *r, uint64_t now_us, const char *label, const char *what,
                  const char *why);

/* Tells how many were left out at last. */
void refusals_end(struct refusals *r, const char *label);

#endif
