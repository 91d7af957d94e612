/* The rules of permits. */
#include "permit/judge.h"

#include "base/text.h"
#include "policy/date.h"

static void show(char out[DATE_TEXT_BYTES], const struct permit_clock *c, int64_t at)
{
    static const struct zone utc;
    date_text(out, c->zone ? c->zone : &utc, at);
}

/* "…, and this clock shows …"; clocks that are wrong are found by both times. */
static bool refuse(const struct permit_clock *c, const char *what, int64_t at, const char *advice,
                   struct error *e)
{
    char time[DATE_TEXT_BYTES], now[DATE_TEXT_BYTES];
    show(time, c, at);
    show(now, c, c->wall_s);
    return error_set(e, FAILURE_DENIED, "the permit %s %s; the clock here shows %s%s", what, time,
                     now, advice);
}

#define IS_WRONG ", which is wrong: see to it"

static bool is_not_from_the_future(const struct permit *p, const struct permit_clock *c,
                                   struct error *e)
{
    int64_t issued = (int64_t)p->outer.issued_s;
    return issued <= c->wall_s + PERMIT_SKEW_S ||
           refuse(c, "was issued at", issued, ": one of the two clocks is wrong", e);
}

/* The latest of what is known: a clock that was set back revives nothing. */
static int64_t latest(const struct permit_clock *c)
{
    return c->wall_s > c->floor_s ? c->wall_s : c->floor_s;
}

static bool is_not_over(const struct permit *p, const struct permit_clock *c, int64_t more_s,
                        struct error *e)
{
    int64_t until = (int64_t)p->outer.until_s + more_s;
    bool clock_is_back = c->wall_s + PERMIT_SKEW_S < c->floor_s;
    return latest(c) < until + PERMIT_SKEW_S ||
           refuse(c, more_s ? "and the longest session after it ended at" : "was good until", until,
                  clock_is_back ? IS_WRONG : "", e);
}

bool permit_has_begun(const struct permit *p, const struct permit_clock *c, struct error *e)
{
    int64_t from = (int64_t)p->outer.from_s;
    return c->wall_s >= from - PERMIT_SKEW_S || refuse(c, "is not good before", from, "", e);
}

static bool is_short_enough(const struct permit *p, const struct permit_clock *c, struct error *e)
{
    uint64_t length = p->outer.until_s - p->outer.issued_s;
    char is[24], most[24];
    if (c->max_permit_s == 0 || length <= c->max_permit_s)
        return true;
    text_duration(is, length * 1000000);
    text_duration(most, c->max_permit_s * 1000000ULL);
    return error_set(e, FAILURE_DENIED, "the permit is for %s from its issue; MaxPermit here is %s",
                     is, most);
}

bool permit_may_begin(const struct permit *p, const struct permit_clock *c, struct error *e)
{
    return is_short_enough(p, c, e) && is_not_from_the_future(p, c, e) && is_not_over(p, c, 0, e) &&
           permit_has_begun(p, c, e);
}

bool permit_may_go_on(const struct permit *p, const struct permit_clock *c, uint32_t session_s,
                      struct error *e)
{
    return is_short_enough(p, c, e) && is_not_from_the_future(p, c, e) &&
           is_not_over(p, c, session_s, e);
}

static bool matches(struct view pattern, const char *name)
{
    char terminated[NAME_TEXT_BYTES];
    if (pattern.len >= sizeof terminated)
        return false;
    memcpy(terminated, pattern.data, pattern.len);
    terminated[pattern.len] = '\0';
    return text_matches(terminated, name);
}

bool permit_is_for(const struct permit *p, const struct permit_place *place)
{
    const struct permit_outer *o = &p->outer;
    for (size_t i = 0; i < o->keys.count; i++)
        if (memcmp(o->keys.items[i].data, place->public_key, KEY_BYTES) == 0)
            return true;
    if (o->scope.len == 0 || !view_equal(o->scope, view_of_string(place->scope)))
        return false;
    for (size_t i = 0; i < o->patterns.count; i++)
        if (matches(o->patterns.items[i], place->name))
            return true;
    return false;
}

uint32_t permit_session_s(const struct permit *p, uint32_t section_s)
{
    uint32_t longest = p->inner.longest_s;
    if (longest == 0 || (section_s != 0 && section_s < longest))
        longest = section_s;
    return longest ? longest : PERMIT_SESSION_DEFAULT_S;
}
