/* Decisions by the rules. Hours, NotBefore and NotAfter are held against the wall clock, durations
 * against the boot clock. */
#include "policy/rules.h"

#include <stdio.h>

#include "base/text.h"

#define US_PER_S 1000000ULL
#define FIRST_NOTICE_S 300
#define LAST_NOTICE_S 60
#define NOTICE_SLACK_S 10 /* a clock that is corrected a little announces nothing twice */

static bool has_hours(const struct rules *r)
{
    return r->hours.text[0] != '\0';
}

static bool needs_wall_clock(const struct rules *r)
{
    return has_hours(r) || r->not_before.is_set || r->not_after.is_set;
}

/* ---- The begin. ---- */

/* The first second from this one on that NotBefore and Hours allow and NotAfter does not forbid. */
static int64_t next_open(const struct rules *r, const struct zone *z, int64_t from)
{
    int64_t at = from;
    if (r->not_before.is_set && date_begin(&r->not_before, z) > at)
        at = date_begin(&r->not_before, z);
    if (has_hours(r) && !hours_are_open(&r->hours, z, at))
        at = hours_next_change(&r->hours, z, at);
    if (r->not_after.is_set && at >= date_end(&r->not_after, z))
        return TIME_NEVER;
    return at;
}

static enum rule_kind wall_clock_rule(const struct rules *r, const struct circumstances *c)
{
    if (!needs_wall_clock(r))
        return RULE_NONE;
    if (c->wall_s < c->built_s)
        return RULE_CLOCK;
    if (r->not_after.is_set && c->wall_s >= date_end(&r->not_after, c->zone))
        return RULE_NOT_AFTER;
    if (r->not_before.is_set && c->wall_s < date_begin(&r->not_before, c->zone))
        return RULE_NOT_BEFORE;
    if (has_hours(r) && !hours_are_open(&r->hours, c->zone, c->wall_s))
        return RULE_HOURS;
    return RULE_NONE;
}

static enum rule_kind forbidding_rule(const struct rules *r, const struct circumstances *c,
                                      bool has_reason)
{
    enum rule_kind rule = wall_clock_rule(r, c);
    if (c->is_locked)
        return RULE_LOCK;
    if (r->access == ACCESS_NEVER)
        return RULE_ACCESS;
    return rule == RULE_NONE && r->needs_reason && !has_reason ? RULE_REASON : rule;
}

struct ruling rules_begin(const struct rules *r, const struct circumstances *c, bool has_reason)
{
    struct ruling ruling = {
        .answer = RULING_NO, .rule = forbidding_rule(r, c, has_reason), .opens_s = TIME_NEVER};
    if (ruling.rule == RULE_NOT_BEFORE || ruling.rule == RULE_HOURS)
        ruling.opens_s = next_open(r, c->zone, c->wall_s);
    if (ruling.rule == RULE_NONE)
        ruling.answer = r->access == ACCESS_ASK ? RULING_ASK : RULING_YES;
    return ruling;
}

static void write_reason(char *out, size_t size, enum rule_kind rule, const struct rules *r,
                         const struct circumstances *c)
{
    static const char *const texts[] = {
        [RULE_LOCK] = "the agent is locked",
        [RULE_ACCESS] = "Access is never",
        [RULE_NOT_BEFORE] = "NotBefore is not reached",
        [RULE_NOT_AFTER] = "NotAfter is over",
        [RULE_REASON] = "a reason has to be given, with --reason",
    };
    char date[DATE_TEXT_BYTES];
    date_text(date, c->zone, c->wall_s);
    if (rule == RULE_HOURS)
        snprintf(out, size, "outside Hours (%s)", r->hours.text);
    else if (rule == RULE_CLOCK)
        snprintf(out, size,
                 "the agent's clock is wrong (%s), and Hours, NotBefore and NotAfter need it",
                 date);
    else
        snprintf(out, size, "%s", texts[rule] ? texts[rule] : "");
}

void ruling_text(char out[RULING_TEXT_BYTES], const struct ruling *ruling, const struct rules *r,
                 const struct circumstances *c)
{
    char reason[ENDING_TEXT_BYTES], date[DATE_TEXT_BYTES];
    if (ruling->answer == RULING_ASK)
        snprintf(reason, sizeof reason, "after approval");
    else
        write_reason(reason, sizeof reason, ruling->rule, r, c);
    date_text(date, c->zone, ruling->opens_s);
    snprintf(out, RULING_TEXT_BYTES, "%s%s%s", reason,
             ruling->opens_s == TIME_NEVER ? "" : "; opens ",
             ruling->opens_s == TIME_NEVER ? "" : date);
}

/* ---- The end. ---- */

static uint64_t left_us(const struct ending *e, uint64_t now_us)
{
    return e->at_us > now_us ? e->at_us - now_us : 0;
}

static void take_earlier(struct ending *e, enum rule_kind rule, uint64_t at_us)
{
    if (at_us >= e->at_us)
        return;
    e->rule = rule;
    e->at_us = at_us;
}

/* A second of the wall clock on the boot clock, as both show now. */
static uint64_t boot_time(int64_t wall_s, const struct circumstances *c,
                          const struct session_times *t)
{
    int64_t left_s = calendar_clamp(wall_s) - calendar_clamp(c->wall_s);
    return t->now_us + (left_s > 0 ? (uint64_t)left_s * US_PER_S : 0);
}

