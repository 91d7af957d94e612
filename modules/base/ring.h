/* The replay ring: bytes counted by 64-bit positions, kept from `tail` to `head`. */
#ifndef SPX_BASE_RING_H
#define SPX_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Invariants: 1. tail <= head. 2. head - tail <= size. 3. the byte of position p, tail <= p < head,
 * stands at data[(p - base) & (size - 1)]. */
struct ring {
    uint8_t *data;
    size_t size; /* a power of two */
    uint64_t base, tail, head;
    size_t touched; /* bytes from data on that have held something: what there is to wipe */
};

/* Memory comes lazily from the system, so an unused ring costs none. size: a power of two.
 * False without memory. Positions start at 0. */
bool ring_init(struct ring *r, size_t size);

/* Wipes and frees. */
void ring_free(struct ring *r);

/* Bytes held, and bytes that could be put. */
size_t ring_used(const struct ring *r);
size_t ring_room(const struct ring *r);

/* The room from position `head + skip` for `len` bytes (skip + len <= room) as one or two pieces;
 * returns how many. */
int ring_space(const struct ring *r, size_t skip, size_t len, struct iovec piece[2]);

/* Copies into the room at `head + skip`. */
void ring_put(struct ring *r, size_t skip, const void *data, size_t len);

/* The first len bytes of the room are now held: head moves. */
void ring_commit(struct ring *r, size_t len);

/* Copies out bytes that are held, from position pos. */
void ring_get(const struct ring *r, uint64_t pos, void *out, size_t len);

/* Forgets everything before position pos (tail <= pos <= head). An empty ring starts again at its
 * first byte, so that small traffic stays in few pages: bytes put and not committed are lost then.
 */
void ring_discard(struct ring *r, uint64_t pos);

/* Makes the ring larger, keeping what it holds. new_size: a larger power of two. False without
 * memory: unchanged. */
bool ring_grow(struct ring *r, size_t new_size);

#endif
