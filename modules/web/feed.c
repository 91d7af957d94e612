/* Two connections to the agent, one for lists and one for events, while anybody looks. */
#include "web/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "control/dialogue.h"

#define ROUND_US (2 * CLOCK_US_PER_S)   /* from the begin of one round of lists to the next */
#define SOON_US (500 * CLOCK_US_PER_MS) /* after something has happened */
#define SHARE 10                        /* rounds take at most this part of the time, */
#define PAUSE_US (5 * CLOCK_US_PER_S)   /* but the agent waits only CONTROL_IDLE_S for a question */
#define RETRY_US CLOCK_US_PER_S         /* when the agent is not there */
#define ANSWER_US (10 * CLOCK_US_PER_S) /* that it has for all lists */
#define BEHIND_BYTES ((size_t)128 << 10) /* unsent: such a page waits for the next round */

static const struct {
    const char *name, *request;
} lists[] = {
    {"status", "{\"verb\":\"status\"}\n"},
    {"sessions", "{\"verb\":\"sessions\"}\n"},
    {"requests", "{\"verb\":\"requests\"}\n"},
    {"approvals", "{\"verb\":\"approvals\"}\n"},
    {"audit", "{\"verb\":\"audit\",\"last\":100}\n"},
};

#define LIST_COUNT (sizeof lists / sizeof lists[0])

/* A page. */
struct viewer {
    struct list place;
    struct feed *feed;
    struct http_exchange *x;
    bool in_round; /* it gets the lists of this one */
    char bearer[PASS_BYTES];
};

/* A connection to the agent. */
struct wire {
    struct feed *feed;
    struct connecting opening;
    struct dialogue *dialogue; /* or NULL */
    bool asked_for;            /* it is being opened */
};

struct feed {
    struct loop *loop;
    struct opener *opener;
    struct passes *passes;
    struct list viewers;
    unsigned viewer_count;
    struct wire lists, events;
    struct timer pace; /* the next step */
    bool in_round, soon, here;
    uint64_t round_us; /* when it began */
    size_t list;       /* the one that comes in */
    char *text;        /* what has come of it */
    size_t len, size;
    bool cut;
    char why[160]; /* the agent is not here */
};

/* ---- Pages. ---- */

static void put(struct feed *f, struct view text)
{
    list_each (link, &f->viewers)
        exchange_put(container_of(link, struct viewer, place)->x, text);
}

static void put_list(struct feed *f)
{
    list_each (link, &f->viewers) {
        struct viewer *v = container_of(link, struct viewer, place);
        if (v->in_round)
            exchange_put(v->x, view_of(f->text, f->len));
    }
}

/* Those who have not read what they have wait for the next round; the others get all of this one.
 */
static void choose_viewers(struct feed *f)
{
    list_each (link, &f->viewers) {
        struct viewer *v = container_of(link, struct viewer, place);
        v->in_round = exchange_unsent(v->x) <= BEHIND_BYTES;
    }
}

static size_t state_line(const struct feed *f, char out[CONTROL_LINE_BYTES])
{
    struct json_line l;
    json_begin(&l, out, CONTROL_LINE_BYTES);
    json_put_text(&l, "web", "agent");
    json_put_truth(&l, "here", f->here);
    if (!f->here)
        json_put_text(&l, "text", f->why);
    return json_end(&l);
}

static void tell_state(struct feed *f)
{
    char line[CONTROL_LINE_BYTES];
    put(f, view_of(line, state_line(f, line)));
}

static void drop_viewer(struct feed *f, struct viewer *v)
{
    list_remove(&v->place);
    f->viewer_count--;
    wipe(v, sizeof *v);
    free(v);
}

/* Those whose bearer has ended; looking on is use of it. */
static void end_viewers(struct feed *f)
{
    list_each (link, &f->viewers) {
        struct viewer *v = container_of(link, struct viewer, place);
        if (!passes_admit(f->passes, loop_now(f->loop), v->bearer))
            exchange_end(v->x); /* which drops it */
    }
}

/* ---- The agent. ---- */

static void hang_up(struct wire *w)
{
    if (w->asked_for)
        opener_forget(w->feed->opener, &w->opening);
    w->asked_for = false;
    dialogue_free(w->dialogue);
    w->dialogue = NULL;
}

