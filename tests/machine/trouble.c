/* The troubles of a world. */
#include <signal.h>

#include "base/clock.h"
#include "site.h"

#define PAUSE_MOST_US (20 * CLOCK_US_PER_S)
#define DOWN_MOST_US (20 * CLOCK_US_PER_S)
#define STOPPED_MOST_US (60 * CLOCK_US_PER_S)
#define CUT_MORE_BYTES 100000
#define CLIENT_DEATHS_MOST 2 /* each leaves a session at the agent: no user may have over eight */

static uint64_t a_while(uint64_t most_us)
{
    return chance_scaled(&timeline, 1000, most_us);
}

static void cut_one(struct site *s)
{
    unsigned count = tcp_count();
    (void)s;
    if (count == 0)
        return;
    struct tcp *t = tcp_pick((unsigned)chance(&timeline, count));
    note(&timeline, "net", "cuts a connection to port", t->remote.port, t->local.port);
    tcp_cut(t, a_while(PAUSE_MOST_US), chance(&timeline, CUT_MORE_BYTES), chance(&timeline, 3) > 0);
    site_totals.cuts++;
}

static void stall_one(struct site *s)
{
    unsigned count = tcp_count();
    (void)s;
    if (count == 0)
        return;
    struct tcp *t = tcp_pick((unsigned)chance(&timeline, count));
    uint64_t for_us = a_while(PAUSE_MOST_US);
    note(&timeline, "net", "stalls a connection to port", t->remote.port, for_us);
    tcp_stall(t, timeline.now_us + for_us);
}

static struct program *any_program(struct site *s)
{
    uint64_t i = chance(&timeline, s->relay_count + s->user_count + 1);
    if (i < s->relay_count)
        return &s->relay[i];
    i -= s->relay_count;
    return i < s->user_count ? &s->user[i].program : &s->agent;
}

static void take_network(struct site *s)
{
    struct program *p = any_program(s);
    uint64_t for_us = a_while(DOWN_MOST_US);
    note(&timeline, p->name, "has no network for", for_us, 0);
    host_outage(p->host, timeline.now_us + for_us);
}

static void stop_one(struct site *s)
{
    struct program *p = any_program(s);
    uint64_t for_us = a_while(STOPPED_MOST_US);
    if (!p->process)
        return;
    note(&timeline, p->name, "is stopped for", for_us, 0);
    process_stop(p->process, timeline.now_us + for_us);
}

static void kill_relay(struct site *s)
{
    program_kill(&s->relay[chance(&timeline, s->relay_count)], a_while(DOWN_MOST_US));
}

static void end_relay(struct site *s)
{
    program_tell_to_end(&s->relay[chance(&timeline, s->relay_count)]);
}

static void end_agent(struct site *s)
{
    program_tell_to_end(&s->agent);
}

static void reload_one(struct site *s)
{
    struct program *p =
        chance(&timeline, 2) ? &s->relay[chance(&timeline, s->relay_count)] : &s->agent;
    if (!p->process || !p->process->signals)
        return;
    note(&timeline, p->name, "is told to load its configuration again", 0, 0);
    process_signal(p->process, SIGHUP);
}

static void change_policy(struct site *s)
{
    policy_change(s, (unsigned)chance(&timeline, s->relay_count));
}

static void change_agent_policy(struct site *s)
{
    policy_change_agent(s);
}

static void kill_agent(struct site *s)
{
    program_kill(&s->agent, a_while(DOWN_MOST_US));
}

static void lose_client(struct site *s)
{
    struct program *p = &s->user[chance(&timeline, s->user_count)].program;
    if (p->deaths++ >= CLIENT_DEATHS_MOST)
        return;
    if (chance(&timeline, 2))
        program_kill(p, a_while(DOWN_MOST_US));
    else
        program_tell_to_end(p);
}

static void power_off_relay(struct site *s)
{
    struct program *p = &s->relay[chance(&timeline, s->relay_count)];
    uint64_t down_us = a_while(DOWN_MOST_US);
    if (!p->process)
        return;
    note(&timeline, p->name, "has no power for", down_us, 0);
    process_vanish(p->process);
    host_off(p->host);
    program_kill(p, down_us);
}

struct kind {
    void (*happen)(struct site *s);
    unsigned weight;
};

static const struct kind kinds[] = {
    {cut_one, 10},
    {stall_one, 6},
    {take_network, 4},
    {stop_one, 3},
    {kill_relay, 4},
    {end_relay, 2},
    {reload_one, 1},
    {kill_agent, 1},
    {end_agent, 1},
    {lose_client, 2},
    {power_off_relay, 2},
    {change_policy, 4},
    {change_agent_policy, 4},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static void happen(struct site *s)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    unsigned at = (unsigned)chance(&timeline, sum), i = 0;
    while (at >= kinds[i].weight)
        at -= kinds[i++].weight;
    kinds[i].happen(s);
}

static void on_trouble(struct event *e)
{
    struct site *s = container_of(e, struct site, trouble);
    happen(s);
    uint64_t next = timeline.now_us + a_while(PAUSE_MOST_US);
    if (next < s->trouble_until_us)
        event_set(&timeline, e, next);
}

void trouble_begin(struct site *s)
{
    s->trouble.run = on_trouble;
    event_set(&timeline, &s->trouble, timeline.now_us + a_while(PAUSE_MOST_US));
}
