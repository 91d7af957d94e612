/* Makes a world, starts its programs, and reads their logs. */
#include "site.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/error.h"
#include "calls.h"
#include "client/client.h"
#include "names.h"
#include "relay/relay.h"

#define SERVICE_PORT 22U
#define FIRST_PORT 8000
#define TALK_EVERY_MOST_US (10 * CLOCK_US_PER_S)
#define CALM_RESUMES_MOST 4
#define ACCEPTED_MOST 256 /* remembered */

struct totals site_totals;

static struct site *the_site;

void site_fail(struct site *s, const char *format, ...)
{
    va_list arguments;
    if (s->failed)
        return;
    s->failed = true;
    va_start(arguments, format);
    vsnprintf(s->why, sizeof s->why, format, arguments);
    va_end(arguments);
}

/* ---- Programs. ---- */

bool program_is_user(const struct program *p)
{
    return p->main == client_main;
}

static struct user *user_of(struct program *p)
{
    return container_of(p, struct user, program);
}

/* Circuits that the agent has accepted last, by the name that agent and client log. */
static struct {
    char name[9];
    uint64_t at_us;
} accepted[ACCEPTED_MOST];
static unsigned accepted_count;

static void on_agent_line(const struct process *process, const char *line)
{
    char name[9];
    (void)process;
    sessions_agent_line(line);
    if (strstr(line, "configuration reloaded"))
        policy_agent_has_read(the_site);
    if (strstr(line, ": ended: the user"))
        site_totals.refused++;
    if (sscanf(line, ": circuit %8[0-9a-f]: accepted", name) != 1 || !strstr(line, "accepted"))
        return;
    unsigned i = accepted_count++ % ACCEPTED_MOST;
    memcpy(accepted[i].name, name, sizeof name);
    accepted[i].at_us = timeline.now_us;
}

/* When the agent has accepted the circuit that the client's line names. */
static uint64_t accepted_us(const char *line)
{
    const char *name = strstr(line, "circuit ");
    for (unsigned i = 0; name && i < ACCEPTED_MOST; i++)
        if (strcmp(accepted[i].name, name + strlen("circuit ")) == 0)
            return accepted[i].at_us;
    site_fail(the_site, "no agent has accepted: %s", line);
    return 0;
}

/* When the agent has lost the user's session last: it has died, or was told so by its file. */
static uint64_t agent_lost_us(const struct user *u)
{
    uint64_t refused_us = policy_refused_us(u);
    return refused_us > the_site->agent.died_us ? refused_us : the_site->agent.died_us;
}

/* Takes a client's line about its session. */
static void on_client_line(const struct process *process, const char *line)
{
    for (unsigned i = 0; i < the_site->user_count; i++) {
        struct user *u = &the_site->user[i];
        if (u->program.process != process)
            continue;
        approvals_client_line(u, line);
        if (strstr(line, "connected to agent")) {
            if (u->sessions++ && agent_lost_us(u) < u->session_since_us)
                site_fail(the_site, "%s begins another session for no reason", u->program.name);
            u->session_since_us = accepted_us(line);
            site_totals.sessions++;
        } else if (strstr(line, "resumed after")) {
            site_totals.resumes++;
            if (the_site->calm && ++u->calm_resumes > CALM_RESUMES_MOST)
                site_fail(the_site, "%s resumes again and again", u->program.name);
        }
    }
}

ssize_t log_take(struct process *p, const char *data, size_t len)
{
    char line[512];
    const char *text =
        strstr(data, ": "); /* behind time and role, which is the last one's that began */
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    if (timeline.verbose)
        printf("%12.6f %-7s%s\n", (double)timeline.now_us / CLOCK_US_PER_S, p->name, line);
    if (p->on_line)
        p->on_line(p, line);
    return (ssize_t)len;
}

static void on_start(struct event *e)
{
    struct program *p = container_of(e, struct program, start);
    if (p->host->off)
        host_on(p->host);
    note(&timeline, p->name, "starts", p->starts, 0);
    p->process = process_start(p->host, p->name, p->main, p->argv);
    if (program_is_user(p)) {
        user_of(p)->sessions = 0;
        approvals_client_gone(user_of(p));
        p->process->on_line = on_client_line;
    } else if (p == &p->site->agent) {
        p->process->on_line = on_agent_line;
        policy_agent_has_read(p->site);
        sessions_agent_starts(p->site);
    } else {
        policy_relay_starts(p->site, (unsigned)(p - p->site->relay));
    }
    p->told = false;
    if (p->starts++)
        site_totals.restarts++;
}

void program_start(struct program *p)
{
    p->wanted = true;
    p->start.run = on_start;
    event_set(&timeline, &p->start, timeline.now_us);
}

void program_kill(struct program *p, uint64_t down_us)
{
    if (!p->process)
        return;
    if (program_is_user(p)) {
        user_of(p)->sessions = 0;
        approvals_client_gone(user_of(p));
    }
    note(&timeline, p->name, "is killed, and away for", down_us, 0);
    process_kill(p->process);
    p->process = NULL;
    p->died_us = timeline.now_us;
    event_set(&timeline, &p->start, timeline.now_us + down_us);
}

void program_tell_to_end(struct program *p)
{
    if (!p->process)
        return;
    note(&timeline, p->name, "is told to end", 0, 0);
    p->told = true;
    process_signal(p->process, SIGTERM);
}

/* A client may give up for this, at a relay or an agent that is not there or does not know it. */
static bool gave_up(struct user *u, enum failure code)
{
    bool has_session = u->sessions && agent_lost_us(u) < u->session_since_us;
    if (code == FAILURE_NOT_AUTHENTICATED || code == FAILURE_DENIED)
        return !has_session && policy_was_unknown(u);
    return !u->sessions &&
           (code == FAILURE_NO_AGENT || code == FAILURE_NETWORK || code == FAILURE_TIMED_OUT);
}

