/* The parties of a simulated world, and what must hold of them. The trouble is trouble.c's. */
#include "world.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "session_walk.h"

#define PROGRESS_US (60 * CLOCK_US_PER_S)
#define STEPS_MAX 2000000

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->failed)
        return;
    w->failed = true;
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
}

void world_expect(struct world *w, bool as_it_should, const char *what)
{
    if (!as_it_should)
        world_fail(w, "%s", what);
}

void world_progress(struct world *w)
{
    w->progress_us = w->timeline.now_us;
}

void world_fault(struct world *w, uint64_t until_us)
{
    if (until_us > w->fault_us)
        w->fault_us = until_us;
}

bool world_had_time(const struct world *w)
{
    return w->timeline.now_us > w->fault_us + PROGRESS_US;
}

void world_check_end(struct world *w, const struct end *e)
{
    const struct session *s = e->circuit.session;
    int code = e->circuit.failed.code;
    if (code == CODE_PROTOCOL || code == CODE_INTERNAL ||
        (code == CODE_TIMEOUT && w->calm && !e->path->broken && world_had_time(w)))
        world_fail(w, "%s, circuit: %s", e->party->name, e->circuit.failed.text);
    if (code == CODE_REPLACED && s && s->moved_number <= e->circuit.number)
        world_fail(w, "%s: a circuit is replaced by none", e->party->name);
    if (s && s->error.code && s->error.code != CODE_DONE && s->error.code != CODE_REVOKED &&
        !(w->asks && s->error.code == CODE_DENIED))
        world_fail(w, "%s, session: %s", e->party->name, s->error.text);
}

static struct path *new_path(struct world *w)
{
    struct path *p;
    list_each (link, &w->paths) {
        p = container_of(link, struct path, link);
        if (!path_open(p) && !p->wanted)
            return p;
    }
    if (!list_empty(&w->spare_paths))
        return container_of(w->spare_paths.next, struct path, link);
    p = calloc(1, sizeof *p);
    if (!p)
        abort();
    list_init(&p->link);
    return p;
}

static void on_cut(struct path *p)
{
    path_break(container_of(p->t, struct world, timeline), p);
}

struct path *world_path(struct world *w, uint32_t number)
{
    struct timeline *t = &w->timeline;
    struct pipe_settings settings[2] = {w->pipe, w->pipe};
    struct path *p = new_path(w);
    settings[chance(t, 2)].rate = chance_scaled(t, w->pipe.rate / 4, w->pipe.rate);
    path_begin(p, t, settings);
    p->serial = ++w->path_count;
    p->number = number;
    p->ragged = w->ragged;
    p->on_cut = on_cut;
    if (w->cut_bytes && !w->calm && chance(t, 2))
        p->pipe[chance(t, 2)].cut_at = chance_between(t, 1, w->cut_bytes);
    list_move(&w->paths, &p->link);
    return p;
}

/* ---- What holds after each event. ---- */

static void check_session(struct world *w, const struct session *s, const char *who)
{
    const char *broken = session_broken(s);
    if (broken)
        world_fail(w, "%s: invariant: %s", who, broken);
}

static void check_pair(struct world *w, const struct session *c, const struct session *a)
{
    world_expect(w, c->receive_position <= a->sent_max && a->receive_position <= c->sent_max,
                 "received more than was sent");
    world_expect(w, c->ring.tail <= a->receive_position && a->ring.tail <= c->receive_position,
                 "acknowledged more than was received");
}

/* A client that is awake has known of a stall for a second, and does nothing about it. */
static void check_stall(struct world *w)
{
    const struct client *c = &w->client;
    uint64_t now = w->timeline.now_us;
    if (c->party.asleep_until_us > now || !c->has_session || c->state != CLIENT_CONNECTED ||
        c->attempt || c->retry.place || !session_stalled(c->session, party_now(&c->party)))
        w->stalled_us = 0;
    else if (!w->stalled_us)
        w->stalled_us = now;
    world_expect(w, !w->stalled_us || now <= w->stalled_us + CLOCK_US_PER_S,
                 "a stall is not noticed");
}

static void check_all(struct world *w)
{
    const struct client *c = &w->client;
    if (c->has_session)
        check_session(w, c->session, "client");
    if (c->has_session && session_waits(c->session) && c->session->state == SESSION_ACTIVE)
        world_expect(w, c->session->ring.head == 0, "the client sends something while it waits");
    check_stall(w);
    list_each (link, &w->agent.services) {
        const struct service *v = container_of(link, struct service, link);
        check_session(w, v->session, "agent");
        if (c->has_session && v->started && v->talk == c->talk)
            check_pair(w, c->session, v->session);
    }
}

static void check_progress(struct world *w)
{
    uint64_t last = w->progress_us > w->fault_us ? w->progress_us : w->fault_us;
    if (w->calm && w->client.has_session && w->timeline.now_us > last + PROGRESS_US)
        world_fail(w, "no progress for 60 s of a working path");
    if (w->timeline.steps > STEPS_MAX)
        world_fail(w, "it never ends");
}

