/* Users and the agent come into the relays' files and go out of them, users and relays into and out
 * of the agent's, at any moment. What must follow: a circuit of somebody whom its relay does not
 * know any more ends within a second. That the session lives on, and is resumed once all are known
 * again, is checked with all else when the world is calm; so is that a user has a session again
 * whose last one the agent has ended. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "site.h"
#include "wire/limits.h"

#define CIRCUITS 32 /* remembered of a relay */
#define ENDED_WITHIN_US CLOCK_US_PER_S
#define FORGIVEN_US (60 * CLOCK_US_PER_S) /* a refusal may be on its way so long */

/* A relay's users, agents and circuits, by its log. */
struct view_of_relay {
    const struct process *process;
    struct site *site;
    struct relay_file known; /* since it has read its file last */
    struct event check;
    struct {
        char label[9];
        unsigned user;
        bool open;
    } circuits[CIRCUITS];
    unsigned count;
};

static struct view_of_relay views[RELAYS];

static bool is_known(const struct view_of_relay *v, unsigned user)
{
    return v->known.agent && v->known.user[user];
}

static void on_check(struct event *e)
{
    struct view_of_relay *v = container_of(e, struct view_of_relay, check);
    if (v->process->ended)
        return;
    if (v->process->stopped_until_us > timeline.now_us - ENDED_WITHIN_US) {
        event_set(&timeline, e, v->process->stopped_until_us + ENDED_WITHIN_US);
        return;
    }
    for (unsigned i = 0; i < CIRCUITS; i++) {
        if (v->circuits[i].open && !is_known(v, v->circuits[i].user)) {
            site_fail(v->site, "circuit %s of a user whom its relay does not know goes on",
                      v->circuits[i].label);
        }
    }
}

static void note_asked(struct view_of_relay *v, const char label[9], unsigned user)
{
    unsigned at = v->count++ % CIRCUITS;
    memcpy(v->circuits[at].label, label, sizeof v->circuits[at].label);
    v->circuits[at].user = user;
    v->circuits[at].open = false;
}

static void note_open(struct view_of_relay *v, const char label[9], bool open)
{
    for (unsigned i = 0; i < CIRCUITS; i++)
        if (strcmp(v->circuits[i].label, label) == 0)
            v->circuits[i].open = open;
}

static void note_circuit(struct view_of_relay *v, const char *line)
{
    char label[9], what[64];
    unsigned user;
    if (sscanf(line, ": circuit %8[0-9a-f]: %63[^\n]", label, what) != 2)
        return;
    if (sscanf(what, "user user-%u to agent", &user) == 1)
        note_asked(v, label, user);
    else if (strcmp(what, "joined") == 0)
        note_open(v, label, true);
    else if (strncmp(what, "ended: ", 7) == 0)
        note_open(v, label, false);
    if (strncmp(what, "ended: no longer permitted", 26) == 0)
        site_totals.revoked++;
}

static void on_relay_line(const struct process *process, const char *line)
{
    for (unsigned i = 0; i < RELAYS; i++) {
        struct view_of_relay *v = &views[i];
        if (v->process != process)
            continue;
        note_circuit(v, line);
        if (strstr(line, "configuration reloaded")) {
            v->known = v->site->file[i];
            event_set(&timeline, &v->check, timeline.now_us + ENDED_WITHIN_US);
        }
    }
}

void policy_relay_starts(struct site *s, unsigned relay)
{
    struct view_of_relay *v = &views[relay];
    struct process *p = s->relay[relay].process;
    event_cancel(&timeline, &v->check);
    p->on_line = on_relay_line;
    v->site = s;
    memset(v->circuits, 0, sizeof v->circuits);
    v->check.run = on_check;
    v->process = p;
}

