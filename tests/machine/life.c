/* The events of a world, one after the other, and what must hold then. */
#include "base/clock.h"
#include "names.h"
#include "site.h"
#include "wire/limits.h"

#define BEGIN_US (1000 * CLOCK_US_PER_S) /* the machines are up for a while */
#define TROUBLE_MOST_US (120 * CLOCK_US_PER_S)
#define CALM_LIMIT_US (60 * CLOCK_US_PER_S)
#define ORPHANS_LIMIT_US ((RESUME_WINDOW_DEFAULT_S + 60) * CLOCK_US_PER_S)
#define START_LIMIT_US (30 * CLOCK_US_PER_S)
#define SETTLE_US (150 * CLOCK_US_PER_S)    /* by then dead peers are found out */
#define QUIET_US (120 * CLOCK_US_PER_S)     /* longer than a path may be silent */
#define DAY_US (25 * 3600 * CLOCK_US_PER_S) /* longer than a hop lives */
#define DAY_EVERY 50
#define FIND_BACK_US (10 * CLOCK_US_PER_S) /* on a path that forgets what is at work */
#define FIND_BACK_TRIPS 40                 /* one way: handshakes, and windows that grow again */
#define END_LIMIT_US (10 * CLOCK_US_PER_S)
#define STEPS_MOST 20000000

/* Runs on until something holds; false: it did not within the time, or something has failed. */
static bool run_until(struct site *s, bool (*holds)(const struct site *s), uint64_t limit_us,
                      const char *what)
{
    uint64_t until_us = timeline.now_us + limit_us;
    while (!s->failed && !holds(s)) {
        if (!timeline_step(&timeline) || timeline.now_us > until_us)
            site_fail(s, "not within %.0f s: %s", (double)limit_us / CLOCK_US_PER_S, what);
        if (timeline.steps > STEPS_MOST)
            site_fail(s, "it goes on and on: %s", what);
        site_each(s, program_look_after);
    }
    return !s->failed;
}

static bool users_connected(const struct site *s)
{
    for (unsigned i = 0; i < s->user_count; i++)
        if (!approvals_may_talk(&s->user[i]))
            return false;
    return true;
}

static bool trouble_over(const struct site *s)
{
    return timeline.now_us >= s->trouble_until_us;
}

/* Nobody but the agent knows what the service is to hear of it, and that waits for the client. */
static bool is_orphan(const struct talk *k)
{
    const struct user *u = k->owner;
    return k->app.state > APP_TALKS && u->program.died_us > k->began_us;
}

static bool all_talked(const struct site *s)
{
    list_each (link, &s->talks.all) {
        const struct talk *k = container_of(link, struct talk, all);
        if (!talk_over(k) && !is_orphan(k))
            return false;
    }
    return users_connected(s);
}

static bool all_over(const struct site *s)
{
    return talks_open(&s->talks) == 0;
}

/* Each process has the sockets that it needs, and no other: what listens; a session's circuit at
 * either end and both of its hops at a relay; an agent's control hop and parked hop at each, and
 * its control socket. */
static bool settled(const struct site *s)
{
    unsigned relays = 0, at_relays = 0, circuits = 0, hops;
    for (unsigned i = 0; i < s->relay_count; i++) {
        const struct process *p = s->relay[i].process;
        relays += p != NULL;
        at_relays += p ? tcp_sockets(p) : 0;
    }
    hops = s->dialled ? 0 : 2 * relays;
    for (unsigned i = 0; i < s->user_count; i++) {
        const struct program *p = &s->user[i].program;
        if (p->process && tcp_sockets(p->process) != 2)
            return false;
        circuits += p->process != NULL;
    }
    return at_relays == relays + hops + 2 * circuits && s->agent.process &&
           tcp_sockets(s->agent.process) == s->dialled + s->asks + hops + circuits && !s->questions;
}

static bool passed(const struct site *s)
{
    return timeline.now_us >= s->pass_until_us;
}

