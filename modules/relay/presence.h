/* Presence of an agent: where it is, since when, what it says of itself, its calls for help. Facts
 * alone: it knows no hop and no configuration, so it does not matter who reports them
 * (docs/PROTOCOL.md sections 3 and 4). */
#ifndef SPX_RELAY_PRESENCE_H
#define SPX_RELAY_PRESENCE_H

#include "base/clock.h"
#include "wire/limits.h"
#include "wire/messages.h"

/* An agent is shown as duplicate until this long after two hops of its key last took turns. */
#define DUPLICATE_SHOWN_US (3ULL * DUPLICATE_WAIT_S * CLOCK_US_PER_S)

enum presence_where {
    PRESENCE_NOWHERE, /* no control hop */
    PRESENCE_HERE,    /* its control hop is at this relay */
};

struct presence;

/* Hears of every change that AGENT tells (section 3). Called inside the call that made it. */
struct presence_watch {
    void (*on_changed)(struct presence_watch *watch, struct presence *p);
};

struct presence {
    struct presence_watch *watch; /* NULL: nobody */
    enum presence_where where;
    uint64_t since_us; /* there */
    uint16_t flags;    /* from INFO */
    char *labels;      /* from INFO; NULL: none */
    bool relabelled;   /* its labels have changed since the watch set this to false */
    uint8_t *calls;    /* for help, as told_calls_decode takes them; NULL: none */
    size_t calls_len;
    uint64_t called_us;   /* when it told them: their ages are of then */
    uint64_t replaced_us; /* when a control hop last took another's place; 0: never */
    uint64_t duplicate_until_us;
};

/* It is nowhere, since now. watch: NULL or outlives it. presence_free frees labels and calls. */
void presence_init(struct presence *p, struct presence_watch *watch, uint64_t now_us);
void presence_free(struct presence *p);

/* AGENT has something new to tell that is not presence: the configuration of the agent. */
void presence_changed(struct presence *p);

/* A control hop has opened, in the place of another one if it was here. Without memory the labels
 * of INFO are left out. */
void presence_came(struct presence *p, const struct info *info, uint64_t now_us);

/* Its control hop has ended. */
void presence_left(struct presence *p, uint64_t now_us);

/* INFO of an agent that was dialled; without effect while it has a control hop. */
void presence_set_info(struct presence *p, const struct info *info);

/* The calls for help that stand now, in place of all before: an encoding that told_calls_decode
 * takes. What others hear of them is safe to show. False without memory: those before stay. */
bool presence_set_calls(struct presence *p, struct view calls, uint64_t now_us);

/* The same from an agent that knows one call only, or with severity 0 its end. */
bool presence_set_call(struct presence *p, const struct call *call, uint64_t now_us);

/* The calls with their ages now; the views point into the presence. */
void presence_calls(const struct presence *p, struct told_calls *calls, uint64_t now_us);

/* A control hop takes another's place; presence_came follows. True: from now on the agent is a
 * duplicate, two hops of its key take turns. */
bool presence_replaced(struct presence *p, uint64_t now_us);

/* True while two hops with its key take turns, and DUPLICATE_SHOWN_US after it. */
bool presence_is_duplicate(const struct presence *p, uint64_t now_us);

#endif