/* By whole seconds of the wall clock: never early, and up to a second late. */
static void end_by_wall_clock(struct ending *e, const struct rules *r,
                              const struct circumstances *c, const struct session_times *t)
{
    int64_t closes_s = c->wall_s;
    if (needs_wall_clock(r) && c->wall_s < c->built_s)
        take_earlier(e, RULE_CLOCK, t->now_us);
    if (r->not_after.is_set)
        take_earlier(e, RULE_NOT_AFTER, boot_time(date_end(&r->not_after, c->zone), c, t));
    if (has_hours(r) && hours_are_open(&r->hours, c->zone, c->wall_s))
        closes_s = hours_next_change(&r->hours, c->zone, c->wall_s);
    if (has_hours(r) && closes_s != TIME_NEVER)
        take_earlier(e, RULE_HOURS, boot_time(closes_s, c, t));
}

static void set_wall_time(struct ending *e, const struct circumstances *c,
                          const struct session_times *t)
{
    if (e->rule != RULE_NONE)
        e->at_wall = calendar_clamp(c->wall_s) + (int64_t)(left_us(e, t->now_us) / US_PER_S);
}

struct ending rules_latest_end(const struct rules *r, const struct circumstances *c,
                               const struct session_times *t)
{
    struct ending e = {RULE_NONE, UINT64_MAX, TIME_NEVER};
    if (c->is_locked)
        take_earlier(&e, RULE_LOCK, t->now_us);
    if (r->access == ACCESS_NEVER)
        take_earlier(&e, RULE_ACCESS, t->now_us);
    end_by_wall_clock(&e, r, c, t);
    if (r->max_session_s)
        take_earlier(&e, RULE_MAX_SESSION, t->granted_us + r->max_session_s * US_PER_S);
    set_wall_time(&e, c, t);
    return e;
}

struct ending rules_end(const struct rules *r, const struct circumstances *c,
                        const struct session_times *t)
{
    struct ending e = rules_latest_end(r, c, t);
    if (r->idle_end_s)
        take_earlier(&e, RULE_IDLE_END, t->last_byte_us + r->idle_end_s * US_PER_S);
    set_wall_time(&e, c, t);
    return e;
}

bool rules_can_end(const struct rules *r)
{
    return r->access == ACCESS_NEVER || needs_wall_clock(r) || r->max_session_s || r->idle_end_s;
}

bool rules_are_any(const struct rules *r)
{
    return r->access != ACCESS_ALWAYS || r->needs_reason || rules_can_end(r);
}

void ending_text(char out[ENDING_TEXT_BYTES], const struct ending *ending, const struct rules *r)
{
    static const char *const texts[] = {
        [RULE_LOCK] = "the agent's lock",
        [RULE_ACCESS] = "Access (never)",
        [RULE_CLOCK] = "a wrong clock at the agent",
        [RULE_NOT_AFTER] = "NotAfter",
        [RULE_REASON] = NULL,
    };
    char duration[24];
    if (ending->rule == RULE_HOURS) {
        snprintf(out, ENDING_TEXT_BYTES, "Hours (%s)", r->hours.text);
    } else if (ending->rule == RULE_MAX_SESSION) {
        text_duration(duration, r->max_session_s * US_PER_S);
        snprintf(out, ENDING_TEXT_BYTES, "MaxSession (%s)", duration);
    } else if (ending->rule == RULE_IDLE_END) {
        text_duration(duration, r->idle_end_s * US_PER_S);
        snprintf(out, ENDING_TEXT_BYTES, "IdleEnd (%s)", duration);
    } else {
        snprintf(out, ENDING_TEXT_BYTES, "%s", texts[ending->rule] ? texts[ending->rule] : "");
    }
}

/* How near the end is: the least of the notices' times that is not less than what is left; 0: not
 * near. */
static uint32_t nearness(const struct ending *e, uint64_t now_us)
{
    uint64_t left = left_us(e, now_us);
    if (e->rule == RULE_NONE)
        return 0;
    if (left <= LAST_NOTICE_S * US_PER_S)
        return LAST_NOTICE_S;
    return left <= FIRST_NOTICE_S * US_PER_S && e->rule != RULE_IDLE_END ? FIRST_NOTICE_S : 0;
}

bool ending_announce(struct announced *a, const struct ending *ending, uint64_t now_us)
{
    uint32_t before_s = nearness(ending, now_us);
    bool same = a->rule == ending->rule && a->before_s;
    bool is_due = before_s && (!same || before_s < a->before_s);
    bool went_back = same && (before_s == 0 || before_s > a->before_s) &&
                     ending->at_us > now_us + (a->before_s + NOTICE_SLACK_S) * US_PER_S;
    if (is_due || went_back || !same)
        *a = (struct announced){ending->rule, before_s};
    return is_due;
}

uint64_t ending_next(const struct ending *ending, uint64_t now_us)
{
    static const unsigned before_s[] = {FIRST_NOTICE_S, LAST_NOTICE_S};
    if (ending->rule == RULE_NONE)
        return UINT64_MAX;
    for (unsigned i = 0; i < 2; i++)
        if (ending->at_us > now_us + before_s[i] * US_PER_S)
            return ending->at_us - before_s[i] * US_PER_S;
    return ending->at_us > now_us ? ending->at_us : now_us;
}
