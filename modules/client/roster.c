/* Agents by name, each with what every relay says of it, and what follows from all of that. */
#include "client/roster.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static void sighting_free(struct sighting *s)
{
    if (!s)
        return;
    free(s->labels);
    free(s->calls);
    free(s);
}

static char *clean_copy(struct view text, size_t max)
{
    char clean[LABELS_MAX_BYTES + 1];
    text_clean(clean, max + 1, text);
    return strdup(clean);
}

/* Of a relay of the release before the one call that it tells, without a number. */
static bool copy_calls(struct sighting *s, const struct agent_entry *entry)
{
    uint8_t bytes[1 + TOLD_CALL_BYTES];
    struct told_calls one = {.count = 1};
    struct view calls = entry->calls;
    if (calls.len == 0 && entry->severity == 0)
        return true;
    if (calls.len == 0) {
        one.all[0] = (struct told_call){.severity = entry->severity, .text = entry->call_text};
        calls = view_of(bytes, told_calls_encode(&one, bytes, sizeof bytes));
    }
    s->calls = malloc(calls.len);
    if (!s->calls)
        return false;
    memcpy(s->calls, calls.data, calls.len);
    s->calls_len = calls.len;
    return true;
}

void sighting_calls(const struct sighting *s, struct told_calls *calls, uint64_t now_us)
{
    uint64_t more_s = (now_us - s->heard_us) / CLOCK_US_PER_S;
    calls->count = 0;
    if (!s->calls || !told_calls_decode(calls, view_of(s->calls, s->calls_len)))
        return;
    for (size_t i = 0; i < calls->count; i++) {
        uint64_t age_s = calls->all[i].age_s + more_s;
        calls->all[i].age_s = age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX;
    }
}

static struct sighting *sighting_new(size_t relay, const struct agent_entry *entry, uint64_t now_us)
{
    struct sighting *s = calloc(1, sizeof *s);
    uint64_t age_us = entry->age_s * CLOCK_US_PER_S;
    if (!s)
        return NULL;
    s->relay = relay;
    s->state = entry->state;
    s->severity = entry->severity;
    s->heard_us = now_us;
    s->since_us = age_us < now_us ? now_us - age_us : 0;
    memcpy(s->public_key, entry->public_key, KEY_BYTES);
    s->vouch_len = entry->vouch.len;
    if (entry->vouch.len)
        memcpy(s->vouch, entry->vouch.data, entry->vouch.len);
    text_clean(s->name, sizeof s->name, entry->name);
    s->labels = clean_copy(entry->labels, LABELS_MAX_BYTES);
    if (s->labels && copy_calls(s, entry))
        return s;
    sighting_free(s);
    return NULL;
}

static size_t bytes_of(const struct sighting *s)
{
    return sizeof *s + strlen(s->labels) + s->calls_len;
}

/* The first place that is not before this name and relay. */
static size_t place_of(const struct roster *r, const char *name, size_t relay)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(r->all[middle]->name, name);
        if (order < 0 || (order == 0 && r->all[middle]->relay < relay))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t roster_find(const struct roster *r, const char *name)
{
    return place_of(r, name, 0);
}

/* True if this place is that of this name and relay. */
static bool is_at(const struct roster *r, size_t at, const char *name, size_t relay)
{
    return at < r->count && r->all[at]->relay == relay && strcmp(r->all[at]->name, name) == 0;
}

bool roster_knows(const struct roster *r, size_t relay, struct view name)
{
    char clean[NAME_TEXT_BYTES];
    text_clean(clean, sizeof clean, name);
    return is_at(r, place_of(r, clean, relay), clean, relay);
}

static bool make_room(struct roster *r, size_t at)
{
    struct sighting **more;
    if ((r->count & (r->count - 1)) == 0) { /* full at every power of two */
        more = realloc(r->all, (r->count ? 2 * r->count : 1) * sizeof *more);
        if (!more)
            return false;
        r->all = more;
    }
    memmove(r->all + at + 1, r->all + at, (r->count - at) * sizeof *r->all);
    r->count++;
    return true;
}