/* A process that has ended by itself: was it to? */
void program_look_after(struct site *s, struct program *p)
{
    struct process *process = p->process;
    if (!process || !process->ended)
        return;
    enum failure code = process->failure;
    bool told = p->told && code == (program_is_user(p) ? FAILURE_INTERRUPTED : FAILURE_NONE);
    bool unlucky = program_is_user(p) && gave_up(user_of(p), code);
    if (!told && !unlucky && !process->killed)
        site_fail(s, "%s has ended with %d", p->name, (int)code);
    if (process->left_open)
        site_fail(s, "%s has ended with %u descriptors open", p->name, process->left_open);
    p->process = NULL;
    p->died_us = timeline.now_us;
    if (p->wanted)
        event_set(&timeline, &p->start, timeline.now_us + CLOCK_US_PER_S);
}

void site_each(struct site *s, void (*f)(struct site *s, struct program *p))
{
    for (unsigned i = 0; i < s->relay_count; i++)
        f(s, &s->relay[i]);
    f(s, &s->agent);
    for (unsigned i = 0; i < s->user_count; i++)
        f(s, &s->user[i].program);
}

/* ---- Talks. ---- */

static void on_wrong(struct talk *k, const char *what)
{
    site_fail(the_site, "talk %llu: %s", k ? (unsigned long long)k->number : 0, what);
}

/* A reset is right when the session's agent or the client has died under it, or is about to end. */
static void on_reset(struct talk *k)
{
    const struct user *u = k->owner;
    const struct program *client = &u->program, *agent = &the_site->agent;
    bool client_died = client->told || client->died_us > k->began_us || !client->process;
    uint64_t lost_us = agent_lost_us(u);
    bool agent_died = agent->told || lost_us > u->session_since_us || lost_us > k->began_us;
    if (!client_died && !agent_died && !the_site->over && !approvals_explain(u, k))
        site_fail(the_site, "talk %llu was reset for no reason", (unsigned long long)k->number);
}

static void on_next_talk(struct event *e)
{
    struct user *u = container_of(e, struct user, next_talk);
    struct site *s = u->program.site;
    if (s->calm)
        return;
    if (u->program.process && (approvals_may_talk(u) || (u->waits && chance(&timeline, 2))))
        talk_start(&s->talks, u->program.host, u->port, u);
    event_set(&timeline, e, timeline.now_us + chance_scaled(&timeline, 100, TALK_EVERY_MOST_US));
}

/* ---- The world. ---- */

static void route(const struct host *from, const struct host *to, struct pipe_settings *settings)
{
    *settings = the_site->link;
    if (from == to) /* NULL: the name server */
        *settings = (struct pipe_settings){.rate = 1000000000,
                                           .delay_us = 20,
                                           .unsent_bytes = 256 << 10,
                                           .capacity_bytes = 1 << 20};
}

static void make_hosts(struct site *s)
{
    static const char *const names[] = {"relay-0", "relay-1", "storage", "laptop"};
    for (unsigned i = 0; i < RELAYS + 2; i++) {
        s->hosts[i] = (struct host){.name = names[i], .address = 0xc0000201 + i};
        s->all_hosts[i] = &s->hosts[i];
    }
    tcp_begin(s->all_hosts, route);
    names_begin(s->all_hosts, route, (enum ipv6_answer)chance(&timeline, IPV6_ANSWERS));
}

static void make_program(struct site *s, struct program *p, const char *role, unsigned number,
                         struct host *host, enum failure (*program_main)(int, char **))
{
    p->site = s;
    snprintf(p->name, sizeof p->name, "%s-%u", role, number);
    p->host = host;
    p->main = program_main;
    p->argv[0] = p->name;
}

static void make_user(struct site *s, unsigned i)
{
    char forward[64];
    struct user *u = &s->user[i];
    make_program(s, &u->program, "user", i, &s->hosts[RELAYS + 1], client_main);
    u->port = (uint16_t)(FIRST_PORT + i);
    snprintf(forward, sizeof forward, "127.0.0.1:%u:%s:%u", u->port,
             s->named ? "localhost" : "127.0.0.1", SERVICE_PORT);
    u->program.argv[3] = strdup("-L");
    u->program.argv[4] = strdup(forward);
    u->program.argv[5] = strdup("storage");
    u->next_talk.run = on_next_talk;
}

static void make_programs(struct site *s)
{
    for (unsigned i = 0; i < s->relay_count; i++)
        make_program(s, &s->relay[i], "relay", i, &s->hosts[i], relay_main);
    make_program(s, &s->agent, "agent", 0, &s->hosts[RELAYS], agent_main);
    for (unsigned i = 0; i < s->user_count; i++)
        make_user(s, i);
}

void site_make(struct site *s)
{
    struct timeline *t = &timeline;
    the_site = s;
    s->relay_count = (unsigned)chance_between(t, 1, RELAYS);
    s->user_count = (unsigned)chance_between(t, 1, CLIENTS);
    s->dialled = chance(t, 4) == 0;
    s->named = chance(t, 2) == 0;
    s->asks = chance(t, 3) == 0;
    s->link = (struct pipe_settings){.rate = chance_scaled(t, 20000, 100000000),
                                     .delay_us = chance_scaled(t, 100, 150000),
                                     .unsent_bytes = 128 << 10,
                                     .capacity_bytes = chance_scaled(t, 64 << 10, 2 << 20)};
    make_hosts(s);
    make_programs(s);
    site_configure(s);
    talks_begin(&s->talks, on_wrong, on_reset, approvals_heard);
    service_start(&s->talks, s->agent.host, SERVICE_PORT);
}
