/* The round over the relays: which one is tried next, after what pause, and when another try cannot
 * help. Facts and time in, decisions out: no sockets, no timers. */
#ifndef SPX_CLIENT_ROUND_H
#define SPX_CLIENT_ROUND_H

#include <stddef.h>

#include "base/clock.h"
#include "hop/backoff.h"
#include "wire/codes.h"

#define ROUND_SILENCE_US (3 * CLOCK_US_PER_S) /* a try that takes longer is a long one */

/* A round goes from a pause to the next. None of its relays is waited at for the agent while
 * another is left; when none is, it is waited for at one. The owner reads relay alone. */
struct round {
    size_t relay;     /* of the configuration: being tried, or tried next */
    size_t count;     /* of relays */
    bool single;      /* after the first round there is no other */
    bool had_session; /* ever: refusals are then no longer final */
    struct backoff backoff;
    uint64_t tried_us; /* since when the relay is tried */
    size_t failures;   /* of relays, one after the other */
    size_t wait_at;    /* a relay where the agent may come; ROUND_NO_RELAY: none is known */
    bool patient;      /* all were tried, failures says so too: this try waits */
    bool moved;        /* from wait_at to a relay that says that the agent is there; once, since a
                          relay may lie */
};

#define ROUND_NO_RELAY SIZE_MAX

/* Begins with the first relay. count: at least 1. */
void round_init(struct round *r, size_t count, bool single);

/* The relay is tried from now on. */
void round_try(struct round *r, uint64_t now_us);

/* For the try: another relay is left, so that an agent which is offline here is not waited for. */
bool round_is_impatient(const struct round *r);

/* For the try: an agent that is online here must answer soon, since it may be at another relay. */
bool round_is_hurried(const struct round *r);

/* The agent is waited for at this relay: true if it is worth hearing what the others say of it. */
bool round_wants_others(const struct round *r);

/* Another relay says that the agent is online there: it is tried next, at once. */
void round_move(struct round *r, size_t relay);

/* How a try failed. */
struct round_failure {
    enum code code;
    bool answered;       /* the relay's hop was open */
    bool by_agent;       /* the agent itself says so */
    bool listed_offline; /* the relay listed the agent as offline */
    bool has_session;    /* which resumes, or whose circuit stalls: a relay can neither end it nor
                            make it wait for long */
    uint32_t retry_s;    /* the peer asks to wait as long as this */
};

enum round_step {
    ROUND_NEXT,   /* the relay is tried at once */
    ROUND_PAUSE,  /* the relay is tried after the pause */
    ROUND_GIVE_UP /* another try cannot help */
};

struct round_decision {
    enum round_step step;
    uint64_t pause_us;
};

/* The try of r->relay has failed; afterwards r->relay is the one to try next. */
struct round_decision round_failed(struct round *r, const struct round_failure *f, uint64_t now_us);

/* The agent was reached. The relay stays the one for the next try. */
void round_reached(struct round *r);

/* The circuit is lost, and the session resumes after the pause. worked_us: how long the agent had
 * proven itself on it. */
uint64_t round_lost(struct round *r, uint64_t worked_us);

/* The session has ended with this code: gives up, or begins another one after the pause. */
struct round_decision round_session_over(struct round *r, enum code code, uint64_t worked_us);

#endif
