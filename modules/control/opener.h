/* Connections to a control socket for a process that has given up what it takes to open them: a
 * process of its own, made while there are privileges, connects to this one path and hands the
 * connection over. So the other one survives a restart of what listens there. */
#ifndef SPX_CONTROL_OPENER_H
#define SPX_CONTROL_OPENER_H

#include "net/loop.h"

struct opener;

#define OPENINGS_MAX 32 /* at the same time */

/* One connection that is asked for. The owner embeds it and leaves it alone until done. */
struct connecting {
    /* fd: connected, non-blocking, the callee's; -1: not, for this errno. */
    void (*done)(struct connecting *w, int fd, int error);
};

/* Makes the process, which ends when this one does or has freed the opener. Before any threads.
 * NULL: e says why. */
struct opener *opener_start(const char *path, struct error *e);

/* From now on it can be asked. failed: the process has ended, and nothing can be opened any more.
 * False with errno. */
bool opener_enter(struct opener *o, struct loop *loop, void (*failed)(void *owner), void *owner);

/* Asks for one more; done is called later, never inside. False: too many are asked for. */
bool opener_ask(struct opener *o, struct connecting *w);

/* done is not called any more. Harmless when it is not asked for. */
void opener_forget(struct opener *o, const struct connecting *w);

/* NULL is harmless. */
void opener_free(struct opener *o);

#endif
