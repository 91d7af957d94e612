/* A queue of bytes in blocks, such as wait for a socket. Holds no memory while empty. */
#ifndef SPX_BASE_FIFO_H
#define SPX_BASE_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct fifo_block;

struct fifo {
    struct fifo_block *first, *last;
    size_t bytes; /* held now */
};

/* An empty fifo; all zero bytes are one too. */
void fifo_init(struct fifo *f);

/* Frees what it holds (wiped first: it may be plaintext); it is empty then and may be used again.
 */
void fifo_clear(struct fifo *f);

/* Appends a copy. False without memory; nothing is appended then. */
bool fifo_append(struct fifo *f, const void *data, size_t len);

/* Appends all that `from` holds, without copying; from is empty then. */
void fifo_move(struct fifo *to, struct fifo *from);

/* The first bytes in one piece, all of them or fewer; length 0 when empty. Valid until the next
 * change. */
struct view fifo_front(const struct fifo *f);

/* Drops the first len bytes; len <= bytes. */
void fifo_drop(struct fifo *f, size_t len);

/* Moves the first `len` (<= bytes) bytes into one piece and returns them; NULL without memory.
 */
const uint8_t *fifo_front_whole(struct fifo *f, size_t len);

#endif
