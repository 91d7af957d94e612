/* The person at the agent who approves: told a code by the user's client, they give it to the
 * agent's control socket some time later. What must hold: nothing that a user begins while that
 * user's session waits reaches the service meanwhile, and every session is granted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "site.h"

#define SLOW_MOST_US (10 * CLOCK_US_PER_S)
#define CALM_MOST_US (2 * CLOCK_US_PER_S)
#define AGAIN_US (3 * CLOCK_US_PER_S)

/* A connection to the control socket with one question. */
struct question {
    struct user *user;
    struct tcp *socket;
    struct event act;
    char code[sizeof((struct user *)NULL)->code];
    bool asked;
};

static struct site *site_of(const struct user *u)
{
    return u->program.site;
}

static void decide_in(struct user *u, uint64_t after_us)
{
    event_set(&timeline, &u->approve, timeline.now_us + after_us);
}

static void end(struct question *q, bool answered)
{
    struct user *u = q->user;
    note(&timeline, "owner", answered ? "is answered" : "is not answered", u->port, q->asked);
    q->socket->file.told = NULL;
    event_cancel(&timeline, &q->act);
    tcp_close(q->socket);
    site_of(u)->questions--;
    if (!answered && u->waits && strcmp(u->code, q->code) == 0)
        decide_in(u, AGAIN_US);
    free(q);
}

static void ask(struct question *q)
{
    char line[80];
    int len = snprintf(line, sizeof line, "{\"verb\":\"approve\",\"code\":\"%s\"}\n", q->code);
    q->asked = tcp_send(q->socket, line, (size_t)len) == len;
}

static void on_act(struct event *e)
{
    struct question *q = container_of(e, struct question, act);
    char answer[512];
    ssize_t n;
    if (q->socket->state == TCP_CONNECTS)
        return;
    if (!q->asked)
        ask(q);
    n = q->asked ? tcp_receive(q->socket, answer, sizeof answer) : 0;
    if (n < 0 && errno == EAGAIN)
        return;
    end(q, n > 0);
}

static void on_approve(struct event *e)
{
    struct user *u = container_of(e, struct user, approve);
    struct site *s = site_of(u);
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    q->user = u;
    q->act.run = on_act;
    memcpy(q->code, u->code, sizeof q->code);
    q->socket = tcp_new(s->agent.host);
    q->socket->file.told = &q->act;
    s->questions++;
    note(&timeline, "owner", "approves", u->port, 0);
    tcp_connect(q->socket, (struct place){LOOPBACK_ADDRESS, CONTROL_PORT});
}

static void note_code(struct user *u, const char *code)
{
    bool calm = site_of(u)->calm;
    snprintf(u->code, sizeof u->code, "%.*s", (int)strcspn(code, ";"), code);
    u->approve.run = on_approve;
    decide_in(u, chance_scaled(&timeline, CLOCK_US_PER_MS, calm ? CALM_MOST_US : SLOW_MOST_US));
}

void approvals_client_line(struct user *u, const char *line)
{
    static const char request[] = "waiting for approval at storage: request ";
    const char *code = strstr(line, request);
    if (code && !site_of(u)->asks) {
        site_fail(site_of(u), "%s waits, though nobody is asked", u->program.name);
    } else if (code) {
        note_code(u, code + strlen(request));
    } else if (strstr(line, "connected to agent")) {
        approvals_client_gone(u);
        u->waits = site_of(u)->asks;
        u->waits_since_us = timeline.now_us;
    } else if (u->waits && strstr(line, "approved after")) {
        u->waits = false;
        u->granted_us = timeline.now_us;
        site_totals.granted++;
    }
}

void approvals_client_gone(struct user *u)
{
    u->waits = false;
    event_cancel(&timeline, &u->approve);
}

bool approvals_may_talk(const struct user *u)
{
    return u->sessions && !u->waits;
}

void approvals_heard(struct talk *k)
{
    const struct user *u = k->owner;
    if (u->waits && k->began_us > u->waits_since_us)
        site_fail(site_of(u), "talk %llu reaches the service before the grant",
                  (unsigned long long)k->number);
}

bool approvals_explain(const struct user *u, const struct talk *k)
{
    return u->waits || u->granted_us > k->began_us;
}
