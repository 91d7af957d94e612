/* The time that a running session has by its user's rules. It ends none itself. */
#ifndef SPX_AGENT_TERM_H
#define SPX_AGENT_TERM_H

#include "agent/state.h"
#include "base/clock.h"

#define TERM_LOOK_US (5 * CLOCK_US_PER_S) /* at the wall clock, which may be set */

/* Embedded in a service (service.c). */
struct term {
    uint64_t granted_us;
    uint64_t bytes, last_byte_us; /* carried when last looked at, and when that had changed */
    struct announced announced;
    bool untold;              /* its client waits to hear that it was granted */
    enum rule_kind told_rule; /* of the latest end that its client knows, and when that is */
    int64_t told_wall;
};

/* TERM_TELL: it may go on until another end than was told, or no end is near any more. */
enum term_step { TERM_GOES_ON, TERM_TELL, TERM_ANNOUNCE, TERM_OVER };

/* The session has started, or was granted. waited: its client is told in any case. */
void term_begin(struct term *t, uint64_t now_us, bool waited);

/* Holds the rules against both clocks. bytes: that its streams have carried. *next_us: when to look
 * again at the latest, also in case a clock is set meanwhile. */
enum term_step term_look(struct term *t, const struct agent *a, const struct rules *rules,
                         uint64_t bytes, struct ending *ending, uint64_t *next_us);

/* Since when its streams have carried nothing, to a few seconds: bytes as above. */
uint64_t term_idle_since_us(const struct term *t, uint64_t bytes, uint64_t now_us);

/* "Mon 2026-11-30 18:00 +01:00, by Hours (Mon-Fri 08:00-18:00)", "" for RULE_NONE. */
#define TERM_TEXT_BYTES (DATE_TEXT_BYTES + ENDING_TEXT_BYTES + 8)
void term_text(char out[TERM_TEXT_BYTES], const struct agent *a, const struct rules *rules,
               const struct ending *ending);

#endif
