/* A session's rules, looked at again every few seconds: so a wall clock that jumps is noticed. */
#include "agent/term.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define TOLD_SLACK_S 10 /* a clock that is corrected a little is no news */

void term_begin(struct term *t, uint64_t now_us, bool waited)
{
    *t = (struct term){.granted_us = now_us, .last_byte_us = now_us, .untold = waited};
}

uint64_t term_idle_since_us(const struct term *t, uint64_t bytes, uint64_t now_us)
{
    return bytes == t->bytes ? t->last_byte_us : now_us;
}

/* True if this is not the end that was told; then it is from now on. */
static bool is_news(struct term *t, const struct ending *latest)
{
    int64_t at_wall = latest->rule == RULE_NONE ? 0 : latest->at_wall;
    if (latest->rule == t->told_rule && llabs(at_wall - t->told_wall) <= TOLD_SLACK_S)
        return false;
    t->told_rule = latest->rule;
    t->told_wall = at_wall;
    return true;
}

/* The news for its client; TERM_TELL: of the latest end. */
static enum term_step news_of(struct term *t, const struct ending *ending,
                              const struct ending *latest, uint64_t now_us)
{
    bool was_near = t->announced.before_s > 0, news = is_news(t, latest);
    if (t->untold) {
        t->untold = false;
        return TERM_TELL;
    }
    if (ending_announce(&t->announced, ending, now_us))
        return TERM_ANNOUNCE;
    return news || (was_near && !t->announced.before_s) ? TERM_TELL : TERM_GOES_ON;
}

enum term_step term_look(struct term *t, const struct agent *a, const struct rules *rules,
                         uint64_t bytes, struct ending *ending, uint64_t *next_us)
{
    struct circumstances now = agent_circumstances(a);
    struct session_times times = {.now_us = loop_now(a->loop), .granted_us = t->granted_us};
    struct ending latest;
    enum term_step step;
    if (bytes != t->bytes)
        t->last_byte_us = times.now_us;
    t->bytes = bytes;
    times.last_byte_us = t->last_byte_us;
    *ending = rules_end(rules, &now, &times);
    *next_us = times.now_us + TERM_LOOK_US;
    if (ending_next(ending, times.now_us) < *next_us)
        *next_us = ending_next(ending, times.now_us);
    if (ending->rule != RULE_NONE && ending->at_us <= times.now_us)
        return TERM_OVER;
    latest = rules_latest_end(rules, &now, &times);
    step = news_of(t, ending, &latest, times.now_us);
    if (step == TERM_TELL)
        *ending = latest;
    return step;
}

void term_text(char out[TERM_TEXT_BYTES], const struct agent *a, const struct rules *rules,
               const struct ending *ending)
{
    char rule[ENDING_TEXT_BYTES], date[DATE_TEXT_BYTES];
    out[0] = '\0';
    if (ending->rule == RULE_NONE)
        return;
    ending_text(rule, ending, rules);
    date_text(date, &a->config.time_zone.zone, ending->at_wall);
    snprintf(out, TERM_TEXT_BYTES, "%s, by %s", date, rule);
}
