/* The running agent's end of spx agent call. */
#include "agent/call_desk.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/own_calls.h"
#include "agent/uplink.h"
#include "base/clock.h"
#include "base/text.h"
#include "control/request.h"

#define HEARD_US (3 * CLOCK_US_PER_S) /* so long a command waits for a relay that is there */

/* A command that waits to hear what became of its call. */
struct asker {
    struct list place;
    struct call_desk *desk;
    struct control_request *request;
    uint64_t until_us;
    uint32_t revision; /* of what stands with its call */
    char words[CALL_WORDS_BYTES];
};

struct call_desk {
    struct agent *agent;
    struct list askers;
    struct timer due; /* of the oldest */
};

/* ---- Answers to commands. ---- */

/* Its request is answered, or has gone. */
static void on_gone(void *state)
{
    struct asker *asker = state;
    list_remove(&asker->place);
    free(asker);
}

/* words: more of it. The asker is gone after it. */
static void reply(struct asker *to, const char *words)
{
    control_done(to->request, "%s%s", to->words, words);
}

/* The relay that has heard it, or else, *online, one that is there; NULL: none. */
static const struct uplink *best_relay(const struct agent *a, uint32_t revision, bool *heard)
{
    const struct uplink *there = NULL;
    *heard = false;
    for (size_t i = 0; i < a->uplink_count; i++) {
        if (uplink_has_heard(a->uplinks[i], revision)) {
            *heard = true;
            return a->uplinks[i];
        }
        there = uplink_is_online(a->uplinks[i]) ? a->uplinks[i] : there;
    }
    return there;
}

/* Answers, unless a relay that is there may still hear of it. */
static bool try_reply(struct asker *to)
{
    const struct agent *a = to->desk->agent;
    char words[TEXT_MAX_BYTES];
    bool heard;
    const struct uplink *relay = best_relay(a, to->revision, &heard);
    const char *unsaved = own_calls_unsaved(a->calls);
    int len;
    if (own_calls_is_storing(a->calls) || (relay && !heard && loop_now(a->loop) < to->until_us))
        return false;
    if (heard)
        len = snprintf(words, sizeof words, "; relay %s has heard it", uplink_relay(relay));
    else if (relay)
        len = snprintf(words, sizeof words,
                       "; relay %s has not heard it yet: it is kept and told again",
                       uplink_relay(relay));
    else
        len = snprintf(words, sizeof words,
                       a->uplink_count
                           ? "; no relay is there: it is kept and sent when one is"
                           : "; this agent calls home to no relay, so that none hears of it");
    if (unsaved)
        snprintf(words + len, sizeof words - (size_t)len,
                 "; it would not outlive the agent's process: %s", unsaved);
    reply(to, words);
    return true;
}

void call_desk_check(struct call_desk *d)
{
    if (!d)
        return;
    timer_cancel(d->agent->loop, &d->due);
    list_each (link, &d->askers) {
        struct asker *asker = container_of(link, struct asker, place);
        if (!try_reply(asker) && !timer_is_set(&d->due))
            timer_set(d->agent->loop, &d->due, asker->until_us);
    }
}

static void on_due(struct timer *timer)
{
    call_desk_check(container_of(timer, struct call_desk, due));
}

/* ---- Calls. ---- */

static void wait_to_reply(struct call_desk *d, struct control_request *r, const char *words)
{
    static const struct control_work work = {.gone = on_gone};
    struct asker *asker = calloc(1, sizeof *asker);
    if (!asker) {
        control_done(r, "%s; it is kept and sent", words);
        return;
    }
    asker->desk = d;
    asker->request = r;
    asker->revision = own_calls_revision(d->agent->calls);
    asker->until_us = loop_now(d->agent->loop) + HEARD_US;
    snprintf(asker->words, sizeof asker->words, "%s", words);
    list_append(&d->askers, &asker->place);
    control_begin(r, &work, asker);
    call_desk_check(d);
}

/* False: words say why nothing has changed. */
static bool change_calls(struct call_desk *d, const struct json_object *o,
                         char words[CALL_WORDS_BYTES])
{
    uint64_t severity = 0, number = 0;
    char said[TEXT_MAX_BYTES + 1] = "", text[TEXT_MAX_BYTES + 1];
    json_get_number(o, "severity", &severity);
    json_get_number(o, "number", &number);
    json_get_text(o, "text", said, sizeof said);
    text_clean(text, sizeof text, view_of_string(said));
    if (severity > UINT8_MAX || number > UINT32_MAX || (severity && text[0] == '\0')) {
        snprintf(words, CALL_WORDS_BYTES,
                 "expected a severity up to 255 with a text of at most %d bytes", TEXT_MAX_BYTES);
        return false;
    }
    return severity ? own_calls_add(d->agent->calls, (uint8_t)severity, text, words)
                    : own_calls_end(d->agent->calls, (uint32_t)number, words);
}

void call_desk_take(struct call_desk *d, struct control_request *r)
{
    char words[CALL_WORDS_BYTES];
    if (change_calls(d, control_arguments(r), words))
        wait_to_reply(d, r, words);
    else
        control_failed(r, FAILURE_OTHER, "%s", words);
}

struct call_desk *call_desk_new(struct agent *a)
{
    struct call_desk *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->agent = a;
    d->due.on_fire = on_due;
    list_init(&d->askers);
    return d;
}

void call_desk_free(struct call_desk *d)
{
    if (!d)
        return;
    list_each (link, &d->askers)
        reply(container_of(link, struct asker, place),
              "; the agent is ending: it is kept if there is a StateDirectory");
    timer_cancel(d->agent->loop, &d->due);
    free(d);
}
