/* The calls for help that stand at an agent, and their form in its state file. No I/O, no clock. */
#ifndef SPX_AGENT_STANDING_H
#define SPX_AGENT_STANDING_H

#include "base/error.h"
#include "config/values.h"
#include "wire/messages.h"

struct standing_call {
    uint32_t number;
    uint8_t severity;               /* 1 to 255, the gravest */
    int64_t since_s;                /* by the wall clock: it outlives a restart of the machine */
    char taken_by[NAME_TEXT_BYTES]; /* "": nobody */
    char text[TEXT_MAX_BYTES + 1];  /* clean */
};

/* Invariants: the gravest first, of the same severity the oldest; no two of the same severity and
 * text; numbers are not used again. */
struct standing {
    struct standing_call all[CALLS_MAX];
    size_t count;
    uint32_t next; /* number */
};

/* No call stands; the first one gets number 1. */
void standing_init(struct standing *s);

enum standing_result {
    STANDING_NEW,
    STANDING_KNOWN,    /* it stood already */
    STANDING_IN_PLACE, /* of the least grave one: there were CALLS_MAX */
    STANDING_FULL,     /* CALLS_MAX stand, none of them less grave */
};

/* A call. severity: not 0. *number is its own, except when full; *lost the one that gave way. */
enum standing_result standing_add(struct standing *s, uint8_t severity, const char *text,
                                  int64_t now_s, uint32_t *number, struct standing_call *lost);

/* Ends the call of this number, or with 0 all. Returns how many. */
size_t standing_end(struct standing *s, uint32_t number);

/* Marks the call of this number as taken by a user, or with 0 all that nobody has taken. is_asked:
 * for each place in all, whether the call was asked for and is this user's now, as it may have been
 * before. True: something has changed. */
bool standing_take(struct standing *s, uint32_t number, const char *user, bool is_asked[CALLS_MAX]);

/* As CALLS tells them; the views point into s. */
void standing_tell(const struct standing *s, struct told_calls *calls, int64_t now_s);

/* The state file: a line with its version, then "next NUMBER", then a line for each call: "call",
 * number, severity, seconds since 1970, the user who took it or "-", text. Allocated; NULL without
 * memory. */
#define STANDING_FILE_MAX_BYTES ((size_t)CALLS_MAX * (TEXT_MAX_BYTES + NAME_TEXT_BYTES + 64) + 64)
char *standing_to_text(const struct standing *s);

/* False: e says what is wrong, s is empty. */
bool standing_from_text(struct standing *s, const char *text, struct error *e);

#endif
