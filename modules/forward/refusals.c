/* A rate for the log's lines, and a count of those left out. */
#include "forward/refusals.h"

#include <stdio.h>

#include "base/log.h"

#define LOGGED_PER_S 1
#define LOGGED_AT_ONCE 20

bool refusals_show(struct refusals *r, uint64_t now_us, char more[REFUSALS_MORE_BYTES])
{
    more[0] = '\0';
    if (!rate_take(&r->rate, now_us, LOGGED_PER_S, LOGGED_AT_ONCE)) {
        r->left_out++;
        return false;
    }
    if (r->left_out)
        snprintf(more, REFUSALS_MORE_BYTES, " (%u more refused before it)", r->left_out);
    r->left_out = 0;
    return true;
}

void refusals_log(struct refusals *r, uint64_t now_us, const char *label, const char *what,
                  const char *why)
{
    char more[REFUSALS_MORE_BYTES];
    if (refusals_show(r, now_us, more))
        log_info("%s: %s: %s%s", label, what, why, more);
}

void refusals_end(struct refusals *r, const char *label)
{
    if (r->left_out)
        log_info("%s: %u more refused", label, r->left_out);
    r->left_out = 0;
}
