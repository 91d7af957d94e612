/* Unit tests of modules/policy/rules.h: each rule for the begin and the end of a session, alone and
 * against the others, and the announcements. */
#include "policy_times.h"

#include <string.h>

#include "policy/rules.h"

#define US 1000000ULL
#define MINUTE_US (60 * US)

/* Monday, 08:00 in Berlin. */
#define NOW "2026-11-30T07:00:00Z"
#define BUILT "2026-11-01T00:00:00Z"

/* Rules, as a file would give them. */
struct wanted {
    enum rules_access access;
    const char *hours, *not_before, *not_after;
    uint32_t max_session_s, idle_end_s;
    bool needs_reason;
};

static struct rules rules_of(const struct wanted *w)
{
    struct rules r = {.access = w->access,
                      .max_session_s = w->max_session_s,
                      .idle_end_s = w->idle_end_s,
                      .needs_reason = w->needs_reason};
    if (w->hours)
        r.hours = hours_of(w->hours);
    if (w->not_before)
        r.not_before = date_of(w->not_before);
    if (w->not_after)
        r.not_after = date_of(w->not_after);
    return r;
}

static struct circumstances circumstances_at(const struct zone *z, const char *now)
{
    return (struct circumstances){.zone = z, .wall_s = second_at(now), .built_s = second_at(BUILT)};
}

/* ---- The begin. ---- */

struct begin_case {
    struct wanted rules;
    const char *now;
    bool is_locked, has_reason;
    enum ruling_answer answer;
    enum rule_kind rule;
    const char *opens; /* NULL: never */
    const char *text;
};

