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
    struct event next_talk;
};

struct site {
    struct host hosts[RELAYS + 2];
    struct host *all_hosts[RELAYS + 3];
    unsigned relay_count, user_count;
    bool dialled; /* the relays dial the agent */
    struct program relay[RELAYS], agent;
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
    uint64_t sessions, resumes, restarts, cuts, done, reset, bytes, simulated_us, steps;
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
/* Whether it has ended by itself, and was it to? Starts it again. */
void program_look_after(struct site *s, struct program *p);

#endif
