/* CALLS one after the other, each once the one before was heard; or CALL, which nobody answers. */
#include "agent/call_teller.h"

#include "agent/own_calls.h"
#include "base/clock.h"

/* A second more than the relay's interval: its clock, and the time on the way, differ. */
#define CALL_US ((CALL_INTERVAL_S + 1) * CLOCK_US_PER_S)

static void on_again(struct timer *timer)
{
    call_teller_tell(container_of(timer, struct call_teller, again));
}

void call_teller_init(struct call_teller *t, struct agent *a)
{
    *t = (struct call_teller){.agent = a, .again.on_fire = on_again};
}

void call_teller_begin(struct call_teller *t, struct hop_driver *hop, bool takes_calls)
{
    call_teller_lose(t);
    t->hop = hop;
    t->takes_calls = takes_calls;
    call_teller_tell(t);
}

void call_teller_lose(struct call_teller *t)
{
    t->hop = NULL;
    t->told = t->heard = 0;
}

static void have_heard(struct call_teller *t, uint32_t revision)
{
    t->heard = revision;
    t->agent->on_calls_heard(t->agent);
}

/* All that stand, once it has heard what it was told before. */
static void send_calls(struct call_teller *t, const struct standing *standing, uint32_t revision)
{
    struct told_calls told;
    uint8_t bytes[TOLD_CALLS_BYTES], body[4 + TOLD_CALLS_BYTES];
    struct calls calls = {.revision = revision};
    if (t->told != t->heard)
        return;
    standing_tell(standing, &told, clock_wall_s());
    calls.calls = view_of(bytes, told_calls_encode(&told, bytes, sizeof bytes));
    t->told = revision;
    hop_send(&t->hop->hop, MESSAGE_CALLS, view_of(body, calls_encode(&calls, body, sizeof body)));
}

/* To a relay of the release before: the gravest one. It ignores a CALL within 10 s of the last one,
 * so that the next one waits that long. */
static void send_call(struct call_teller *t, const struct standing *standing, uint32_t revision)
{
    struct loop *loop = t->agent->loop;
    struct call call = {0};
    uint8_t body[TEXT_MAX_BYTES + 8];
    uint64_t now = loop_now(loop), due = t->called_us + CALL_US;
    if (standing->count == 0 && !t->called_us)
        return; /* it knows of none */
    if (t->called_us && now < due) {
        timer_set(loop, &t->again, due);
        return;
    }
    if (standing->count > 0)
        call = (struct call){standing->all[0].severity, view_of_string(standing->all[0].text)};
    t->called_us = now;
    t->told = revision;
    hop_send(&t->hop->hop, MESSAGE_CALL, view_of(body, call_encode(&call, body, sizeof body)));
    have_heard(t, revision);
}

void call_teller_tell(struct call_teller *t)
{
    const struct own_calls *calls = t->agent->calls;
    uint32_t revision = calls ? own_calls_revision(calls) : 0;
    if (!t->hop || !calls || own_calls_is_storing(calls) || t->heard == revision)
        return;
    if (t->takes_calls)
        send_calls(t, own_calls_standing(calls), revision);
    else
        send_call(t, own_calls_standing(calls), revision);
    hop_driver_update(t->hop);
}

bool call_teller_read_heard(struct call_teller *t, struct view body)
{
    uint32_t revision;
    if (!heard_decode(&revision, body))
        return false;
    if (!t->hop || !t->told || revision != t->told)
        return true; /* of what it was not told last */
    have_heard(t, revision);
    call_teller_tell(t);
    return true;
}

bool call_teller_has_heard(const struct call_teller *t, uint32_t revision)
{
    return t->heard && (int32_t)(t->heard - revision) >= 0;
}

void call_teller_end(struct call_teller *t)
{
    timer_cancel(t->agent->loop, &t->again);
}
