/* Kinds are few: they are looked through. */
#include "audit/counts.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define PERIOD_US (60 * CLOCK_US_PER_S)

static void write_all(struct audit_counts *c)
{
    for (size_t i = 0; i < AUDIT_KINDS_MAX && c->kinds[i].event; i++) {
        const struct audit_kind *k = &c->kinds[i];
        audit_write(c->audit, &(struct audit_entry){.event = k->event,
                                                    .user = k->user,
                                                    .key = k->key,
                                                    .agent = k->agent[0] ? k->agent : NULL,
                                                    .code = k->code,
                                                    .by = k->by,
                                                    .count = k->count});
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

static void keep_name(char out[AUDIT_KIND_NAME_BYTES], const char *name)
{
    snprintf(out, AUDIT_KIND_NAME_BYTES, "%s", name ? name : "");
}

static struct audit_kind kind_of(const struct audit_entry *like)
{
    struct audit_kind k = {.event = like->event, .code = (unsigned)like->code, .by = like->by};
    keep_name(k.user, like->user);
    keep_name(k.key, like->key);
    keep_name(k.agent, like->agent);
    return k;
}

static bool is_same(const struct audit_kind *a, const struct audit_kind *b)
{
    return strcmp(a->event, b->event) == 0 && a->code == b->code && strcmp(a->user, b->user) == 0 &&
           strcmp(a->key, b->key) == 0 && strcmp(a->agent, b->agent) == 0;
}

/* Its place, where it has one or there is one left. */
static struct audit_kind *find_place(struct audit_counts *c, const struct audit_kind *k)
{
    size_t i = 0;
    while (i + 1 < AUDIT_KINDS_MAX && c->kinds[i].event && !is_same(&c->kinds[i], k))
        i++;
    return &c->kinds[i];
}

void audit_counts_add_like(struct audit_counts *c, const struct audit_entry *like)
{
    struct audit_kind k = kind_of(like), *place;
    if (!c->audit)
        return;
    place = find_place(c, &k);
    if (place->event && !is_same(place, &k))
        k.user[0] = k.key[0] = k.agent[0] = '\0';
    k.count = place->count + 1;
    *place = k;
    if (!timer_is_set(&c->timer))
        timer_set(c->loop, &c->timer, loop_now(c->loop) + PERIOD_US);
}

void audit_counts_add(struct audit_counts *c, const char *event, unsigned code)
{
    audit_counts_add_like(c, &(struct audit_entry){.event = event, .code = code});
}

void audit_counts_end(struct audit_counts *c)
{
    if (!c->loop)
        return;
    write_all(c);
    timer_cancel(c->loop, &c->timer);
}
