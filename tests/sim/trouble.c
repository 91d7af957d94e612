/* The kinds of trouble, and when each comes. */
#include "base/clock.h"
#include "world.h"

/* An end learns of it at once, after what was on its way, some time later, or never. */
static void tell_by_chance(struct end *e)
{
    struct timeline *t = e->path->t;
    switch (chance(t, 6)) {
    case 0:
    case 1:
        end_tell(e, t->now_us + e->in->settings.delay_us, "reset");
        break;
    case 2:
    case 3:
        end_tell(e, pipe_flushed_us(e->in), "closed");
        break;
    case 4:
        end_tell(e, t->now_us + chance_scaled(t, CLOCK_US_PER_MS, 20 * CLOCK_US_PER_S),
                 "timed out");
        break;
    default:
        break;
    }
}

/* A count of bytes between those that have arrived and those that were written. */
static uint64_t between(struct timeline *t, const struct pipe *p)
{
    return p->written > p->arrived ? chance_between(t, p->arrived, p->written) : p->arrived;
}

/* One end learns of it at once; what it has sent arrives while the next circuit begins. */
static void overtake(struct path *p)
{
    struct timeline *t = p->t;
    int first = chance(t, 4) ? CLIENT : AGENT;
    uint64_t delay = p->pipe[first].settings.delay_us;
    uint64_t most = chance(t, 2) ? 8 * delay : 2 * CLOCK_US_PER_S;
    pipe_cut(&p->pipe[first], p->pipe[first].written);
    pipe_cut(&p->pipe[!first], p->pipe[!first].arrived);
    pipe_stall(&p->pipe[first], t->now_us + chance(t, most));
    end_tell(&p->end[first], t->now_us, "reset");
    end_tell(&p->end[!first], pipe_flushed_us(&p->pipe[first]) + 8 * delay, "timed out");
}

void path_break(struct world *w, struct path *p)
{
    struct timeline *t = &w->timeline;
    if (p->broken || !path_open(p))
        return;
    p->broken = true;
    note(t, "world", "breaks circuit", p->serial, 0);
    world_fault(w, t->now_us);
    if (chance(t, 3) == 0) {
        overtake(p);
        return;
    }
    for (int i = 0; i < 2; i++)
        pipe_cut(&p->pipe[i], between(t, &p->pipe[i]));
    for (int i = 0; i < 2; i++)
        if (p->end[i].open)
            tell_by_chance(&p->end[i]);
}

/* Now, or after some bytes more: then when it is in use. */
static void break_soon(struct world *w, struct path *p)
{
    struct pipe *pipe = &p->pipe[chance(&w->timeline, 2)];
    if (chance(&w->timeline, 3) == 0)
        path_break(w, p);
    else if (pipe->cut_at == UINT64_MAX)
        pipe->cut_at = pipe->written + chance_scaled(&w->timeline, 1, 64U << 10);
}

static struct path *any_path(struct world *w)
{
    struct path *open[16];
    unsigned n = 0;
    list_each (link, &w->paths) {
        struct path *p = container_of(link, struct path, link);
        if (path_open(p) && n < 16)
            open[n++] = p;
    }
    return n ? open[chance(&w->timeline, n)] : NULL;
}

static void stall(struct world *w)
{
    struct timeline *t = &w->timeline;
    struct path *p = any_path(w);
    uint64_t until = t->now_us + chance_scaled(t, 10 * CLOCK_US_PER_MS, 40 * CLOCK_US_PER_S);
    unsigned which = (unsigned)chance(t, 3);
    if (!p)
        return;
    note(t, "world", "stalls circuit", p->serial, until - t->now_us);
    for (unsigned i = 0; i < 2; i++)
        if (which != i)
            pipe_stall(&p->pipe[i], until);
    world_fault(w, until);
}

static void sleep_a_while(struct world *w, struct party *p)
{
    struct timeline *t = &w->timeline;
    uint64_t nap = chance_scaled(t, 10 * CLOCK_US_PER_MS, 100 * CLOCK_US_PER_S);
    if (p->asleep_until_us > t->now_us)
        return;
    note(t, p->name, "sleeps", nap, 0);
    p->asleep_until_us = t->now_us + nap;
    if (chance(t, 3) == 0) /* a suspended laptop's clock goes on, a paused machine's may stand */
        p->clock_behind_us += nap;
    world_fault(w, p->asleep_until_us);
}

