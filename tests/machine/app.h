/* Applications: a program at the client's machine and a service at the agent's, which talk through
 * spx and check each byte that they get. */
#ifndef SPX_MACHINE_APP_H
#define SPX_MACHINE_APP_H

#include "tcp.h"

struct talk;

enum app_state {
    APP_NOT_YET, /* the service has not accepted it */
    APP_TALKS,
    APP_DONE,      /* has sent all and seen the other's end */
    APP_RESET,     /* was reset */
    APP_BROKE_OFF, /* has reset the connection itself */
};

struct app {
    struct talk *talk;
    bool is_service;
    enum app_state state;
    struct tcp *socket;
    struct event act;
    uint64_t size; /* sends so many, then its end */
    uint64_t sent, received;
    uint64_t piece;    /* sends and takes so many at a time, */
    uint64_t pause_us; /* with so long between */
    uint64_t break_at; /* breaks off after so many bytes either way; UINT64_MAX: never */
    bool lazy;         /* sends its end only after the other's */
    bool eof_sent, eof_seen;
};

/* One connection of an application. */
struct talk {
    struct list all;
    uint64_t number;
    struct app app, service;
    uint64_t began_us;
    void *owner; /* whoever began it */
};

struct service;

/* Tells the owner of a talk what has gone wrong with it. */
typedef void talk_wrong(struct talk *k, const char *what);
/* One of the two was reset, and neither broke off; the service hears of it. */
typedef void talk_reset(struct talk *k);
typedef void talk_heard(struct talk *k);

struct talks {
    struct list all;
    uint64_t count, done, reset, bytes;
    bool hurried; /* no pauses any more, nobody breaks off */
    talk_wrong *wrong;
    talk_reset *was_reset;
    talk_heard *heard;
};

void talks_begin(struct talks *ts, talk_wrong *wrong, talk_reset *was_reset, talk_heard *heard);

/* The service listens at a port of this host, for all talks. */
void service_start(struct talks *ts, struct host *host, uint16_t port);

/* An application at the host connects to the client's port there. */
struct talk *talk_start(struct talks *ts, struct host *host, uint16_t port, void *owner);

/* All go on without pauses, to their end. */
void talks_hurry(struct talks *ts);

/* True if it has ended at both sides (the service may never have heard of it). */
bool talk_over(const struct talk *k);
unsigned talks_open(const struct talks *ts);

/* Bytes that those still open have to get. */
uint64_t talks_left(const struct talks *ts);

#endif
