/* One row for each key that is a rule for sessions. */
#include "agent/rule_words.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

static void access_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    snprintf(out, RULE_VALUE_BYTES, "%s",
             r->access == ACCESS_NEVER ? "never"
             : r->access == ACCESS_ASK ? "ask"
                                       : "");
}

static void hours_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    snprintf(out, RULE_VALUE_BYTES, "%s", r->hours.text);
}

/* A day without a time stands as it is written. */
static void date_value(char *out, const struct date *d, const struct zone *z)
{
    static const struct zone utc;
    char text[DATE_TEXT_BYTES] = "";
    if (d->is_set)
        date_text(text, d->is_day ? &utc : z, d->at_s);
    snprintf(out, RULE_VALUE_BYTES, "%.*s", d->is_day ? (int)sizeof "Mon 2026-11-30" - 1 : 64,
             text);
}

static void not_before_value(char *out, const struct rules *r, const struct zone *z)
{
    date_value(out, &r->not_before, z);
}

static void not_after_value(char *out, const struct rules *r, const struct zone *z)
{
    date_value(out, &r->not_after, z);
}

static void duration_value(char *out, uint32_t seconds)
{
    char text[24] = "";
    if (seconds)
        text_duration(text, seconds * CLOCK_US_PER_S);
    snprintf(out, RULE_VALUE_BYTES, "%s", text);
}

static void max_session_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    duration_value(out, r->max_session_s);
}

static void idle_end_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    duration_value(out, r->idle_end_s);
}

static void ask_timeout_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    duration_value(out, r->access == ACCESS_ASK ? r->ask_timeout_s : 0);
}

static void needs_reason_value(char *out, const struct rules *r, const struct zone *z)
{
    (void)z;
    snprintf(out, RULE_VALUE_BYTES, "%s", r->needs_reason ? "yes" : "");
}

static const struct {
    const char *key, *verb, *unset;
    void (*value)(char *out, const struct rules *r, const struct zone *z);
} rows[RULE_WORDS] = {
    {"Access", "connect", "always", access_value},
    {"Hours", "during", "always", hours_value},
    {"NotBefore", "from", "none", not_before_value},
    {"NotAfter", "until", "none", not_after_value},
    {"MaxSession", "stay for", "no limit", max_session_value},
    {"IdleEnd", "idle for", "no limit", idle_end_value},
    {"AskTimeout", "wait for", "none", ask_timeout_value},
    {"ReasonRequired", "with reason", "no", needs_reason_value},
};

const char *rule_key(unsigned i)
{
    return rows[i].key;
}

const char *rule_verb(unsigned i)
{
    return rows[i].verb;
}

const char *rule_unset(unsigned i)
{
    return rows[i].unset;
}

void rule_value(char out[RULE_VALUE_BYTES], unsigned i, const struct rules *r, const struct zone *z)
{
    rows[i].value(out, r, z);
}