static void restart_relay(struct world *w)
{
    struct timeline *t = &w->timeline;
    uint64_t down = chance_scaled(t, CLOCK_US_PER_MS, 20 * CLOCK_US_PER_S);
    note(t, "relay", "restarts", down, 0);
    relay_restart(w, down);
    world_fault(w, w->relay.down_until_us);
}

static void crash_agent(struct world *w)
{
    struct timeline *t = &w->timeline;
    if (chance(t, 2))
        list_each (link, &w->paths)
            path_break(w, container_of(link, struct path, link));
    w->agent.down_until_us = t->now_us + chance_scaled(t, CLOCK_US_PER_MS, 20 * CLOCK_US_PER_S);
    agent_crash(&w->agent);
    world_fault(w, w->agent.down_until_us);
}

static void make_trouble(struct world *w, enum trouble what)
{
    struct path *p = any_path(w);
    switch (what) {
    case TROUBLE_BREAK:
        if (p)
            break_soon(w, p);
        break;
    case TROUBLE_STALL:
        stall(w);
        break;
    case TROUBLE_CLIENT_SLEEPS:
        sleep_a_while(w, &w->client.party);
        break;
    case TROUBLE_AGENT_SLEEPS:
        sleep_a_while(w, &w->agent.party);
        break;
    case TROUBLE_RELAY_RESTARTS:
        restart_relay(w);
        break;
    case TROUBLE_REPLAY:
        relay_replay(w);
        break;
    case TROUBLE_CLOSE:
        if (chance(&w->timeline, 2))
            client_close(&w->client, "the user is finished");
        else
            agent_close(&w->agent);
        break;
    case TROUBLE_AGENT_CRASHES:
    case TROUBLES:
        crash_agent(w);
        break;
    }
    world_fault(w, w->timeline.now_us);
}

static enum trouble choose(struct world *w)
{
    unsigned all = 0, at;
    int i = 0;
    for (int k = 0; k < TROUBLES; k++)
        all += w->weight[k];
    at = (unsigned)chance(&w->timeline, all);
    for (; at >= w->weight[i]; i++)
        at -= w->weight[i];
    return (enum trouble)i;
}

static void set_next(struct world *w)
{
    event_set(&w->timeline, &w->trouble,
              w->timeline.now_us +
                  chance_scaled(&w->timeline, 10 * CLOCK_US_PER_MS, w->trouble_us));
}

static void on_trouble(struct event *e)
{
    struct world *w = container_of(e, struct world, trouble);
    make_trouble(w, choose(w));
    set_next(w);
}

static void on_calm(struct event *e)
{
    struct world *w = container_of(e, struct world, calm_down);
    note(&w->timeline, "world", "calms down", 0, 0);
    w->calm = true;
    event_cancel(&w->timeline, &w->trouble);
    world_fault(w, w->timeline.now_us);
    for (unsigned i = 0; i < w->talk_count; i++)
        talk_hurry(&w->talks[i]);
}

void trouble_begin(struct world *w)
{
    static const unsigned usual[TROUBLES] = {60, 30, 8, 8, 6, 10, 1, 1};
    struct timeline *t = &w->timeline;
    for (int i = 0; i < TROUBLES; i++) /* each world is spared some kinds */
        w->weight[i] = chance(t, 2) ? usual[i] : 0;
    w->weight[TROUBLE_BREAK] += 10;
    if (w->heavy)
        for (int i = 0; i < TROUBLES; i++)
            w->weight[i] = i == TROUBLE_BREAK || i == TROUBLE_STALL;
    w->trouble_us = chance_scaled(t, CLOCK_US_PER_S / 2, 8 * CLOCK_US_PER_S);
    w->lossy = chance(t, 2) ? 0 : (unsigned)chance_between(t, 2, 10);
    w->cut_bytes = chance(t, 2) ? 0 : (unsigned)chance_scaled(t, 64, 64U << 10);
    if (w->heavy)
        w->cut_bytes = (unsigned)chance_scaled(t, 16U << 10, 256U << 10);
    w->trouble = (struct event){.run = on_trouble};
    w->calm_down = (struct event){.run = on_calm};
    event_set(t, &w->calm_down,
              t->now_us + chance_scaled(t, 4 * CLOCK_US_PER_S, 60 * CLOCK_US_PER_S));
    set_next(w);
}
