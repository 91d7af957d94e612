/* Log lines with a rate, and the count of those left out. */
#include "base/log_rate.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 1800 /* as much as the log takes */

void log_rated(struct log_rate *r, uint64_t now_us, enum log_level level, const char *format, ...)
{
    char text[TEXT_BYTES] = "";
    va_list args;

    if (!log_enabled(level))
        return;
    if (!rate_take(&r->rate, now_us, LOG_RATE_PER_S, LOG_RATE_BURST)) {
        r->left_out++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->left_out)
        log_line(level, "%s (%lu more like this left out)", text, r->left_out);
    else
        log_line(level, "%s", text);
    r->left_out = 0;
}

void log_rate_end(struct log_rate *r, enum log_level level, const char *what)
{
    if (r->left_out)
        log_line(level, "%s: %lu more like this left out", what, r->left_out);
    r->left_out = 0;
}
