/* The lines about a connection as a whole: its state, on a terminal, and its end. */
#ifndef SPX_CLIENT_REPORT_H
#define SPX_CLIENT_REPORT_H

#include "base/error.h"
#include "base/log.h"
#include "session/session.h"

/* Counts of the sessions that have ended. The owner sets row, begun_us, prefix and fields. */
struct report {
    unsigned row; /* of its line of state */
    uint64_t begun_us;
    uint64_t sent, received;
    unsigned streams;
    const char *prefix;              /* of log lines: "" or the agent's */
    const struct log_fields *fields; /* that the lines have */
};

/* This session ends: its counts are added. */
void report_add(struct report *r, const struct session *s);

/* Shows the line of state; s: the session there is, or NULL. */
void report_show(const struct report *r, const struct session *s, const char *agent,
                 const char *state, uint64_t now_us);

/* The same as a line of the log. */
void report_log(const struct report *r, const struct session *s, const char *agent,
                const char *state, uint64_t now_us);

/* Logs the last line, without counts if there was no stream, and removes the line of state. */
void report_end(const struct report *r, enum failure failure, const char *why, uint64_t now_us);

#endif
