/* The rules for a user's sessions: when one may begin, and when it ends. Facts and times come in, a
 * decision goes out. */
#ifndef SPX_POLICY_RULES_H
#define SPX_POLICY_RULES_H

#include "policy/date.h"
#include "policy/hours.h"

enum rules_access { ACCESS_ALWAYS, ACCESS_ASK, ACCESS_NEVER };

/* As configured. Zeros: whoever may have a session at all may have it for ever. */
struct rules {
    enum rules_access access;
    struct hours hours;
    struct date not_before, not_after;
    uint32_t max_session_s, idle_end_s; /* 0: no limit */
    uint32_t ask_timeout_s;             /* how long a request for approval waits */
    bool needs_reason;
};

/* The wall clock and what holds for the whole agent. */
struct circumstances {
    const struct zone *zone;
    int64_t wall_s;  /* now, seconds since 1970 */
    int64_t built_s; /* when the program was built: a clock before that is wrong */
    bool is_locked;
};

/* The rule that decided. */
enum rule_kind {
    RULE_NONE,
    RULE_LOCK,
    RULE_ACCESS,
    RULE_CLOCK, /* wrong: what needs it allows nothing */
    RULE_NOT_AFTER,
    RULE_NOT_BEFORE,
    RULE_HOURS,
    RULE_REASON,
    RULE_MAX_SESSION,
    RULE_IDLE_END,
};

/* ---- The begin of a session. ---- */

enum ruling_answer { RULING_NO, RULING_ASK, RULING_YES };

struct ruling {
    enum ruling_answer answer;
    enum rule_kind rule; /* RULE_NONE for a yes */
    int64_t opens_s;     /* of a no: when a session may begin; TIME_NEVER: not known, or never */
};

#define ASK_TIMEOUT_DEFAULT_S 900

/* May one begin now? A lock comes before all else, then Access = never, the clock, NotAfter,
 * NotBefore, Hours, the missing reason; who has to be asked is asked last. */
struct ruling rules_begin(const struct rules *r, const struct circumstances *c, bool has_reason);

/* A ruling for people: "after approval" for one that has to be asked for, "" for a yes, "outside
 * Hours (Mon-Fri 08:00-18:00); opens Tue 2026-12-01 08:00 +01:00". */
#define RULING_TEXT_BYTES 400
void ruling_text(char out[RULING_TEXT_BYTES], const struct ruling *ruling, const struct rules *r,
                 const struct circumstances *c);

/* ---- The end of a session. ---- */

/* Microseconds of the boot clock. */
struct session_times {
    uint64_t now_us;
    uint64_t granted_us;   /* MaxSession counts from here */
    uint64_t last_byte_us; /* in any stream; IdleEnd counts from here */
};

struct ending {
    enum rule_kind rule; /* RULE_NONE: it goes on for as long as its two ends want */
    uint64_t at_us;      /* boot clock; now or before: it is over. UINT64_MAX for RULE_NONE */
    int64_t at_wall;     /* the same, seconds since 1970 */
};

/* The earliest end by any rule as things are now; to be asked again when they change, and when a
 * clock is set. NotBefore and the missing reason end nothing. */
struct ending rules_end(const struct rules *r, const struct circumstances *c,
                        const struct session_times *t);

/* The same if a byte comes again and again: without IdleEnd. */
struct ending rules_latest_end(const struct rules *r, const struct circumstances *c,
                               const struct session_times *t);

/* True if one of the rules may end a session one day, as things are or when a clock is set. */
bool rules_can_end(const struct rules *r);

/* True if there is one, for the begin or the end. */
bool rules_are_any(const struct rules *r);

/* The rule of an end for people: "Hours (Mon-Fri 08:00-18:00)", "MaxSession (8 h)". */
#define ENDING_TEXT_BYTES 320
void ending_text(char out[ENDING_TEXT_BYTES], const struct ending *ending, const struct rules *r);

/* The parts of the last five minutes that have been announced. Zeros: none. */
struct announced {
    enum rule_kind rule;
    uint32_t before_s;
};

/* True if the end is to be announced now: five minutes and one minute before, or at once if it is
 * nearer than that when it becomes known; of IdleEnd only the minute. a is changed. */
bool ending_announce(struct announced *a, const struct ending *ending, uint64_t now_us);

/* When to ask again if nothing else happens: UINT64_MAX for RULE_NONE. */
uint64_t ending_next(const struct ending *ending, uint64_t now_us);

#endif
