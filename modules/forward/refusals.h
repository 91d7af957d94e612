/* What the log says of refusals: whoever may not have something can ask for it without end, and
 * shall neither fill a disk with that nor hide what else happens. */
#ifndef SPX_FORWARD_REFUSALS_H
#define SPX_FORWARD_REFUSALS_H

#include "base/rate.h"

/* Zeroed: none so far. */
struct refusals {
    struct rate rate;
    unsigned left_out; /* since the last one that was logged */
};

#define REFUSALS_MORE_BYTES 48

/* Whether the log is to show one more: at most 20 at once and one a second in the long run. Then
 * more, for the end of its line, tells how many were left out before it, if any. */
bool refusals_show(struct refusals *r, uint64_t now_us, char more[REFUSALS_MORE_BYTES]);

/* Logs "LABEL: WHAT: WHY" and more, if it is to be shown. */
void refusals_log(struct refusals *r, uint64_t now_us, const char *label, const char *what,
                  const char *why);

/* Tells how many were left out at last. */
void refusals_end(struct refusals *r, const char *label);

#endif