static bool let_pass(struct site *s, uint64_t for_us)
{
    s->pass_until_us = timeline.now_us + for_us;
    return run_until(s, passed, CLOCK_NEVER / 2, "time passes");
}

/* The session of a client that has died keeps its targets for the resume window. */
static uint64_t settle_limit_us(const struct site *s)
{
    for (unsigned i = 0; i < s->user_count; i++)
        if (s->user[i].program.died_us)
            return ORPHANS_LIMIT_US;
    return 0;
}

/* True once everything dead was found out and is gone; what lives is left alone. */
static bool rest(struct site *s)
{
    static const char what[] = "each process has the sockets that it needs, and no other";
    uint64_t resumes, sessions;
    if (!let_pass(s, SETTLE_US) || !run_until(s, settled, settle_limit_us(s), what))
        return false;
    resumes = site_totals.resumes;
    sessions = site_totals.sessions;
    if (!let_pass(s, chance(&timeline, DAY_EVERY) ? QUIET_US : DAY_US) ||
        !run_until(s, settled, 0, what))
        return false;
    if (resumes != site_totals.resumes || sessions != site_totals.sessions)
        site_fail(s, "a circuit that nobody troubled was lost");
    return !s->failed;
}

/* By then all that was begun has ended: the time to find back, and what the link takes for what is
 * left, in any order and some of it again. */
static uint64_t calm_limit_us(const struct site *s)
{
    return CALM_LIMIT_US + 3 * talks_left(&s->talks) * CLOCK_US_PER_S / s->link.rate;
}

/* The service has heard of all that has begun since the site was at rest. */
static bool all_heard(const struct site *s)
{
    list_each (link, &s->talks.all) {
        const struct talk *k = container_of(link, struct talk, all);
        if (k->began_us >= s->pass_until_us && k->service.state == APP_NOT_YET)
            return false;
    }
    return true;
}

static void lose(struct program *p)
{
    p->wanted = false;
    program_kill(p, 0);
    event_cancel(&timeline, &p->start);
}

/* Nobody is told. */
static void forget_connections(void)
{
    note(&timeline, "net", "forgets all connections", 0, 0);
    while (tcp_count() > 0)
        tcp_cut(tcp_pick(0), 0, 0, false);
}

/* All sessions carry something when every path forgets its connections: each side has to find out
 * by itself, and soon. Or one of two relays goes and does not come back. */
static bool find_back(struct site *s)
{
    for (unsigned i = 0; i < s->user_count; i++)
        talk_start(&s->talks, s->user[i].program.host, s->user[i].port, &s->user[i]);
    if (!run_until(s, all_heard, calm_limit_us(s), "the service hears of new connections"))
        return false;
    if (s->relay_count > 1 && chance(&timeline, 2))
        lose(&s->relay[chance(&timeline, s->relay_count)]);
    else
        forget_connections();
    return run_until(s, all_over,
                     calm_limit_us(s) - CALM_LIMIT_US + FIND_BACK_US +
                         FIND_BACK_TRIPS * s->link.delay_us,
                     "sessions find back from a path that is silent, or to the other relay");
}

/* The time within which all pass something on over a whole circuit. */
static uint64_t prompt_us(const struct site *s)
{
    return 2 * CLOCK_US_PER_S + 12 * s->link.delay_us;
}

/* A client dies: relay and agent hear of it. */
static bool pass_end_on(struct site *s)
{
    if (!let_pass(s, SETTLE_US) || !run_until(s, settled, prompt_us(s), "sockets are closed"))
        return false;
    lose(&s->user[0].program);
    return run_until(s, settled, prompt_us(s), "the end of a client is passed on");
}

static bool users_ended(const struct site *s)
{
    for (unsigned i = 0; i < s->user_count; i++)
        if (s->user[i].program.process)
            return false;
    return true;
}