static void remove_at(struct roster *r, size_t at)
{
    r->bytes -= bytes_of(r->all[at]);
    sighting_free(r->all[at]);
    r->count--;
    memmove(r->all + at, r->all + at + 1, (r->count - at) * sizeof *r->all);
}

struct sighting *roster_put(struct roster *r, size_t relay, const struct agent_entry *entry,
                            uint64_t now_us)
{
    struct sighting *s = sighting_new(relay, entry, now_us);
    size_t at = s ? place_of(r, s->name, relay) : 0;
    bool known = s && is_at(r, at, s->name, relay);
    if (!s || r->bytes + bytes_of(s) > ROSTER_BYTES_MAX || (!known && !make_room(r, at))) {
        sighting_free(s);
        return NULL;
    }
    if (known) {
        s->told = r->all[at]->told;
        r->bytes -= bytes_of(r->all[at]);
        sighting_free(r->all[at]);
    }
    r->all[at] = s;
    r->bytes += bytes_of(s);
    return r->all[roster_find(r, s->name)];
}

void roster_lose(struct roster *r, size_t relay)
{
    for (size_t i = 0; i < r->count; i++)
        r->all[i]->lost |= r->all[i]->relay == relay;
}

static void unlist(struct roster *r, struct sighting *s, uint64_t now_us)
{
    r->bytes -= s->calls_len;
    free(s->calls);
    s->calls = NULL;
    s->calls_len = 0;
    s->severity = 0;
    s->state = AGENT_UNLISTED;
    s->since_us = now_us;
    s->lost = false;
}

void roster_renew(struct roster *r, size_t relay, uint64_t now_us)
{
    for (size_t i = r->count; i > 0; i--) {
        struct sighting *s = r->all[i - 1];
        if (s->relay == relay && s->state == AGENT_UNLISTED)
            remove_at(r, i - 1);
        else if (s->relay == relay && s->lost)
            unlist(r, s, now_us);
    }
}

size_t roster_agent_span(const struct roster *r, size_t at)
{
    size_t end = at;
    while (end < r->count && strcmp(r->all[end]->name, r->all[at]->name) == 0)
        end++;
    return end - at;
}

static unsigned rank(const struct sighting *s)
{
    static const unsigned ranks[] = {
        [AGENT_OFFLINE] = 1, [AGENT_DIALLED] = 2, [AGENT_ONLINE] = 3, [AGENT_DUPLICATE] = 4};
    return s->state <= AGENT_DUPLICATE ? ranks[s->state] : 0;
}

/* True if a says more than b: who is offline has been so since it was last seen anywhere, who is
 * not since it was first there. */
static bool is_better(const struct sighting *a, const struct sighting *b)
{
    bool unlisted = a->state == AGENT_UNLISTED;
    if (unlisted != (b->state == AGENT_UNLISTED))
        return !unlisted;
    if (a->lost != b->lost)
        return b->lost;
    if (rank(a) != rank(b))
        return rank(a) > rank(b);
    return a->state == AGENT_OFFLINE ? a->since_us > b->since_us : a->since_us < b->since_us;
}

struct sighting roster_merge(const struct roster *r, size_t at)
{
    struct sighting **s = r->all + at;
    size_t count = roster_agent_span(r, at), best = 0, call = 0;
    struct sighting merged;
    uint64_t told = s[0]->told;
    for (size_t i = 1; i < count; i++) {
        best = is_better(s[i], s[best]) ? i : best;
        told = told ? told : s[i]->told;
        call = !s[i]->lost && s[i]->severity > s[call]->severity ? i : call;
    }
    merged = *s[best];
    merged.told = told;
    if (merged.lost || merged.state != AGENT_ONLINE) {
        merged.severity = s[call]->severity;
        merged.calls = s[call]->calls;
        merged.calls_len = s[call]->calls_len;
        merged.heard_us = s[call]->heard_us;
    }
    return merged;
}

void roster_free(struct roster *r)
{
    for (size_t i = 0; i < r->count; i++)
        sighting_free(r->all[i]);
    free(r->all);
    *r = (struct roster){0};
}
