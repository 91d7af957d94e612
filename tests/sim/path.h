/* A circuit: what the relay has joined, a pipe each way, with a session's engine at each end; and
 * the parties whose engines these are. Drives the engines as modules/session/link.c does. */
#ifndef SPX_SIM_PATH_H
#define SPX_SIM_PATH_H

#include "base/list.h"
#include "pipe.h"
#include "session/circuit.h"
#include "session/state.h"
#include "session/stream.h"

enum { CLIENT = 0, AGENT = 1 };

struct end;

/* A machine: while it sleeps nothing runs on it, and its clock may stand still. */
struct party {
    struct timeline *t;
    const char *name;
    uint64_t asleep_until_us;
    uint64_t clock_behind_us; /* its own clock against the true time */
    /* The circuit has failed or the session is over. It closes the end. */
    void (*on_change)(struct end *e);
};

struct end {
    struct path *path;
    struct party *party;
    void *owner; /* the role's own */
    int which;
    bool open;
    uint64_t told_position; /* the position this side told in the handshake */
    struct circuit circuit;
    struct pipe *in, *out;
    const char *cause; /* of a failure on the way; NULL: none yet */
    struct event tick, flush, told;
};

struct path {
    struct list link;
    struct timeline *t;
    unsigned serial;
    uint32_t number; /* the circuit's in the session */
    struct end end[2];
    struct pipe pipe[2]; /* that end[i] writes */
    bool ragged;         /* reads and writes in pieces of any size */
    bool broken;
    unsigned wanted;                /* by messages on their way that name it */
    void (*on_cut)(struct path *p); /* the byte was written that a pipe is to break at */
};

/* The time by its own clock, and back. */
uint64_t party_now(const struct party *p);
uint64_t party_true_time(const struct party *p, uint64_t at_us);

/* If it sleeps now: sets the event to when it wakes. */
bool party_puts_off(const struct party *p, struct event *e);

/* A path with both ends closed, out of memory of the one before where given. */
void path_begin(struct path *p, struct timeline *t, const struct pipe_settings settings[2]);
void path_free(struct path *p);

/* Opens one end: the session takes the circuit. */
bool end_open(struct end *e, struct party *party, struct session *s, void *owner,
              uint64_t told_position);

/* Closes it; what was written still arrives, then the other end is told. */
void end_close(struct end *e);

/* There is something to write. */
void end_wake(struct end *e);

/* Looks at what an event has brought: on_change, or the timer. */
void end_settle(struct end *e);

/* Writes what the session has to say, as far as the pipe takes it. */
void end_flush(struct end *e);

/* An end learns at a time that its connection is gone; before that it reads what has arrived. */
void end_tell(struct end *e, uint64_t at_us, const char *cause);

bool path_open(const struct path *p);

#endif
