/* The line about a stream's failure. */
#include "forward/failures.h"

#include "wire/codes.h"

void failures_log(struct failures *f, uint64_t now_us, const char *target, enum reset_code code,
                  const char *text)
{
    char why[RESET_TEXT_BYTES];
    reset_to_text(why, code, text);
    log_rated(&f->rate, now_us, LOG_WARNING, "target %s at %s: %s", target, f->agent, why);
}
