/* Carriers after their last user: written to the end, then closed. */
#include "net/parting.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

struct parting {
    struct carrier *carrier;
    struct timer limit;
    struct deferred burial;
    struct list place;
    struct partings *set;
};

static void bury(struct deferred *burial)
{
    free(container_of(burial, struct parting, burial));
}

static void end(struct parting *p)
{
    timer_cancel(p->set->loop, &p->limit);
    list_remove(&p->place);
    p->set->count--;
    carrier_close(p->carrier);
    p->burial.run = bury;
    loop_defer(p->set->loop, &p->burial);
}

static void on_limit(struct timer *timer)
{
    end(container_of(timer, struct parting, limit));
}

static void on_read(struct carrier *c)
{
    uint8_t thrown_away[16384];
    ssize_t n = carrier_read(c, thrown_away, sizeof thrown_away);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        end(c->owner);
    else
        carrier_want_read(c);
}

static void on_write(struct carrier *c)
{
    if (carrier_flush(c))
        carrier_end(c);
    else if (errno == EAGAIN)
        carrier_want_write(c);
    /* else on_read sees what is wrong */
}

static const struct carrier_user user = {.on_read = on_read, .on_write = on_write};

void partings_init(struct partings *p, struct loop *loop)
{
    p->loop = loop;
    p->count = 0;
    list_init(&p->all);
}

void partings_add(struct partings *set, struct carrier *carrier)
{
    struct parting *p = calloc(1, sizeof *p);
    if (!p || !carrier_enter(carrier, set->loop, &user, p)) {
        carrier_close(carrier);
        free(p);
        return;
    }
    p->set = set;
    p->carrier = carrier;
    p->limit.on_fire = on_limit;
    list_append(&set->all, &p->place);
    if (++set->count > PARTINGS_MAX)
        end(container_of(set->all.next, struct parting, place));
    timer_set(set->loop, &p->limit, loop_now(set->loop) + PARTING_S * CLOCK_US_PER_S);
    carrier_want_read(carrier);
    on_write(carrier); /* the loop may be about to stop */
}

void partings_free(struct partings *p)
{
    while (p->loop && !list_empty(&p->all))
        end(container_of(p->all.next, struct parting, place));
}