static void away(struct feed *f, const char *why)
{
    hang_up(&f->lists);
    hang_up(&f->events);
    f->in_round = f->here = false;
    snprintf(f->why, sizeof f->why, "%s", why);
    tell_state(f);
    timer_set(f->loop, &f->pace, loop_now(f->loop) + RETRY_US);
}

static void lost(void *owner, const char *why)
{
    char text[128];
    struct wire *w = owner;
    snprintf(text, sizeof text, "the agent is lost: %s", why);
    away(w->feed, text);
}

static void dial(struct wire *w)
{
    if (!w->dialogue && !w->asked_for)
        w->asked_for = opener_ask(w->feed->opener, &w->opening);
}

static const char *away_text(int error)
{
    if (error == ENOENT || error == ECONNREFUSED)
        return "the agent does not run";
    if (error == EACCES || error == EPERM)
        return "the agent's control socket is closed to this user";
    return system_text(error);
}

/* NULL: it is not there. */
static struct dialogue *answered(struct wire *w, int fd, int error,
                                 const struct dialogue_events *events)
{
    w->asked_for = false;
    w->dialogue = fd >= 0 ? dialogue_new(w->feed->loop, fd, events, w) : NULL;
    if (!w->dialogue)
        away(w->feed, fd >= 0 ? NO_MEMORY_TEXT : away_text(error));
    return w->dialogue;
}

/* ---- Lists. ---- */

/* False: no memory. */
static bool make_room(struct feed *f, size_t len)
{
    size_t size = f->size ? f->size : 16384;
    char *grown;
    while (size < f->len + len)
        size *= 2;
    if (size == f->size)
        return true;
    grown = realloc(f->text, size);
    if (!grown)
        return false;
    f->text = grown;
    f->size = size;
    return true;
}

static bool append(struct feed *f, struct view text)
{
    if (!make_room(f, text.len))
        return false;
    memcpy(f->text + f->len, text.data, text.len);
    f->len += text.len;
    return true;
}

/* text: why the agent has none, or "". */
static bool append_mark(struct feed *f, const char *mark, const char *text)
{
    char line[CONTROL_LINE_BYTES];
    struct json_line l;
    json_begin(&l, line, sizeof line);
    json_put_text(&l, "web", mark);
    json_put_text(&l, "list", lists[f->list].name);
    if (text[0])
        json_put_text(&l, "text", text);
    if (f->cut)
        json_put_truth(&l, "cut", true);
    return append(f, view_of(line, json_end(&l)));
}

static void ask_list(struct feed *f)
{
    f->len = 0;
    f->cut = false;
    f->cut = !append_mark(f, "begin", "");
    dialogue_ask(f->lists.dialogue, view_of_string(lists[f->list].request));
}

static void take_line(void *owner, struct view line)
{
    struct feed *f = ((struct wire *)owner)->feed;
    f->cut = f->cut || f->len + line.len > FEED_LIST_BYTES || !append(f, line) ||
             !append(f, view_of_string("\n"));
}

/* The more it costs, the rarer it is. */
static void end_round(struct feed *f)
{
    uint64_t now = loop_now(f->loop), pause = SHARE * (now - f->round_us);
    uint64_t due = f->soon ? now + SOON_US : f->round_us + ROUND_US;
    uint64_t least = now + (pause < PAUSE_US ? pause : PAUSE_US);
    f->in_round = f->soon = false;
    timer_set(f->loop, &f->pace, due > least ? due : least);
}

static void tell_here(struct feed *f)
{
    if (f->here)
        return;
    f->here = true;
    tell_state(f);
}

/* A list that is not whole is not told: the one before stands. */
static void take_end(void *owner, bool done, struct view line, const char *text)
{
    struct feed *f = ((struct wire *)owner)->feed;
    (void)line;
    tell_here(f);
    if (append_mark(f, "end", done ? "" : text))
        put_list(f);
    if (++f->list < LIST_COUNT)
        ask_list(f);
    else
        end_round(f);
}