/* Until when each user, or the agent they ask for, was unknown to a relay. */
static void note_unknown(struct site *s)
{
    for (unsigned u = 0; u < s->user_count; u++) {
        bool known = true;
        for (unsigned i = 0; i < s->relay_count; i++)
            known = known && s->file[i].user[u] && s->file[i].agent && s->agent_file.relay[i];
        if (!known)
            s->user[u].unknown_until_us = CLOCK_NEVER;
        else if (s->user[u].unknown_until_us == CLOCK_NEVER)
            s->user[u].unknown_until_us = timeline.now_us;
    }
}

/* It was until then, or is now, or a refusal may be on its way. */
static bool is_forgiven(uint64_t until_us)
{
    return until_us && (until_us == CLOCK_NEVER || timeline.now_us - until_us < FORGIVEN_US);
}

bool policy_was_unknown(const struct user *u)
{
    return is_forgiven(u->unknown_until_us) || is_forgiven(u->refused_until_us);
}

uint64_t policy_refused_us(const struct user *u)
{
    return u->refused_until_us;
}

void policy_agent_has_read(struct site *s)
{
    for (unsigned u = 0; u < s->user_count; u++)
        if (s->agent_file.user[u] && s->user[u].refused_until_us == CLOCK_NEVER)
            s->user[u].refused_until_us = timeline.now_us;
}

static void signal_reload(struct program *p)
{
    if (p->process && p->process->signals)
        process_signal(p->process, SIGHUP);
    else if (p->process)
        program_kill(p, 0); /* it may have read the file before */
}

static void tell(struct site *s, unsigned relay)
{
    site_write_relay(s, relay);
    signal_reload(&s->relay[relay]);
}

static void tell_agent(struct site *s)
{
    site_write_agent(s);
    note_unknown(s);
    signal_reload(&s->agent);
}

void policy_change(struct site *s, unsigned relay)
{
    struct relay_file *file = &s->file[relay];
    unsigned what = (unsigned)chance(&timeline, s->user_count + 2);
    if (what < s->user_count)
        file->user[what] = !file->user[what];
    else if (what == s->user_count)
        file->agent = !file->agent;
    else
        file->keepalive_s = (unsigned)chance_between(&timeline, KEEPALIVE_MIN_S, 15);
    note(&timeline, s->relay[relay].name, "gets another configuration", what, file->keepalive_s);
    note_unknown(s);
    tell(s, relay);
    site_totals.changes++;
}

/* Not the last one: an agent has a relay. */
static void change_relay_of_agent(struct site *s)
{
    bool *relay = &s->agent_file.relay[chance(&timeline, s->relay_count)];
    unsigned count = 0;
    for (unsigned i = 0; i < s->relay_count; i++)
        count += s->agent_file.relay[i];
    if (!*relay || count > 1)
        *relay = !*relay;
}

void policy_change_agent(struct site *s)
{
    struct agent_file *file = &s->agent_file;
    unsigned u = (unsigned)chance(&timeline, s->user_count), what = (unsigned)chance(&timeline, 3);
    bool *changed = what == 0 ? &file->user[u] : what == 1 ? &file->narrow[u] : NULL;
    note(&timeline, s->agent.name, "gets another configuration", what, u);
    if (changed) {
        *changed = !*changed;
        s->user[u].refused_until_us = CLOCK_NEVER;
    } else {
        change_relay_of_agent(s);
    }
    tell_agent(s);
    site_totals.changes++;
}

static void restore_agent(struct site *s)
{
    struct agent_file *file = &s->agent_file;
    bool all = true;
    for (unsigned i = 0; i < s->relay_count; i++) {
        all = all && file->relay[i];
        file->relay[i] = true;
    }
    for (unsigned u = 0; u < s->user_count; u++) {
        all = all && file->user[u];
        file->user[u] = true;
    }
    if (!all)
        tell_agent(s);
}

void policy_restore(struct site *s)
{
    restore_agent(s);
    for (unsigned i = 0; i < s->relay_count; i++) {
        struct relay_file *file = &s->file[i];
        bool all = file->agent;
        file->agent = true;
        for (unsigned u = 0; u < s->user_count; u++) {
            all = all && file->user[u];
            file->user[u] = true;
        }
        if (!all)
            tell(s, i);
    }
    note_unknown(s);
}
