/* The table has what all entries have in columns, and the rest in words behind them. */
#include "auditor/show.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auditor/reading.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/limits.h"

bool show_is_time(const char *text)
{
    static const char pattern[] = "0000-00-00T00:00:00.000Z";
    size_t len = strlen(text);
    if (len < strlen("0000-00-00") || len >= sizeof pattern)
        return false;
    for (size_t i = 0; i < len; i++)
        if (pattern[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != pattern[i])
            return false;
    return true;
}

static bool matches(const char *pattern, const char *text)
{
    return !pattern || (text && text_matches(pattern, text));
}

/* A user by a permit stands as "alice (support, permit 1f00ab34)", and matches by either. */
static bool matches_user(const char *pattern, const char *user)
{
    const char *more = user ? strstr(user, " (") : NULL;
    char name[NAME_TEXT_BYTES];
    if (matches(pattern, user))
        return true;
    if (!more)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(more - user), user);
    return matches(pattern, name);
}

/* Times of one form are in the order of their texts. */
static bool is_wanted(const struct show_options *o, const struct audit_entry *e)
{
    return matches_user(o->user, e->user) && matches(o->agent, e->agent) &&
           (!o->since || strcmp(e->time, o->since) >= 0) &&
           (!o->until || strcmp(e->time, o->until) < 0);
}

static const char *or_none(const char *text)
{
    return text ? text : "-";
}

static void print_member(const char *name, const char *text)
{
    if (text)
        printf(" %s %s", name, text);
}

static void print_number(const char *name, uint64_t number)
{
    if (number)
        printf(" %s %" PRIu64, name, number);
}

static void print_measures(const struct audit_entry *e)
{
    char time[24];
    if (e->counted)
        printf(" up %" PRIu64 " B down %" PRIu64 " B", e->bytes_up, e->bytes_down);
    if (e->measured)
        printf(" sent %" PRIu64 " B (acknowledged %" PRIu64 " B) received %" PRIu64 " B", e->sent,
               e->acknowledged, e->received);
    if (!e->counted && !e->measured)
        return;
    text_duration(time, e->duration_ms * CLOCK_US_PER_MS);
    printf(" for %s", time);
}

static void print_row(const struct audit_entry *e)
{
    char circuit[9] = "-";
    if (e->circuit)
        snprintf(circuit, sizeof circuit, "%.8s", e->circuit);
    printf("%s %-6s %-18s %-12s %-16s %s", e->time, e->role, e->event, or_none(e->user),
           or_none(e->agent), circuit);
    print_member("target", e->target);
    print_number("stream", e->stream);
    print_member("address", e->address);
    print_measures(e);
    print_number("severity", e->severity);
    print_number("count", e->count);
    print_member("by", e->by);
    print_number("code", e->code);
    if (e->reason)
        printf(": %s", e->reason);
    putchar('\n');
}

static void print_heading(void)
{
    printf("%-24s %-6s %-18s %-12s %-16s %s\n", "TIME", "ROLE", "EVENT", "USER", "AGENT",
           "CIRCUIT, AND WHAT ELSE THERE IS");
}

/* The heading stands above the first. */
static void print_entry(const struct show_options *o, const struct reading *r, size_t *shown)
{
    if (o->json) {
        printf("%.*s\n", (int)r->raw.len, (const char *)r->raw.data);
        return;
    }
    if ((*shown)++ == 0)
        print_heading();
    print_row(&r->line.entry);
}

/* True if all lines are entries. One that is not finished is none yet. */
static bool show_reading(const struct show_options *o, struct reading *r, size_t *shown)
{
    size_t odd = 0, first = 0;
    while (reading_next(r)) {
        if (!r->is_entry && r->ended && odd++ == 0)
            first = r->number;
        if (r->is_entry && is_wanted(o, &r->line.entry))
            print_entry(o, r, shown);
    }
    if (odd)
        fprintf(stderr, "spx audit: %s:%zu: not an entry: %zu such line%s\n", r->path, first, odd,
                odd == 1 ? "" : "s");
    return odd == 0;
}

enum failure show_files(const struct show_options *o, char **paths, size_t count)
{
    struct reading r;
    struct error e = {0};
    bool good = true;
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        if (!reading_begin(&r, paths[i], &e)) {
            fprintf(stderr, "spx audit: %s\n", e.text);
            return e.failure;
        }
        good = show_reading(o, &r, &shown) && good;
        reading_end(&r);
    }
    if (shown == 0 && !o->json)
        puts("no entry");
    return good ? FAILURE_NONE : FAILURE_ALTERED;
}
