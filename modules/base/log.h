/* The log: one line an event, on standard error; and the live status line of a terminal. */
#ifndef SPX_BASE_LOG_H
#define SPX_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Sets the form of the lines. At start: text, LOG_INFO.
 * Text:  "2026-01-31T12:00:00.123Z info  relay: text" (there is no time under a systemd
 * journal, that is when JOURNAL_STREAM names standard error, which then gets "<6>" style
 * priorities; and on a terminal the level is coloured unless NO_COLOR is set). JSON:
 * {"time":"…","level":"info","role":"relay",FIELDS"text":"…"} role: a static string such as
 * "relay", shown in each line. */
void log_setup(const char *role, enum log_level level, bool json);

/* True if a line of this level would be written. */
bool log_enabled(enum log_level level);

/* The facts of a line, for programs: members of its JSON object under these names, the same in
 * every role (spx(1) lists them and the events). A line of text has them in its words alone. NULL,
 * "" and 0: there is no such member. */
struct log_fields {
    const char *event; /* what happened; a literal */
    const char *circuit, *resumes, *user, *agent, *relay, *key, *address, *target, *request,
        *reason;
    unsigned code, stream, severity;
    bool counted; /* the four below are members, 0 too */
    unsigned streams;
    uint64_t bytes_up, bytes_down; /* from the client to the agent, and back */
    uint64_t duration_us;          /* "duration_ms" */
    unsigned long left_out;        /* lines like this before it */
};

/* The counted ones for people: "1.5 KB up, 3 B down, 4 s". */
#define LOG_TOTALS_BYTES 80
void log_fields_totals(char out[LOG_TOTALS_BYTES], const struct log_fields *f);

/* Copies fields with their texts, which go into store. One that does not fit is left out. */
void log_fields_keep(struct log_fields *out, char *store, size_t size, const struct log_fields *in);

/* Writes one line. Never blocks: a line that standard error cannot take at once is dropped, and the
 * next line that gets through says how many were lost. Control characters in the text and in the
 * fields become '?'. fields may be NULL. */
void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_line(level, ...) log_event(level, NULL, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Gives each line with an event that is written or lost, in its JSON form with the newline, to tap
 * too, in the thread that logs. NULL: to nobody. */
void log_set_tap(void (*tap)(void *arg, struct view line), void *arg);

/* The first and the last line of a service that runs until it is told to stop or cannot go on. The
 * last one's level follows from the failure. */
void log_started(void);
void log_ended(enum failure failure, const char *why);

/* Shows text as the status line of this row at the bottom of the terminal, in place of the one
 * before; log lines go above all rows. NULL removes the line. Does nothing when standard error is
 * no terminal, or for a row that there is no room for. The text is copied, at most 255 bytes, cut
 * at the terminal's width. */
#define LOG_STATUS_ROWS 8
void log_status(unsigned row, const char *text);

/* True if standard error is a terminal that log_status can use. */
bool log_on_terminal(void);

#endif
