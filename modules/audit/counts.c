/* Kinds are few: they are looked through. */
#include "audit/counts.h"

#include <string.h>

#include "base/clock.h"

#define PERIOD_US (60 * CLOCK_US_PER_S)

static void write_all(struct audit_counts *c)
{
    for (size_t i = 0; i < AUDIT_KINDS_MAX && c->kinds[i].event; i++) {
        const struct audit_kind *k = &c->kinds[i];
        audit_write(c->audit,
                    &(struct audit_entry){.event = k->event, .code = k->code, .count = k->count});
    }
    memset(c->kinds, 0, sizeof c->kinds);
}

static void on_period(struct timer *timer)
{
    write_all(container_of(timer, struct audit_counts, timer));
}

void audit_counts_init(struct audit_counts *c, struct loop *loop, struct audit *audit)
{
    *c = (struct audit_counts){.audit = audit, .loop = loop, .timer.on_fire = on_period};
}

void audit_counts_add(struct audit_counts *c, const char *event, unsigned code)
{
    size_t i = 0;
    if (!c->audit)
        return;
    while (i + 1 < AUDIT_KINDS_MAX && c->kinds[i].event &&
           (strcmp(c->kinds[i].event, event) != 0 || c->kinds[i].code != code))
        i++;
    c->kinds[i].event = event;
    c->kinds[i].code = code;
    c->kinds[i].count++;
    if (!timer_is_set(&c->timer))
        timer_set(c->loop, &c->timer, loop_now(c->loop) + PERIOD_US);
}

void audit_counts_end(struct audit_counts *c)
{
    if (!c->loop)
        return;
    write_all(c);
    timer_cancel(c->loop, &c->timer);
}
