/* A rate for log lines, of success and of refusal alike: nobody can fill a disk with them. For
 * those that a peer can cause see base/log_rates.h. */
#ifndef SPX_BASE_LOG_RATE_H
#define SPX_BASE_LOG_RATE_H

#include "base/log.h"
#include "base/rate.h"

#define LOG_RATE_BURST 50
#define LOG_RATE_PER_S 1

/* Of one kind of line. Zeroed: nothing was logged yet. */
struct log_rate {
    struct rate rate;
    unsigned long left_out; /* since the last line that was logged */
};

/* Logs a line as log_event does if there were not LOG_RATE_BURST at once or more than
 * LOG_RATE_PER_S a second in the long run; otherwise counts it. The next line that is logged ends
 * with the count:
 * "... (12 more like this left out)". */
void log_rated_event(struct log_rate *r, uint64_t now_us, enum log_level level,
                     const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#define log_rated(r, now_us, level, ...) log_rated_event(r, now_us, level, NULL, __VA_ARGS__)

/* Logs a line that ends with such a count, if there are any. fields may be NULL. */
void log_left_out(unsigned long left_out, enum log_level level, const struct log_fields *fields,
                  const char *text);

/* For a state that lasts, such as a shortage: the first line is logged and then one in
 * LOG_SELDOM_S at most, with the count of those left out. */
#define LOG_SELDOM_S 60
struct log_seldom {
    uint64_t next_us; /* not before; 0: nothing was logged yet */
    unsigned long left_out;
};
void log_seldom(struct log_seldom *r, uint64_t now_us, enum log_level level, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* It is over: logs "WHAT: 12 more like this left out" if there are any that no line has told. */
void log_seldom_end(struct log_seldom *r, enum log_level level, const char *what);

#endif
