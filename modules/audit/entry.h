/* An entry of the audit and the line that is made of it: one flat JSON object whose fields stand in
 * a fixed order (docs/AUDIT.md). Pure: no file, no clock. */
#ifndef SPX_AUDIT_ENTRY_H
#define SPX_AUDIT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* No line is longer, its newline counted. */
#define AUDIT_LINE_MAX 4096
/* A time as clock_wall_text writes it, with the terminator. */
#define AUDIT_TIME_BYTES 25

/* The fields, in the order of a line. A text that is NULL or "" and a number that is 0 are left
 * out, but for numbers of a group, which stand in the line, 0 too, if the group is there. The texts
 * are the maker's. */
struct audit_entry {
    const char *chain; /* in hexadecimal, as are the others that are so marked */
    uint64_t number;   /* in the chain, from 1 on */
    const char *time;  /* RFC 3339, UTC, milliseconds */
    const char *role, *event;
    const char *session, *circuit; /* hexadecimal */
    const char *user, *key, *agent, *relay, *address, *target;
    uint64_t stream, severity, count;
    uint64_t bytes_up, bytes_down;         /* if counted */
    uint64_t sent, acknowledged, received; /* if measured */
    uint64_t duration_ms;                  /* if either */
    uint64_t code;
    const char *reason, *by;
    const char *head;                   /* a signed one, hexadecimal */
    const char *torn, *salt, *previous; /* hexadecimal */
    bool counted, measured;
    bool decision; /* not in the line: a person decided, and it has a reserve of disk */
};

/* Writes the entry as an object, without a newline, into out (AUDIT_LINE_MAX bytes, terminated).
 * Texts are made safe to show, escaped, and cut at a character's border to the most bytes that
 * their field may have. Returns the length. */
size_t audit_entry_encode(char *out, const struct audit_entry *entry);

/* An entry that was read, with its texts. */
struct audit_line {
    struct audit_entry entry;
    char store[AUDIT_LINE_MAX];
};

/* Reads a line, without its newline. False: audit_entry_encode never writes such a line, or a field
 * that every entry has is missing or malformed; *out is undefined then. */
bool audit_line_read(struct audit_line *out, struct view line);

#endif
