/* The load of one session: streams between an application at the client and one at the agent, who
 * check what they get. Most are opened by the client, some by the agent for a listener of the
 * client. */
#ifndef SPX_SIM_TALK_H
#define SPX_SIM_TALK_H

#include "datagrams.h"
#include "path.h"
#include "session/stream.h"

#define TALK_STREAMS 12 /* that a client opens at most: the first numbers */
#define AGENT_STREAMS 4 /* that the agent opens */
#define ALL_STREAMS (TALK_STREAMS + AGENT_STREAMS)

struct world;
struct talk;

enum app_state {
    APP_NONE, /* has no stream yet */
    APP_LIVE,
    APP_DONE,  /* ended cleanly */
    APP_RESET, /* was reset */
    APP_GONE,  /* has reset the stream itself, or refused it */
};

/* One end of a stream. Byte i that it sends is talk_byte(…, i). */
struct app {
    struct talk *talk;
    int side;
    unsigned number;
    enum app_state state;
    struct stream *stream;
    struct party *party;
    bool answered; /* its OPEN was, or it has accepted */
    bool lazy;     /* sends its end only after the other's */
    bool eof_sent, eof_seen;
    uint64_t size;  /* sends so many, then its end */
    uint64_t ready; /* of them so far */
    uint64_t sent, received, appetite;
    uint64_t reset_at; /* resets the stream after so many bytes either way */
    struct event act;
};

/* The streams that one side opens: numbers from `next` to before `end` are still to come. */
struct opener {
    struct talk *talk;
    struct party *party;
    unsigned first, next, end;
    bool wants_room; /* waits for on_room */
    struct event open_more;
};

/* How a stream ended, as a side's audit has it. */
struct stream_end {
    uint32_t id; /* 0: it has not */
    bool clean, by_peer;
    uint64_t sent, acknowledged, received;
};
#define STREAM_ENDS 128 /* that are kept of each side, by id */

struct talk {
    struct world *world;
    struct stream_end ends[2][STREAM_ENDS];
    unsigned serial;
    struct session *session; /* the client's; NULL: over */
    struct opener opener[2];
    struct stream *listener[2]; /* one, as each side has it; NULL: none, or it has ended */
    bool listener_ended;        /* by the client: what the agent opens for it is refused */
    bool excused;               /* streams may be reset: CLOSE, a crash, the resume window */
    struct app app[ALL_STREAMS][2];
    struct datagrams datagrams[2];
    uint64_t heads_told[2], heads_heard[2]; /* by each side, numbers that grow */
};

/* A talk with streams and sizes by chance. */
void talk_begin(struct talk *k, struct world *w, unsigned serial, struct party *client,
                struct session *s);

/* One side's answer to the other's OPEN; name: its target or peer. */
void talk_answer(struct talk *k, int side, struct party *party, struct stream *stream,
                 struct view name);

/* The agent's answer to LISTEN. */
void talk_listen(struct talk *k, struct party *agent, struct stream *listener);

/* For on_stream: what the two say of a stream must be possible (docs/AUDIT.md). */
void talk_report(struct talk *k, int side, const struct stream_report *r);

/* This side tells a head of its audit, as on each circuit; and for on_head: what comes was told,
 * and after what came before. */
void talk_tell_head(struct talk *k, int side, struct session *s);
void talk_hear_head(struct talk *k, int side, struct view head);

/* This side may open a stream again. */
void talk_room(struct talk *k, int side);

/* The time of trouble is over: everybody sends all and takes all. */
void talk_hurry(struct talk *k);

/* True if every stream was opened and has ended at both sides. */
bool talk_finished(const struct talk *k);

/* The session of this side is over: everybody there was told. */
void talk_over(struct talk *k, int side);

#endif
