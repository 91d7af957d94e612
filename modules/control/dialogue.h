/* The asking side of a control socket in an event loop: one question after another on a connection.
 * control/ask.h is the one that blocks. */
#ifndef SPX_CONTROL_DIALOGUE_H
#define SPX_CONTROL_DIALOGUE_H

#include "control/request.h"

struct dialogue;

/* Told to the owner, who may free it each time. */
struct dialogue_events {
    /* A line of the answer but the last, as it came, without its newline. */
    void (*take)(void *owner, struct view line);
    /* The last one: done, or not, with the text that it has. The next question may be asked. */
    void (*over)(void *owner, bool done, struct view line, const char *text);
    /* The connection has ended, or what came is no answer; why is a literal. The owner frees it. */
    void (*lost)(void *owner, const char *why);
};

/* fd: connected, its own from now on. NULL without memory: it is closed. */
struct dialogue *dialogue_new(struct loop *loop, int fd, const struct dialogue_events *events,
                              void *owner);

/* Asks, when the question before is answered: a line with its newline. What fails is told later. */
void dialogue_ask(struct dialogue *a, struct view request);

/* Nothing is told after it. NULL is harmless. */
void dialogue_free(struct dialogue *a);

#endif
