/* Log lines with a rate, and the count of those left out. */
#include "base/log_rate.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

#define TEXT_BYTES 1800 /* as much as the log takes */

void log_left_out(unsigned long left_out, enum log_level level, const struct log_fields *fields,
                  const char *text)
{
    struct log_fields all = fields ? *fields : (struct log_fields){0};
    all.left_out = left_out;
    if (left_out)
        log_event(level, &all, "%s (%lu more like this left out)", text, left_out);
    else
        log_event(level, &all, "%s", text);
}

/* Takes the count of those left out. */
static void log_counted(unsigned long *left_out, enum log_level level,
                        const struct log_fields *fields, const char *format, va_list args)
{
    char text[TEXT_BYTES] = "";
    vsnprintf(text, sizeof text, format, args);
    log_left_out(*left_out, level, fields, text);
    *left_out = 0;
}

void log_rated_event(struct log_rate *r, uint64_t now_us, enum log_level level,
                     const struct log_fields *fields, const char *format, ...)
{
    va_list args;
    if (!log_enabled(level))
        return;
    if (!rate_take(&r->rate, now_us, LOG_RATE_PER_S, LOG_RATE_BURST)) {
        r->left_out++;
        return;
    }
    va_start(args, format);
    log_counted(&r->left_out, level, fields, format, args);
    va_end(args);
}

void log_seldom(struct log_seldom *r, uint64_t now_us, enum log_level level, const char *format,
                ...)
{
    va_list args;
    if (now_us < r->next_us) {
        r->left_out++;
        return;
    }
    r->next_us = now_us + LOG_SELDOM_S * CLOCK_US_PER_S;
    va_start(args, format);
    log_counted(&r->left_out, level, NULL, format, args);
    va_end(args);
}

void log_seldom_end(struct log_seldom *r, enum log_level level, const char *what)
{
    if (r->left_out)
        log_line(level, "%s: %lu more like this left out", what, r->left_out);
    r->left_out = 0;
}
