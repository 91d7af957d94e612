/* The order of a control hop's OFFERs. The answers are made in agent/answer.c. */
#include "agent/offers.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void offers_init(struct offers *o)
{
    list_init(&o->working);
    list_init(&o->waiting);
    o->working_count = o->waiting_count = 0;
}

/* Moves a view to a copy of its bytes; returns the end of the copy. */
static uint8_t *copy_view(uint8_t *to, struct view *v)
{
    if (v->len)
        memcpy(to, v->data, v->len);
    *v = view_of(to, v->len);
    return to + v->len;
}

struct kept_offer *kept_offer_new(const struct offer *offer, uint64_t now_us)
{
    size_t len = offer->user.len + offer->user_address.len + offer->message1.len;
    struct kept_offer *w = malloc(sizeof *w + len);
    uint8_t *end;
    if (!w)
        return NULL;
    *w = (struct kept_offer){.offer = *offer, .came_us = now_us};
    list_init(&w->place);
    end = copy_view(w->bytes, &w->offer.user);
    end = copy_view(end, &w->offer.user_address);
    copy_view(end, &w->offer.message1);
    return w;
}

void kept_offer_free(struct kept_offer *w)
{
    wipe(w->offer.ticket, sizeof w->offer.ticket);
    free(w);
}

static bool same_user(const uint8_t *a, const struct offer *b)
{
    return memcmp(a, b->user_key, sizeof b->user_key) == 0;
}

/* The number of the user's that are worked on or wait. */
static unsigned count_of_user(const struct offers *o, const struct offer *offer)
{
    unsigned n = 0;
    list_each (link, &o->working)
        n += same_user(container_of(link, struct offer_work, place)->user_key, offer);
    list_each (link, &o->waiting)
        n += same_user(container_of(link, struct kept_offer, place)->offer.user_key, offer);
    return n;
}

static struct kept_offer *take_out(struct offers *o, struct list *link)
{
    list_remove(link);
    o->waiting_count--;
    return container_of(link, struct kept_offer, place);
}

struct kept_offer *offers_wait(struct offers *o, struct kept_offer *w)
{
    struct list *next = o->waiting.next;
    w->round = count_of_user(o, &w->offer);
    while (next != &o->waiting && container_of(next, struct kept_offer, place)->round <= w->round)
        next = next->next;
    list_append(next, &w->place); /* before it */
    o->waiting_count++;
    return o->waiting_count > OFFERS_QUEUED ? take_out(o, o->waiting.prev) : NULL;
}

struct kept_offer *offers_next(struct offers *o)
{
    if (o->working_count >= OFFERS_WORKING || list_empty(&o->waiting))
        return NULL;
    return take_out(o, o->waiting.next);
}

void offers_begin(struct offers *o, struct offer_work *work, const struct offer *offer)
{
    memcpy(work->user_key, offer->user_key, sizeof work->user_key);
    list_init(&work->place);
    list_append(&o->working, &work->place);
    o->working_count++;
}

void offers_end(struct offers *o, struct offer_work *work)
{
    if (!work->place.next)
        return;
    list_remove(&work->place);
    work->place.next = NULL;
    o->working_count--;
}

void offers_clear(struct offers *o)
{
    list_each (link, &o->waiting)
        kept_offer_free(take_out(o, link));
}
