/* Facts about where an agent is. Nothing here decides who may hear of them: that is the directory's
 * policy. */
#include "relay/presence.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "relay/labels.h"

void presence_init(struct presence *p, struct presence_watch *watch, uint64_t now_us)
{
    memset(p, 0, sizeof *p);
    p->watch = watch;
    p->since_us = now_us;
}

void presence_free(struct presence *p)
{
    free(p->labels);
    free(p->calls);
    p->labels = NULL;
    p->calls = NULL;
}

void presence_changed(struct presence *p)
{
    if (p->watch)
        p->watch->on_changed(p->watch, p);
}

/* NULL for an empty text, and without memory. */
static char *copy_clean(struct view text)
{
    char clean[LABELS_MAX_BYTES + 1];
    return text_clean(clean, sizeof clean, text) > 0 ? strdup(clean) : NULL;
}

static void take_info(struct presence *p, const struct info *info)
{
    char *labels = copy_clean(info->labels);
    p->relabelled |= !labels_same(p->labels, labels);
    free(p->labels);
    p->labels = labels;
    p->flags = info->flags;
}

void presence_came(struct presence *p, const struct info *info, uint64_t now_us)
{
    if (p->where != PRESENCE_HERE)
        p->since_us = now_us;
    p->where = PRESENCE_HERE;
    take_info(p, info);
    presence_changed(p);
}

void presence_left(struct presence *p, uint64_t now_us)
{
    p->where = PRESENCE_NOWHERE;
    p->since_us = now_us;
    presence_changed(p);
}

void presence_set_info(struct presence *p, const struct info *info)
{
    if (p->where == PRESENCE_NOWHERE) {
        take_info(p, info);
        presence_changed(p);
    }
}

/* The same calls with texts that are safe to show: clean ones are not longer. The length; 0: no
 * calls. */
static size_t clean_calls(uint8_t *out, struct view calls)
{
    char clean[CALLS_MAX][TEXT_MAX_BYTES + 1];
    struct told_calls told;
    if (!told_calls_decode(&told, calls))
        return 0;
    for (size_t i = 0; i < told.count; i++)
        told.all[i].text =
            view_of(clean[i], text_clean(clean[i], sizeof clean[i], told.all[i].text));
    return told_calls_encode(&told, out, calls.len);
}

bool presence_set_calls(struct presence *p, struct view calls, uint64_t now_us)
{
    uint8_t *copy = malloc(calls.len);
    if (!copy)
        return false;
    free(p->calls);
    p->calls = copy;
    p->calls_len = clean_calls(copy, calls);
    p->called_us = now_us;
    presence_changed(p);
    return true;
}

bool presence_set_call(struct presence *p, const struct call *call, uint64_t now_us)
{
    uint8_t bytes[1 + TOLD_CALL_BYTES];
    struct told_calls calls = {
        .count = call->severity > 0,
        .all[0] = {.severity = call->severity, .text = call->text},
    };
    size_t len = told_calls_encode(&calls, bytes, sizeof bytes);
    return presence_set_calls(p, view_of(bytes, len), now_us);
}

void presence_calls(const struct presence *p, struct told_calls *calls, uint64_t now_us)
{
    uint64_t more_s = (now_us - p->called_us) / CLOCK_US_PER_S;
    calls->count = 0;
    if (!p->calls || !told_calls_decode(calls, view_of(p->calls, p->calls_len)))
        return;
    for (size_t i = 0; i < calls->count; i++) {
        uint64_t age_s = calls->all[i].age_s + more_s;
        calls->all[i].age_s = age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX;
    }
}

bool presence_replaced(struct presence *p, uint64_t now_us)
{
    bool taking_turns =
        p->replaced_us != 0 && now_us - p->replaced_us < DUPLICATE_WAIT_S * CLOCK_US_PER_S;
    bool was_duplicate = presence_is_duplicate(p, now_us);
    p->replaced_us = now_us;
    if (taking_turns)
        p->duplicate_until_us = now_us + DUPLICATE_SHOWN_US;
    if (!taking_turns || was_duplicate)
        return false;
    p->since_us = now_us;
    return true;
}

bool presence_is_duplicate(const struct presence *p, uint64_t now_us)
{
    return now_us < p->duplicate_until_us;
}
