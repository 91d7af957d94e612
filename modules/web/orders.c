/* Each order has a connection of its own to the agent, which checks what is in it. One whose page
 * leaves while it is under way is carried out: the agent may have begun. */
#include "web/orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/dialogue.h"

#define ANSWER_US (15 * CLOCK_US_PER_S)

static const char *const verbs[] = {"approve", "deny", "withdraw", "end", "lock", "unlock"};

struct order {
    struct list place;
    struct orders *all;
    struct http_exchange *x; /* NULL: its page has left */
    struct connecting opening;
    struct dialogue *dialogue; /* NULL: not connected yet */
    struct timer limit;
    size_t len;
    char request[CONTROL_REQUEST_BYTES];
};

struct orders {
    struct loop *loop;
    struct opener *opener;
    void (*done)(void *owner);
    void *owner;
    struct list all;
    unsigned count;
};

static void drop(struct order *o)
{
    struct orders *all = o->all;
    opener_forget(all->opener, &o->opening);
    dialogue_free(o->dialogue);
    timer_cancel(all->loop, &o->limit);
    list_remove(&o->place);
    all->count--;
    wipe(o->request, sizeof o->request); /* it may be a code */
    free(o);
}

static void fail(struct order *o, unsigned status, const char *why)
{
    if (o->x)
        exchange_refuse(o->x, status, "%s", why);
    drop(o);
}

static void on_limit(struct timer *timer)
{
    struct order *o = container_of(timer, struct order, limit);
    fail(o, 504, "the agent does not answer: whether it has heard is not known");
}

static void on_line(void *order, struct view line)
{
    (void)order;
    (void)line;
}

static void on_over(void *order, bool done, struct view line, const char *text)
{
    struct order *o = order;
    struct orders *all = o->all;
    (void)done;
    (void)text;
    if (o->x)
        exchange_answer(o->x, 200, "application/json", line);
    drop(o);
    all->done(all->owner);
}

static void on_lost(void *order, const char *why)
{
    char text[128];
    snprintf(text, sizeof text, "the agent is lost: %s", why);
    fail(order, 502, text);
}

static void on_open(struct connecting *w, int fd, int error)
{
    static const struct dialogue_events events = {
        .take = on_line, .over = on_over, .lost = on_lost};
    struct order *o = container_of(w, struct order, opening);
    char text[160];
    if (fd >= 0)
        o->dialogue = dialogue_new(o->all->loop, fd, &events, o);
    snprintf(text, sizeof text, "the agent cannot be reached: %s", system_text(error));
    if (o->dialogue)
        dialogue_ask(o->dialogue, view_of(o->request, o->len));
    else
        fail(o, 502, text);
}

static void on_gone(void *order)
{
    ((struct order *)order)->x = NULL;
}

/* ---- Taking one. ---- */

/* True if it is an object with such a verb, and so one line: none has a newline in it. */
static bool is_order(struct view content, char verb[16])
{
    struct json_object o;
    struct error e = {0};
    if (!json_read(&o, content, &e) || !json_get_text(&o, "verb", verb, 16))
        return false;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    return false;
}

static struct order *new_order(struct orders *all, struct http_exchange *x, struct view content)
{
    struct order *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->all = all;
    o->x = x;
    o->opening.done = on_open;
    o->limit.on_fire = on_limit;
    memcpy(o->request, content.data, content.len);
    o->request[content.len] = '\n';
    o->len = content.len + 1;
    list_append(&all->all, &o->place);
    all->count++;
    return o;
}

void orders_take(struct orders *all, struct http_exchange *x)
{
    const struct http_message *m = exchange_message(x);
    struct view content = view_of(m->content, m->content_len);
    struct order *o;
    char verb[16];
    if (content.len >= CONTROL_REQUEST_BYTES || !is_order(content, verb)) {
        exchange_refuse(x, 400, "this is no order");
        return;
    }
    o = all->count < ORDERS_MAX ? new_order(all, x, content) : NULL;
    if (!o) {
        exchange_refuse(x, 503, "too much is ordered at the same time: try again");
        return;
    }
    log_event(LOG_INFO, &(struct log_fields){.event = "page_ordered", .reason = verb},
              "a page orders: %s", verb);
    exchange_wait(x, on_gone, o);
    timer_set(all->loop, &o->limit, loop_now(all->loop) + ANSWER_US);
    if (!opener_ask(all->opener, &o->opening))
        fail(o, 503, "too much is ordered at the same time: try again");
}

struct orders *orders_new(struct loop *loop, struct opener *opener, void (*done)(void *owner),
                          void *owner)
{
    struct orders *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->loop = loop;
    all->opener = opener;
    all->done = done;
    all->owner = owner;
    list_init(&all->all);
    return all;
}

void orders_free(struct orders *all)
{
    if (!all)
        return;
    list_each (link, &all->all)
        drop(container_of(link, struct order, place));
    free(all);
}
