/* A session's rules, looked at again every few seconds: so a wall clock that jumps is noticed. */
#include "agent/term.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

#define LOOK_US (5 * CLOCK_US_PER_S)

void term_begin(struct term *t, uint64_t now_us)
{
    *t = (struct term){.granted_us = now_us, .last_byte_us = now_us};
}

enum term_step term_look(struct term *t, const struct agent *a, const struct rules *rules,
                         uint64_t bytes, struct ending *ending, uint64_t *next_us)
{
    struct circumstances now = agent_circumstances(a);
    struct session_times times = {.now_us = loop_now(a->loop), .granted_us = t->granted_us};
    if (bytes != t->bytes)
        t->last_byte_us = times.now_us;
    t->bytes = bytes;
    times.last_byte_us = t->last_byte_us;
    *ending = rules_end(rules, &now, &times);
    *next_us = rules_can_end(rules) ? times.now_us + LOOK_US : CLOCK_NEVER;
    if (ending_next(ending, times.now_us) < *next_us)
        *next_us = ending_next(ending, times.now_us);
    if (ending->rule != RULE_NONE && ending->at_us <= times.now_us)
        return TERM_OVER;
    return ending_announce(&t->announced, ending, times.now_us) ? TERM_ANNOUNCE : TERM_GOES_ON;
}

void term_text(char out[TERM_TEXT_BYTES], const struct agent *a, const struct rules *rules,
               const struct ending *ending)
{
    char rule[ENDING_TEXT_BYTES], date[DATE_TEXT_BYTES], left[24];
    uint64_t now = loop_now(a->loop);
    ending_text(rule, ending, rules);
    date_text(date, &a->config.time_zone.zone, ending->at_wall);
    text_duration(left, ending->at_us > now ? ending->at_us - now : 0);
    snprintf(out, TERM_TEXT_BYTES, "in %s, at %s, by %s", left, date, rule);
}
