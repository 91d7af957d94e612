/* The connection to one agent: sessions with it, one after the other, each over one circuit after
 * another, and what applications reach through them. */
#ifndef SPX_CLIENT_CONNECTION_H
#define SPX_CLIENT_CONNECTION_H

#include "client/options.h"
#include "client/trust.h"
#include "config/config.h"
#include "hop/hop.h"
#include "net/loop.h"

/* Its task, settled before it begins; the pointers' owner outlives it. */
struct client_task {
    const char *agent;
    const struct client_options *options;
    const struct client_config *config;
    const struct hop_party *party;
    const struct client_permit *permit; /* the user's; NULL: none */
    const struct forward *forwards;     /* the command line's, or else the configuration's */
    size_t forward_count;
    struct trusted_key agent_key;
    const char *question; /* asked in place of all forwards (statement.h); NULL: none */
    /* NULL: it is answered; otherwise why the answer is none: the task has failed. */
    const char *(*answered)(const struct client_task *t, struct view answer);
};

/* Its place among those of the process. */
struct connection_place {
    struct loop *loop;
    struct audit *audit; /* or NULL */
    unsigned row;        /* of its line of state */
    bool alone;          /* its log lines need not name the agent */
    /* It has ended by itself or was stopped. Called once, from the loop. */
    void (*ended)(void *arg);
    void *arg;
};

struct connection;

/* The task must outlive it, the place is copied. NULL without memory. */
struct connection *connection_new(const struct client_task *task,
                                  const struct connection_place *place);

/* Opens all listeners and tries the first relay. False: e says why not; the connection must then be
 * stopped. */
bool connection_start(struct connection *c, struct error *e);

/* Ends it from the loop, with a failure and a reason; the first one counts. */
void connection_stop(struct connection *c, enum failure failure, const char *why);

/* The user ends it: closes the session, the second time at once. */
void connection_interrupt(struct connection *c);

/* A head of the audit was signed: the agent gets it if it is owed one, and the session does not
 * wait for approval; which it is from then on. */
void connection_tell_head(struct connection *c, struct view head);
void connection_owe_head(struct connection *c);

/* Writes its state to the log, unless it has ended. */
void connection_log_status(const struct connection *c);

/* Ends it at any stage, with its last line, unless it has ended or was never started. Returns how
 * it ended. */
enum failure connection_end(struct connection *c);

/* After connection_end, and after the loop. NULL is harmless. */
void connection_free(struct connection *c);

#endif
