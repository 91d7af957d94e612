/* One simulated world, made from a seed: a client that has sessions with an agent through a relay,
 * and trouble until it is calm. */
#ifndef SPX_SIM_WORLD_H
#define SPX_SIM_WORLD_H

#include "hop/backoff.h"
#include "path.h"
#include "session/session.h"
#include "talk.h"

#define MESSAGE_BYTES 512

/* A session handshake message on its way through the relay. */
struct letter {
    struct list link;
    struct world *world;
    struct event arrive;
    uint8_t bytes[MESSAGE_BYTES];
    size_t len;
    unsigned attempt;  /* of the client, that it belongs to; 0: of none any more */
    struct talk *talk; /* message 1: whose */
    struct path *path; /* message 2: the circuit, if the agent accepts */
    bool answer;       /* message 2 */
};

/* The ends of the streams of a session that is closing or over, a few at a time, as
 * session/teardown.c. */
struct portions {
    struct event next;
    struct timeline *t;
    struct session *session;
    void (*all)(struct portions *p); /* have ended; may be NULL */
};

/* Ends all at once if the session does not end in portions. True: all have ended, and `all` is not
 * called. */
bool portions_begin(struct portions *p, struct timeline *t, struct session *s,
                    void (*all)(struct portions *p));
void portions_stop(struct portions *p);

enum client_state { CLIENT_CONNECTING, CLIENT_CONNECTED, CLIENT_RESUMING, CLIENT_CLOSING };

/* As modules/client/connection.c, round.c and reach.c. */
struct client {
    struct party party; /* first */
    struct world *world;
    struct session *session;
    bool has_session;
    struct talk *talk;
    enum client_state state;
    struct end *link;  /* the session's current circuit */
    unsigned attempt;  /* that is under way; 0: none */
    unsigned attempts; /* so far */
    struct backoff backoff;
    uint64_t connected_us;
    bool close_tried;
    struct portions closing;
    struct event retry, answer_limit, give_up, close_limit;
};

/* As modules/agent/service.c. */
struct service {
    struct list link;
    struct world *world;
    struct session *session;
    struct talk *talk;
    struct end *current, *candidate;
    bool started;
    bool granted; /* or it need not wait */
    struct event give_up, decide;
    struct portions ends;
};

struct agent {
    struct party party; /* first */
    struct world *world;
    struct list services;
    struct list over; /* services whose streams still have to end */
    uint64_t down_until_us;
};

struct relay {
    uint64_t down_until_us;
    struct list letters;    /* on their way */
    struct letter recorded; /* a message 1 of before, to be replayed */
};

/* The kinds of trouble in this world, each as a share of all trouble. */
enum trouble {
    TROUBLE_BREAK,
    TROUBLE_STALL,
    TROUBLE_CLIENT_SLEEPS,
    TROUBLE_AGENT_SLEEPS,
    TROUBLE_RELAY_RESTARTS,
    TROUBLE_REPLAY,
    TROUBLE_CLOSE,
    TROUBLE_AGENT_CRASHES,
    TROUBLES
};

/* Counts of all runs. */
struct totals {
    uint64_t steps, simulated_us, sessions, resumes, beside, overtaken;
    uint64_t streams_done, streams_reset, bytes, datagrams, crashes, windows_over;
    uint64_t granted, granted_away, denied; /* of sessions that waited */
    uint64_t heads;                         /* of audits, that arrived */
};

struct world {
    struct timeline timeline;
    uint64_t seed;
    bool failed;
    char why[200];

    struct session_settings settings[2];
    struct pipe_settings pipe;
    bool ragged;
    bool asks;          /* sessions wait for approval */
    bool heavy;         /* much data, and nothing but circuits that break */
    unsigned lossy;     /* one message of so many is lost, and as many come twice; 0: none */
    unsigned cut_bytes; /* a circuit breaks within so many bytes; 0: not by itself */

    struct client client;
    struct agent agent;
    struct relay relay;
    struct talk talks[4];
    unsigned talk_count, talks_planned;
    struct list paths, spare_paths;
    unsigned path_count;

    unsigned weight[TROUBLES];
    uint64_t trouble_us; /* apart at most */
    struct event trouble, calm_down;
    bool calm;
    struct totals totals;           /* of all runs */
    uint64_t fault_us, progress_us; /* until when something was wrong; when anything came forward */
    uint64_t
        stalled_us; /* since when the client has known of a stall and done nothing; 0: it has not */
};

/* Runs one seed to its end; false: why says what is wrong. The world is zeroed before the first
 * run; its memory is used again in the next. */
bool world_run(struct world *w, uint64_t seed, bool verbose);

/* Notes what is wrong unless it is as expected; the first counts. */
void world_expect(struct world *w, bool as_it_should, const char *what);
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_progress(struct world *w);
/* Something is wrong until then. */
void world_fault(struct world *w, uint64_t until_us);

/* True if there was a working path for so long that anything should have come forward. */
bool world_had_time(const struct world *w);

/* A session or a circuit has failed at this party; only some ways are right. */
void world_check_end(struct world *w, const struct end *e);

/* A path with both ends closed. */
struct path *world_path(struct world *w, uint32_t number);

/* The connection is gone, in a way by chance. */
void path_break(struct world *w, struct path *p);

void client_begin(struct client *c, struct world *w);
/* The agent's answer, or NULL: it could not be reached. */
void client_answered(struct client *c, const struct letter *answer);
void client_close(struct client *c, const char *why);
void client_end(struct client *c);

void agent_begin(struct agent *a, struct world *w);
void agent_offered(struct agent *a, const struct letter *offer);
/* True if it has a session with this id that is not over. */
bool agent_serves(const struct agent *a, const uint8_t id[SESSION_ID_BYTES]);
void agent_crash(struct agent *a);
void agent_close(struct agent *a);

void relay_begin(struct relay *r);
/* The client's CONNECT; the agent's ACCEPT or REFUSE. */
void relay_connect(struct world *w, const uint8_t *message1, size_t len);
void relay_answer(struct world *w, const uint8_t *message2, size_t len, unsigned attempt,
                  struct path *path);
void relay_restart(struct world *w, uint64_t down_us);
void relay_replay(struct world *w);
void relay_end(struct relay *r);

/* Chooses what will go wrong, and begins. */
void trouble_begin(struct world *w);

#endif
