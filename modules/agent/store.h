/* A small file that is written whole again and again, by a thread: a slow disk holds up nothing. */
#ifndef SPX_AGENT_STORE_H
#define SPX_AGENT_STORE_H

#include "net/loop.h"

struct store;

/* on_written is called in the loop when all that was given is in the file, synced, or, with e, when
 * that failed. NULL without memory or descriptors. */
struct store *store_new(struct loop *loop, const char *path,
                        void (*on_written)(void *arg, const struct error *e), void *arg);

/* Writes a text, which is the store's from now on; what was given before and is not being written
 * yet is left out. */
void store_write(struct store *s, char *text);

/* Once what was given is written, or after so long, which the log tells. NULL is harmless. */
#define STORE_END_S 3
void store_free(struct store *s);

#endif
