/* Everything that the command line or the configuration forwards, in one session after the other.
 */
#ifndef SPX_CLIENT_FORWARDS_H
#define SPX_CLIENT_FORWARDS_H

#include "base/log_rates.h"
#include "config/values.h"
#include "net/loop.h"
#include "session/stream.h"

struct forwards;

/* This session has nothing left to forward: standard input and output's stream has ended, the
 * question is answered, or the agent listens for no -R and nothing listens here. code: enum
 * reset_code, 0: cleanly. */
typedef void forwards_ended(void *arg, enum reset_code code, const char *why);

struct forwards_request {
    const struct forward *forwards; /* the caller's, as long as it lasts */
    size_t count;
    const struct target *stdio; /* -W; NULL: none */
    const char *question;       /* to the agent, in place of all that (statement.h); NULL: none */
    /* Before ended; not NULL: why the answer is none. */
    const char *(*answered)(void *arg, struct view answer);
    const char *agent;          /* for the log; the caller's */
    const struct log_party *by; /* whose the lines there are; the caller's */
    const char *prefix;         /* of log lines that do not name the agent; the caller's */
    forwards_ended *ended;
    void *arg;
};

/* Listens for -L, -D and -U; connections wait until forwards_tie or forwards_hold. NULL: e says
 * why. */
struct forwards *forwards_new(struct loop *loop, const struct forwards_request *request,
                              struct error *e);

/* The number of streams that the agent may open: 0 without -R. */
uint16_t forwards_agent_streams(const struct forwards *f);

/* A new session, before its first circuit: asks the agent for -R and opens -W's stream. False: e
 * says why not. */
bool forwards_begin(struct forwards *f, struct session *s, struct error *e);

/* Connections become streams of this session from now on. False: e says which address cannot be
 * listened on again after forwards_hold. */
bool forwards_tie(struct forwards *f, struct session *s, struct error *e);

/* Before forwards_tie, for a session that waits for approval: connections are refused meanwhile.
 * False: e says where that cannot be done. */
bool forwards_hold(struct forwards *f, struct error *e);

/* The session has ended, or ends: connections wait, and the agent is asked for nothing more. */
void forwards_untie(struct forwards *f);

/* For session_events.on_room: connections that wait become streams, as many as there is room for.
 */
void forwards_resume(struct forwards *f);

/* For session_events.on_connection: connects a stream of a listener of -R to that one's target. */
void forwards_connect(struct forwards *f, struct stream *stream, const struct stream *listener,
                      struct view peer);

/* After the session's streams have ended. NULL is harmless. */
void forwards_free(struct forwards *f);

#endif