/* ---- Ends in portions. ---- */

static void on_next(struct event *e)
{
    struct portions *p = container_of(e, struct portions, next);
    if (!session_end_some(p->session, (unsigned)chance_between(p->t, 1, 3)))
        event_set(p->t, e, p->t->now_us + chance_scaled(p->t, 1, 500000));
    else if (p->all)
        p->all(p);
}

bool portions_begin(struct portions *p, struct timeline *t, struct session *s,
                    void (*all)(struct portions *p))
{
    bool at_once = !s->settings.ends_in_portions;
    portions_stop(p);
    *p = (struct portions){.next.run = on_next, .t = t, .session = s, .all = all};
    if (session_end_some(s, at_once ? UINT_MAX : (unsigned)chance(t, 3)))
        return true;
    event_set(t, &p->next, t->now_us + chance(t, 1000));
    return false;
}

void portions_stop(struct portions *p)
{
    if (p->t)
        event_cancel(p->t, &p->next);
}

/* ---- A run. ---- */

static void settings_by_chance(struct world *w)
{
    struct timeline *t = &w->timeline;
    for (int i = 0; i < 2; i++)
        w->settings[i] = (struct session_settings){
            .client = i == CLIENT,
            .receive_limit = (uint32_t)chance_scaled(t, 64U << 10, 1U << 20),
            .ring_bytes = 128U << 10,
            .ring_doublings = (unsigned)chance(t, 2),
            .streams = (uint16_t)chance_between(t, 1, i == CLIENT ? AGENT_STREAMS : TALK_STREAMS),
            .own_streams =
                (uint16_t)chance_between(t, 1, i == CLIENT ? TALK_STREAMS : AGENT_STREAMS),
            .early_credit = (uint32_t)chance_scaled(t, 64, 8192),
            .keepalive_us = chance_between(t, 5, 15) * CLOCK_US_PER_S,
            .resume_window_s = (uint32_t)chance_scaled(t, 90, 600),
            .ends_in_portions = chance(t, 2),
        };
    w->pipe = (struct pipe_settings){
        .rate = chance_scaled(t, 8000, 4000000),
        .delay_us = chance_scaled(t, 50, 300000),
        .unsent_bytes = (size_t)chance_scaled(t, 4096, 128U << 10),
        .capacity_bytes = (size_t)chance_scaled(t, 8192, 128U << 10),
    };
    w->ragged = chance(t, 2);
    w->asks = chance(t, 3) == 0;
    w->heavy = chance(t, 16) == 0;
    if (!w->heavy)
        return;
    w->pipe.delay_us = chance_scaled(t, 20000, 300000);
    w->pipe.rate = chance_scaled(t, 200000, 4000000);
    w->settings[CLIENT].receive_limit = w->settings[AGENT].receive_limit = 4U << 20;
}

static void begin(struct world *w, uint64_t seed, bool verbose)
{
    struct timeline *t = &w->timeline;
    timeline_start(t, seed, CLOCK_US_PER_S + seed % 1000);
    t->verbose = verbose;
    w->seed = seed;
    w->failed = w->calm = false;
    w->talk_count = w->path_count = 0;
    w->fault_us = w->progress_us = t->now_us;
    w->stalled_us = 0;
    if (!w->paths.next) {
        list_init(&w->paths);
        list_init(&w->spare_paths);
    }
    settings_by_chance(w);
    w->talks_planned = chance(t, 4) ? 1 : (unsigned)chance_between(t, 2, 4);
    relay_begin(&w->relay);
    agent_begin(&w->agent, w);
    w->client.attempts = 0;
    w->client.party = (struct party){0};
    trouble_begin(w);
    client_begin(&w->client, w);
}

static bool goes_on(const struct world *w)
{
    return !w->failed && (w->client.has_session || !list_empty(&w->agent.services) ||
                          !list_empty(&w->agent.over));
}

static void close_what_is_finished(struct world *w)
{
    struct client *c = &w->client;
    if (c->has_session && c->state == CLIENT_CONNECTED && talk_finished(c->talk))
        client_close(c, "all is said");
}

static void end(struct world *w)
{
    client_end(&w->client);
    agent_crash(&w->agent);
    relay_end(&w->relay);
    list_each (link, &w->paths) {
        struct path *p = container_of(link, struct path, link);
        for (int i = 0; i < 2; i++) {
            end_close(&p->end[i]);
            pipe_close(&p->pipe[i]);
        }
        list_move(&w->spare_paths, link);
    }
}

bool world_run(struct world *w, uint64_t seed, bool verbose)
{
    begin(w, seed, verbose);
    while (goes_on(w)) {
        if (!timeline_step(&w->timeline)) {
            world_fail(w, "nothing happens any more");
            break;
        }
        check_all(w);
        check_progress(w);
        close_what_is_finished(w);
    }
    w->totals.steps += w->timeline.steps;
    w->totals.simulated_us += w->timeline.now_us;
    end(w);
    return !w->failed;
}
