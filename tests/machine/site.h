/* A world: one or two relays, an agent beside its service, one or two clients with applications;
 * what goes wrong there; what must hold all the same. */
#ifndef SPX_MACHINE_SITE_H
#define SPX_MACHINE_SITE_H

#include "app.h"

#define RELAYS 2
#define CLIENTS 2

/* A process of the site, started again when it has died. */
struct program {
    struct site *site;
    char name[24];
    struct host *host;
    enum failure (*main)(int argc, char **argv);
    char *argv[8];
    struct process *process;
    struct event start;
    bool wanted; /* it is to run */
    bool told;   /* to end */
    uint64_t died_us;
    unsigned starts, deaths;
};

struct user {
    struct program program;
    uint16_t port;             /* its -L */
    unsigned sessions;         /* begun by this process */
    uint64_t session_since_us; /* when the agent has accepted the last one */
    unsigned calm_resumes;     /* since trouble is over */
    uint64_t unknown_until_us; /* to some relay or, there, to the agent; CLOCK_NEVER: it is now */
    uint64_t refused_until_us; /* by the agent: not known, or with other permissions; as above */
    struct event next_talk;
    bool waits; /* its newest session is not granted yet, if it must be */
    uint64_t waits_since_us;
    char code[8];        /* of its request */
    uint64_t granted_us; /* the last one */
    struct event approve;
};

/* Who is in a relay's file, and its other lines that change. */
struct relay_file {
    bool agent, user[CLIENTS];
    unsigned workers, keepalive_s;
};

/* The same for the agent. */
struct agent_file {
    bool relay[RELAYS], user[CLIENTS], narrow[CLIENTS]; /* narrow: the service alone is allowed */
};

struct site {
    struct host hosts[RELAYS + 2];
    struct host *all_hosts[RELAYS + 3];
    unsigned relay_count, user_count;
    bool dialled;       /* the relays dial the agent */
    bool named;         /* programs know each other by names */
    bool asks;          /* sessions are approved by a person at the agent */
    unsigned questions; /* under way at the agent's control socket */
    struct program relay[RELAYS], agent;
    struct relay_file file[RELAYS]; /* as they are on the disk */
    struct agent_file agent_file;
    struct user user[CLIENTS];
    struct talks talks;
    struct pipe_settings link;
    uint64_t trouble_until_us, pass_until_us;
    struct event trouble;
    bool calm, over;
    bool failed;
    char why[256];
};

struct totals {
    uint64_t sessions, resumes, restarts, cuts, done, reset, bytes, simulated_us, steps, changes,
        revoked, refused, granted;
};

/* Runs the world of a seed; false: why says what did not hold. Once in a process. */
bool site_run(struct site *s, uint64_t seed, bool verbose, struct totals *totals);

/* ---- For its parts. ---- */

extern struct totals site_totals;

void site_fail(struct site *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hosts, programs with their configurations, and the service, by chance; nothing runs yet. */
void site_make(struct site *s);

/* Makes keys and configurations, and tells each program its own. */
void site_configure(struct site *s);

/* They are not needed any more. */
void site_remove_files(void);

/* Writes the relay's file as s->file says. */
void site_write_relay(struct site *s, unsigned relay);
void site_write_agent(struct site *s);

/* ---- Policy (policy.c). ---- */

/* Somebody comes into the relay's file or goes out of it, and the relay is told. */
void policy_change(struct site *s, unsigned relay);

/* The same with the agent's file: a user, a relay, or what a user may do. */
void policy_change_agent(struct site *s);

/* All are in all files from now on, and relays and agent are told. */
void policy_restore(struct site *s);

/* True if a client that has no session may have been refused as unknown. */
bool policy_was_unknown(const struct user *u);

/* When the agent has ended the user's sessions last, or may do so yet. */
uint64_t policy_refused_us(const struct user *u);

/* The relay's process is another one. */
void policy_relay_starts(struct site *s, unsigned relay);

/* The agent acts by its file as it is now. */
void policy_agent_has_read(struct site *s);

/* ---- The agent's sessions (sessions.c). ---- */

/* The agent's process is another one. */
void sessions_agent_starts(struct site *s);

/* A line of its log. */
void sessions_agent_line(const char *line);

/* ---- The person who approves (approvals.c). ---- */

#define CONTROL_PORT 1 /* in place of a UNIX socket, of which a host has one */

/* A line of the client's log. */
void approvals_client_line(struct user *u, const char *line);

/* The client's process is gone. */
void approvals_client_gone(struct user *u);

/* True if the user's applications get through. */
bool approvals_may_talk(const struct user *u);

/* The service hears of this one: it must be able to. */
void approvals_heard(struct talk *k);

/* True if a session that waits is why this one was reset. */
bool approvals_explain(const struct user *u, const struct talk *k);

/* ---- For all of them. ---- */

/* Calls f for each program. */
void site_each(struct site *s, void (*f)(struct site *s, struct program *p));

/* Things go wrong from now on until s->trouble_until_us. */
void trouble_begin(struct site *s);

bool program_is_user(const struct program *p);
void program_start(struct program *p);
/* SIGTERM. It is started again unless it is not wanted any more. */
void program_tell_to_end(struct program *p);
/* It dies now and is started again after a time. */
void program_kill(struct program *p, uint64_t down_us);
/* If it has ended, checks that it was to, and starts it again. */
void program_look_after(struct site *s, struct program *p);

#endif
