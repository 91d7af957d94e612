/* What one session carries: streams between an application at the client and one at the agent, who
 * check what they get. */
#ifndef SPX_SIM_TALK_H
#define SPX_SIM_TALK_H

#include "path.h"
#include "session/stream.h"

#define TALK_STREAMS 12

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

struct talk {
    struct world *world;
    struct list link;
    unsigned serial;
    struct session *session; /* the client's; NULL: over */
    struct party *client;
    unsigned planned, opened;
    bool wants_room; /* waits for on_room */
    bool excused;    /* streams may be reset: CLOSE, a crash, the resume window */
    struct app app[TALK_STREAMS][2];
    struct event open_more;
};

/* A talk with streams and sizes by chance. */
void talk_begin(struct talk *k, struct world *w, unsigned serial, struct party *client,
                struct session *s);

/* The agent's answer to the OPEN of one of its streams. */
void talk_answer(struct talk *k, struct party *agent, struct stream *stream, struct view target);

/* A stream may be opened again. */
void talk_room(struct talk *k);

/* The time of trouble is over: everybody sends all and takes all. */
void talk_hurry(struct talk *k);

/* Whether every stream was opened and has ended at both sides. */
bool talk_finished(const struct talk *k);

/* The session of this side is over: everybody there was told. */
void talk_over(struct talk *k, int side);

#endif