static const struct begin_case begins[] = {
    {{0}, NOW, false, false, RULING_YES, RULE_NONE, NULL, ""},
    {{.access = ACCESS_ASK}, NOW, false, false, RULING_ASK, RULE_NONE, NULL, "after approval"},
    {{.access = ACCESS_NEVER}, NOW, false, false, RULING_NO, RULE_ACCESS, NULL, "Access is never"},
    {{.access = ACCESS_ASK}, NOW, true, true, RULING_NO, RULE_LOCK, NULL, "the agent is locked"},
    {{.access = ACCESS_NEVER}, NOW, true, true, RULING_NO, RULE_LOCK, NULL, "the agent is locked"},
    /* Hours. */
    {{.hours = "Mon 08:00-18:00"}, NOW, false, false, RULING_YES, RULE_NONE, NULL, ""},
    {{.hours = "Mon 08:00-18:00", .access = ACCESS_ASK},
     NOW,
     false,
     false,
     RULING_ASK,
     RULE_NONE,
     NULL,
     "after approval"},
    {{.hours = "Mon 08:30-18:00", .access = ACCESS_ASK},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_HOURS,
     "2026-11-30T07:30:00Z",
     "outside Hours (Mon 08:30-18:00); opens Mon 2026-11-30 08:30 +01:00"},
    {{.hours = "Mon 07:00-08:00", .access = ACCESS_NEVER},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_ACCESS,
     NULL,
     "Access is never"},
    /* NotBefore: opens with it, or with the hours after it. */
    {{.not_before = "2026-11-30"}, NOW, false, false, RULING_YES, RULE_NONE, NULL, ""},
    {{.not_before = NOW}, NOW, false, false, RULING_YES, RULE_NONE, NULL, ""},
    {{.not_before = "2026-12-01"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_NOT_BEFORE,
     "2026-11-30T23:00:00Z",
     "NotBefore is not reached; opens Tue 2026-12-01 00:00 +01:00"},
    {{.not_before = "2026-12-01T12:00:00Z", .hours = "08:00-09:00"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_NOT_BEFORE,
     "2026-12-02T07:00:00Z",
     "NotBefore is not reached; opens Wed 2026-12-02 08:00 +01:00"},
    /* NotAfter: its whole day; nothing opens after it. */
    {{.not_after = "2026-11-30"}, NOW, false, false, RULING_YES, RULE_NONE, NULL, ""},
    {{.not_after = "2026-11-30"},
     "2026-11-30T22:59:59Z",
     false,
     false,
     RULING_YES,
     RULE_NONE,
     NULL,
     ""},
    {{.not_after = "2026-11-30"},
     "2026-11-30T23:00:00Z",
     false,
     false,
     RULING_NO,
     RULE_NOT_AFTER,
     NULL,
     "NotAfter is over"},
    {{.not_after = "2026-11-30T07:00:00Z", .hours = "09:00-10:00"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_NOT_AFTER,
     NULL,
     "NotAfter is over"},
    {{.not_after = "2026-11-30", .hours = "Tue 08:00-18:00"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_HOURS,
     NULL,
     "outside Hours (Tue 08:00-18:00)"},
    {{.not_before = "2026-12-02", .not_after = "2026-12-01"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_NOT_BEFORE,
     NULL,
     "NotBefore is not reached"},
    /* A reason is asked for when nothing else is in the way. */
    {{.needs_reason = true},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_REASON,
     NULL,
     "a reason has to be given, with --reason"},
    {{.needs_reason = true}, NOW, false, true, RULING_YES, RULE_NONE, NULL, ""},
    {{.needs_reason = true, .access = ACCESS_ASK},
     NOW,
     false,
     true,
     RULING_ASK,
     RULE_NONE,
     NULL,
     "after approval"},
    {{.needs_reason = true, .hours = "Tue 08:00-18:00"},
     NOW,
     false,
     false,
     RULING_NO,
     RULE_HOURS,
     "2026-12-01T07:00:00Z",
     "outside Hours (Tue 08:00-18:00); opens Tue 2026-12-01 08:00 +01:00"},
    /* With a clock that is wrong nothing that needs it is allowed. */
    {{.hours = "00:00-24:00"},
     "1970-01-01T00:00:10Z",
     false,
     false,
     RULING_NO,
     RULE_CLOCK,
     NULL,
     "the agent's clock is wrong (Thu 1970-01-01 01:00:10 +01:00), and Hours, NotBefore and "
     "NotAfter need it"},
    {{.not_before = "1960-01-01"},
     "2026-10-31T23:59:59Z",
     false,
     false,
     RULING_NO,
     RULE_CLOCK,
     NULL,
     "the agent's clock is wrong (Sun 2026-11-01 00:59:59 +01:00), and Hours, NotBefore and "
     "NotAfter need it"},
    {{.not_after = "2027-01-01"},
     "2026-11-01T00:00:00Z",
     false,
     false,
     RULING_YES,
     RULE_NONE,
     NULL,
     ""},
    {{.max_session_s = 5, .idle_end_s = 5},
     "1970-01-01T00:00:00Z",
     false,
     false,
     RULING_YES,
     RULE_NONE,
     NULL,
     ""},
};

static void begins_by_the_rules(void **state)
{
    struct zone z = zone_of(BERLIN);
    (void)state;
    for (size_t i = 0; i < COUNT(begins); i++) {
        const struct begin_case *b = &begins[i];
        struct rules r = rules_of(&b->rules);
        struct circumstances c = circumstances_at(&z, b->now);
        c.is_locked = b->is_locked;
        struct ruling ruling = rules_begin(&r, &c, b->has_reason);
        char text[RULING_TEXT_BYTES];
        if (ruling.answer != b->answer || ruling.rule != b->rule)
            fail_msg("case %zu: answer %d by rule %d", i, (int)ruling.answer, (int)ruling.rule);
        assert_int_equal(ruling.opens_s, b->opens ? second_at(b->opens) : TIME_NEVER);
        ruling_text(text, &ruling, &r, &c);
        assert_string_equal(text, b->text);
    }
}

/* ---- The end. ---- */

#define GRANTED (1000 * US)

struct end_case {
    struct wanted rules;
    const char *now;
    bool is_locked;
    uint64_t since_grant_us, since_byte_us;
    enum rule_kind rule;
    int64_t in_s;
    const char *text;
};

static const struct end_case ends[] = {
    {{0}, NOW, false, 0, 0, RULE_NONE, 0, ""},
    {{.access = ACCESS_ASK, .needs_reason = true}, NOW, false, 0, 0, RULE_NONE, 0, ""},
    {{.access = ACCESS_NEVER}, NOW, false, 0, 0, RULE_ACCESS, 0, "Access (never)"},
    {{.access = ACCESS_NEVER}, NOW, true, 0, 0, RULE_LOCK, 0, "the agent's lock"},
    {{.hours = "Mon 07:00-08:10"}, NOW, false, 0, 0, RULE_HOURS, 600, "Hours (Mon 07:00-08:10)"},
    {{.hours = "Mon 07:00-08:00"}, NOW, false, 0, 0, RULE_HOURS, 0, "Hours (Mon 07:00-08:00)"},
    {{.hours = "00:00-24:00"}, NOW, false, 0, 0, RULE_NONE, 0, ""},
    {{.hours = "00:00-24:00"},
     "2026-10-31T00:00:00Z",
     false,
     0,
     0,
     RULE_CLOCK,
     0,
     "a wrong clock at the agent"},
    {{.not_after = "2026-11-30"}, NOW, false, 0, 0, RULE_NOT_AFTER, 16 * HOUR_S, "NotAfter"},
    {{.not_after = "2026-11-29"}, NOW, false, 0, 0, RULE_NOT_AFTER, 0, "NotAfter"},
    {{.not_before = "2026-12-24"}, NOW, false, 0, 0, RULE_NONE, 0, ""},
    {{.not_before = "2026-12-24", .hours = "Mon 07:00-08:00"},
     NOW,
     false,
     0,
     0,
     RULE_HOURS,
     0,
     "Hours (Mon 07:00-08:00)"},
    {{.max_session_s = 7200}, NOW, false, 600 * US, 0, RULE_MAX_SESSION, 6600, "MaxSession (2 h)"},
    {{.max_session_s = 600}, NOW, false, 600 * US, 0, RULE_MAX_SESSION, 0, "MaxSession (10 min)"},
    {{.idle_end_s = 600}, NOW, false, 900 * US, 90 * US, RULE_IDLE_END, 510, "IdleEnd (10 min)"},
    /* The earliest counts. */
    {{.hours = "07:00-08:10", .not_after = "2026-11-30T07:09:59Z", .max_session_s = 3600},
     NOW,
     false,
     0,
     0,
     RULE_NOT_AFTER,
     599,
     "NotAfter"},
    {{.hours = "07:00-08:10", .max_session_s = 700, .idle_end_s = 1000},
     NOW,
     false,
     200 * US,
     0,
     RULE_MAX_SESSION,
     500,
     "MaxSession (11 min 40 s)"},
    {{.hours = "07:00-08:10", .max_session_s = 7000, .idle_end_s = 500},
     NOW,
     false,
     200 * US,
     100 * US,
     RULE_IDLE_END,
     400,
     "IdleEnd (8 min 20 s)"},
};

static void ends_by_the_rules(void **state)
{
    struct zone z = zone_of(BERLIN);
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        const struct end_case *c = &ends[i];
        struct rules r = rules_of(&c->rules);
        struct circumstances around = circumstances_at(&z, c->now);
        struct session_times t = {.now_us = GRANTED + c->since_grant_us, .granted_us = GRANTED};
        char text[ENDING_TEXT_BYTES];
        around.is_locked = c->is_locked;
        t.last_byte_us = t.now_us - c->since_byte_us;
        struct ending e = rules_end(&r, &around, &t);
        if (e.rule != c->rule)
            fail_msg("case %zu: rule %d", i, (int)e.rule);
        ending_text(text, &e, &r);
        assert_string_equal(text, c->text);
        assert_true(rules_can_end(&r) || around.is_locked || e.rule == RULE_NONE);
        struct ending latest = rules_latest_end(&r, &around, &t);
        assert_true(latest.rule != RULE_IDLE_END && latest.at_us >= e.at_us);
        if (e.rule != RULE_IDLE_END)
            assert_true(latest.rule == e.rule && latest.at_wall == e.at_wall);
        if (e.rule == RULE_NONE) {
            assert_true(e.at_us == UINT64_MAX && e.at_wall == TIME_NEVER);
            continue;
        }
        assert_int_equal(e.at_us, t.now_us + (uint64_t)c->in_s * US);
        assert_int_equal(e.at_wall, around.wall_s + c->in_s);
    }
}

static void a_wild_clock_ends_in_no_overflow(void **state)
{
    static const int64_t clocks[] = {INT64_MIN, -TIME_MAX_S, 0, TIME_MAX_S, INT64_MAX};
    struct zone z = zone_of(BERLIN);
    struct rules r = rules_of(&(struct wanted){.hours = "08:00-18:00", .not_after = "9999-12-31"});
    (void)state;
    for (size_t i = 0; i < COUNT(clocks); i++) {
        struct circumstances c = {.zone = &z, .wall_s = clocks[i], .built_s = INT64_MIN};
        struct session_times t = {.now_us = GRANTED};
        struct ending e = rules_end(&r, &c, &t);
        struct ruling ruling = rules_begin(&r, &c, false);
        char text[RULING_TEXT_BYTES];
        assert_true(e.rule != RULE_NONE && e.at_us >= GRANTED);
        ruling_text(text, &ruling, &r, &c);
    }
}

/* ---- Announcements. ---- */

struct notice_case {
    enum rule_kind rule;
    unsigned left_s;
    bool is_announced;
};

static void announcements(void **state)
{
    static const struct notice_case cases[] = {
        {RULE_HOURS, 3600, false},
        {RULE_HOURS, 301, false},
        {RULE_HOURS, 300, true},
        {RULE_HOURS, 299, false},
        {RULE_HOURS, 61, false},
        {RULE_HOURS, 60, true},
        {RULE_HOURS, 62, false}, /* the clock is corrected a little */
        {RULE_HOURS, 59, false},
        {RULE_HOURS, 0, false},
        /* It is set back: announced again. */
        {RULE_HOURS, 3600, false},
        {RULE_HOURS, 300, true},
        {RULE_HOURS, 50, true},
        {RULE_HOURS, 200, false},
        {RULE_HOURS, 60, true},
        /* Another rule ends it sooner. */
        {RULE_MAX_SESSION, 20, true},
        {RULE_MAX_SESSION, 10, false},
        {RULE_NONE, 0, false},
        /* Idle: the last minute only, again after a byte. */
        {RULE_IDLE_END, 200, false},
        {RULE_IDLE_END, 60, true},
        {RULE_IDLE_END, 20, false},
        {RULE_IDLE_END, 600, false},
        {RULE_IDLE_END, 60, true},
        /* First known when it is near. */
        {RULE_NOT_AFTER, 3, true},
    };
    struct announced a = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool none = cases[i].rule == RULE_NONE;
        struct ending e = {.rule = cases[i].rule,
                           .at_us = none ? UINT64_MAX : GRANTED + cases[i].left_s * US};
        if (ending_announce(&a, &e, GRANTED) != cases[i].is_announced)
            fail_msg("case %zu, %u s left", i, cases[i].left_s);
    }
}

static void when_to_ask_again(void **state)
{
    struct ending e = {.rule = RULE_HOURS, .at_us = GRANTED + 600 * US},
                  none = {.at_us = UINT64_MAX};
    (void)state;
    assert_int_equal(ending_next(&none, GRANTED), UINT64_MAX);
    assert_int_equal(ending_next(&e, GRANTED), e.at_us - 5 * MINUTE_US);
    assert_int_equal(ending_next(&e, e.at_us - 5 * MINUTE_US), e.at_us - MINUTE_US);
    assert_int_equal(ending_next(&e, e.at_us - MINUTE_US), e.at_us);
    assert_int_equal(ending_next(&e, e.at_us), e.at_us);
    assert_int_equal(ending_next(&e, e.at_us + 7), e.at_us + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_by_the_rules),
        cmocka_unit_test(ends_by_the_rules),
        cmocka_unit_test(a_wild_clock_ends_in_no_overflow),
        cmocka_unit_test(announcements),
        cmocka_unit_test(when_to_ask_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
