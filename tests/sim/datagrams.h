/* A stream of datagrams of a talk: what comes was sent, whole, once and in order; some are lost. */
#ifndef SPX_SIM_DATAGRAMS_H
#define SPX_SIM_DATAGRAMS_H

#include "path.h"
#include "session/stream.h"

struct talk;

/* One end. Datagram i begins with i, the rest follows from it. */
struct datagrams {
    struct talk *talk;
    int side;
    struct party *party;
    struct stream *stream; /* NULL: none, or it has ended */
    bool accepted, ended;  /* ended: by this side */
    uint64_t sent, seen, came;
    uint64_t planned; /* the client ends the stream then */
    struct event act;
};

/* The client opens it, in some talks, after some time. */
void datagrams_begin(struct talk *k, struct party *client);

/* The agent's answer to its OPEN. */
void datagrams_answer(struct talk *k, struct party *agent, struct stream *stream);

/* The time of trouble is over: it ends. */
void datagrams_hurry(struct talk *k);

/* The session of this side is over. */
void datagrams_over(struct talk *k, int side);

#endif
