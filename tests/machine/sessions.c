/* The agent's sessions, by its log, each under the label of its newest circuit. What must hold:
 * once the agent has read a file without a user, it has no session of that user as soon as a CLOSE
 * has had its time. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "site.h"
#include "wire/limits.h"

#define SESSIONS 64 /* remembered */
#define ENDED_WITHIN_US ((CLOSE_WAIT_S + 1) * CLOCK_US_PER_S)

/* An accepted circuit is a session's once that was resumed on it, or has reached a target. */
struct known_session {
    char label[9];
    unsigned user;
    bool open, started;
};

static struct {
    struct site *site;
    const struct process *process;
    struct agent_file file; /* as it was read last */
    struct known_session sessions[SESSIONS];
    unsigned count;
    struct event check;
} at_agent;

static struct known_session *find(const char *label)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        if (strcmp(at_agent.sessions[i].label, label) == 0)
            return &at_agent.sessions[i];
    return NULL;
}

static void note_started(const char *label)
{
    struct known_session *known = find(label);
    if (known)
        known->started = true;
}

static void note_over(const char *label)
{
    struct known_session *known = find(label);
    if (known)
        known->open = false;
}

static void note_accepted(const char label[9], unsigned user)
{
    struct known_session *next = &at_agent.sessions[at_agent.count++ % SESSIONS];
    *next = (struct known_session){.user = user, .open = true};
    memcpy(next->label, label, sizeof next->label);
}

static void on_check(struct event *e)
{
    const struct process *p = at_agent.process;
    if (p->ended || p != at_agent.site->agent.process)
        return;
    if (p->stopped_until_us > timeline.now_us - ENDED_WITHIN_US) {
        event_set(&timeline, e, p->stopped_until_us + ENDED_WITHIN_US);
        return;
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        const struct known_session *known = &at_agent.sessions[i];
        if (known->open && known->started && !at_agent.file.user[known->user])
            site_fail(at_agent.site, "the session of circuit %s goes on without its user",
                      known->label);
    }
}

void sessions_agent_starts(struct site *s)
{
    event_cancel(&timeline, &at_agent.check);
    memset(at_agent.sessions, 0, sizeof at_agent.sessions);
    at_agent.site = s;
    at_agent.process = s->agent.process;
    at_agent.check.run = on_check;
}

void sessions_agent_line(const char *line)
{
    char label[9], other[9];
    unsigned user;
    if (strstr(line, "configuration reloaded")) {
        at_agent.file = at_agent.site->agent_file;
        event_set(&timeline, &at_agent.check, timeline.now_us + ENDED_WITHIN_US);
    } else if (sscanf(line, ": circuit %8[0-9a-f]: accepted user user-%u", label, &user) == 2) {
        note_accepted(label, user);
    } else if (sscanf(line,
                      ": circuit %8[0-9a-f]: resumes the session of circuit "
                      "%8[0-9a-f]",
                      label, other) == 2) {
        note_over(other);
        note_started(label);
    } else if (sscanf(line, ": circuit %8[0-9a-f]: ended:%1[ ]", label, other) == 2) {
        note_over(label);
    } else if (sscanf(line, ": circuit %8[0-9a-f]: user-%u:", label, &user) == 2) {
        note_started(label);
    }
}
