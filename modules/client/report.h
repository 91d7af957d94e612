/* What the engineer is told of a connection as a whole: the line of its state on a terminal, and
 * the line at its end. */
#ifndef SPX_CLIENT_REPORT_H
#define SPX_CLIENT_REPORT_H

#include "base/error.h"
#include "session/session.h"

/* Of all sessions, one after the other, those that have ended. begun_us is the owner's to set. */
struct report {
    uint64_t begun_us;
    uint64_t sent, received;
    unsigned streams;
};

/* This session ends: its counts are added. */
void report_add(struct report *r, const struct session *s);

/* Shows the line of state; s: the session there is, or NULL. */
void report_show(const struct report *r, const struct session *s, const char *agent,
                 const char *state, uint64_t now_us);

/* Logs the last line, and takes the line of state away. */
void report_end(const struct report *r, enum failure failure, const char *why, uint64_t now_us);

#endif