static void begin_round(struct feed *f)
{
    choose_viewers(f);
    f->in_round = true;
    f->round_us = loop_now(f->loop);
    f->list = 0;
    timer_set(f->loop, &f->pace, f->round_us + ANSWER_US);
    ask_list(f);
}

static void on_lists_open(struct connecting *w, int fd, int error)
{
    static const struct dialogue_events events = {
        .take = take_line, .over = take_end, .lost = lost};
    struct wire *lists_wire = container_of(w, struct wire, opening);
    if (answered(lists_wire, fd, error, &events))
        begin_round(lists_wire->feed);
}

/* ---- Events. ---- */

void feed_refresh(struct feed *f)
{
    end_viewers(f);
    if (f->in_round)
        f->soon = true;
    else if (f->lists.dialogue)
        timer_set(f->loop, &f->pace, loop_now(f->loop) + SOON_US);
}

/* The next lists come soon, but not the later the more happens. */
static void take_event(void *owner, struct view line)
{
    struct feed *f = ((struct wire *)owner)->feed;
    uint64_t soon = loop_now(f->loop) + SOON_US;
    put(f, line);
    put(f, view_of_string("\n"));
    f->soon = true;
    if (!f->in_round && f->here && f->pace.deadline_us > soon)
        timer_set(f->loop, &f->pace, soon);
}

static void take_events_end(void *owner, bool done, struct view line, const char *text)
{
    (void)done;
    (void)line;
    lost(owner, text);
}

static void on_events_open(struct connecting *w, int fd, int error)
{
    static const struct dialogue_events events = {
        .take = take_event, .over = take_events_end, .lost = lost};
    struct wire *wire = container_of(w, struct wire, opening);
    if (answered(wire, fd, error, &events))
        dialogue_ask(wire->dialogue, view_of_string("{\"verb\":\"watch\"}\n"));
}

/* ---- Steps. ---- */

static void rest(struct feed *f)
{
    timer_cancel(f->loop, &f->pace);
    hang_up(&f->lists);
    hang_up(&f->events);
    f->in_round = f->here = false;
    snprintf(f->why, sizeof f->why, "the agent is being asked");
}

static void on_pace(struct timer *timer)
{
    struct feed *f = container_of(timer, struct feed, pace);
    if (f->in_round) {
        away(f, "the agent does not answer");
        return;
    }
    end_viewers(f);
    if (f->viewer_count == 0)
        return; /* at rest since the last of them has gone */
    dial(&f->events);
    dial(&f->lists);
    if (f->lists.dialogue)
        begin_round(f);
    else
        timer_set(f->loop, &f->pace, loop_now(f->loop) + ANSWER_US);
}

/* ---- Coming and going. ---- */

static void on_gone(void *viewer)
{
    struct viewer *v = viewer;
    struct feed *f = v->feed;
    drop_viewer(f, v);
    if (f->viewer_count == 0)
        rest(f);
}

void feed_join(struct feed *f, struct http_exchange *x, const char *bearer)
{
    char line[CONTROL_LINE_BYTES];
    struct viewer *v = f->viewer_count < FEED_VIEWERS_MAX ? calloc(1, sizeof *v) : NULL;
    if (!v) {
        exchange_refuse(x, 503, "too many pages look on: close one");
        return;
    }
    v->feed = f;
    v->x = x;
    snprintf(v->bearer, sizeof v->bearer, "%s", bearer);
    list_append(&f->viewers, &v->place);
    f->viewer_count++;
    exchange_stream(x, "application/x-ndjson", on_gone, v);
    exchange_put(x, view_of(line, state_line(f, line)));
    if (!f->in_round)
        timer_set(f->loop, &f->pace, 1);
    else
        f->soon = true;
}

struct feed *feed_new(struct loop *loop, struct opener *opener, struct passes *passes)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->loop = loop;
    f->opener = opener;
    f->passes = passes;
    f->pace.on_fire = on_pace;
    f->lists = (struct wire){.feed = f, .opening = {.done = on_lists_open}};
    f->events = (struct wire){.feed = f, .opening = {.done = on_events_open}};
    list_init(&f->viewers);
    rest(f);
    return f;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    rest(f);
    free(f->text);
    free(f);
}