static bool agent_ended(const struct site *s)
{
    return !s->agent.process;
}

static bool all_ended(const struct site *s)
{
    for (unsigned i = 0; i < s->relay_count; i++)
        if (s->relay[i].process)
            return false;
    return users_ended(s) && agent_ended(s);
}

static void start_one(struct site *s, struct program *p)
{
    (void)s;
    if (!program_is_user(p))
        program_start(p);
}

static bool started(const struct site *s)
{
    return timeline.now_us >= BEGIN_US + 2 * CLOCK_US_PER_S + 8 * s->link.delay_us;
}

static void calm_one(struct site *s, struct program *p)
{
    (void)s;
    p->host->outage_until_us = 0;
    if (p->process)
        process_stop(p->process, 0);
    if (p->start.place && p->wanted)
        event_set(&timeline, &p->start, timeline.now_us);
}

/* Trouble is over: everything runs, all connections that are new work. */
static void calm(struct site *s)
{
    s->calm = true;
    event_cancel(&timeline, &s->trouble);
    site_each(s, calm_one);
    policy_restore(s);
    talks_hurry(&s->talks);
    note(&timeline, "world", "is calm", talks_open(&s->talks), 0);
}

static void tell_to_end(struct site *s, struct program *p)
{
    (void)s;
    p->wanted = false;
    event_cancel(&timeline, &p->start);
    program_tell_to_end(p);
}

/* Nobody hears the others' last words. */
static bool end_all(struct site *s)
{
    site_each(s, tell_to_end);
    return run_until(s, all_ended, END_LIMIT_US, "all programs end when they are told to");
}

/* Each has all that it needs to end at once. */
static bool end_one_by_one(struct site *s)
{
    for (unsigned i = 0; i < s->user_count; i++)
        tell_to_end(s, &s->user[i].program);
    if (!run_until(s, users_ended, prompt_us(s), "clients end when they are told to"))
        return false;
    tell_to_end(s, &s->agent);
    if (!run_until(s, agent_ended, prompt_us(s), "the agent ends when it is told to"))
        return false;
    site_each(s, tell_to_end);
    return run_until(s, all_ended, prompt_us(s), "relays end when they are told to");
}

static bool live(struct site *s)
{
    site_each(s, start_one);
    if (!run_until(s, started, START_LIMIT_US, "relay and agent begin"))
        return false;
    for (unsigned i = 0; i < s->user_count; i++) {
        program_start(&s->user[i].program);
        event_set(&timeline, &s->user[i].next_talk, timeline.now_us + 1);
    }
    if (!run_until(s, users_connected, START_LIMIT_US, "the clients are connected"))
        return false;
    s->trouble_until_us =
        timeline.now_us + chance_scaled(&timeline, CLOCK_US_PER_S, TROUBLE_MOST_US);
    names_lose_until(s->trouble_until_us);
    trouble_begin(s);
    if (!run_until(s, trouble_over, CLOCK_NEVER / 2, "trouble"))
        return false;
    calm(s);
    if (!run_until(s, all_talked, calm_limit_us(s), "all applications come to their end") ||
        !run_until(s, all_over, ORPHANS_LIMIT_US, "the service hears of clients that died") ||
        !rest(s) || !find_back(s) || !pass_end_on(s))
        return false;
    s->over = true;
    return chance(&timeline, 2) ? end_all(s) : end_one_by_one(s);
}

bool site_run(struct site *s, uint64_t seed, bool verbose, struct totals *totals)
{
    timeline_start(&timeline, seed, BEGIN_US);
    timeline.verbose = verbose;
    site_make(s);
    live(s);
    site_remove_files();
    site_totals.done = s->talks.done;
    site_totals.reset = s->talks.reset;
    site_totals.bytes = s->talks.bytes;
    site_totals.simulated_us = timeline.now_us - BEGIN_US;
    site_totals.steps = timeline.steps;
    *totals = site_totals;
    return !s->failed;
}
