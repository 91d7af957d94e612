#include "forward/refusals.h"

#include <stdio.h>

#include "base/log.h"

#define LOGGED_PER_S 1
#define LOGGED_AT_ONCE 20

void refusals_log(struct refusals *r, uint64_t now_us, const char *label, const char *what,
                  const char *why)
{
    char more[48] = "";
    if (!rate_take(&r->rate, now_us, LOGGED_PER_S, LOGGED_AT_ONCE)) {
        r->left_out++;
        return;
    }
    if (r->left_out)
        snprintf(more, sizeof more, " (%u more refused before it)", r->left_out);
    r->left_out = 0;
    log_info("%s: %s: %s%s", label, what, why, more);
}

void refusals_end(struct refusals *r, const char *label)
{
    if (r->left_out)
        log_info("%s: %u more refused", label, r->left_out);
    r->left_out = 0;
}
