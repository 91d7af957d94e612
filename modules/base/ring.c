/* The replay ring.
 *
 * A position counts the bytes of a session since its beginning and never goes back; 64 bits of them
 * last for centuries. Only `pieces` turns one into a place: (p - base) & (size - 1), which needs
 * the size to be a power of two. base is the position that stands at data[0]. It is not always a
 * multiple of the size: a ring that empties takes its head for base and starts again at data[0], so
 * that a session of keystrokes stays in a page or two for ever.
 *
 * The memory is mapped without being reserved: its pages come when they are first written, and a
 * large size costs nothing before it is used. `touched` is how far that was; only this much is to
 * be wiped, since wiping makes pages come too.
 *
 * Growing maps a ring of the new size, copies tail to head to its beginning and makes tail its
 * base: positions stay as they are, and whoever holds one need not know. With sizes that double,
 * the copies together are less than the last size. When to grow, and that the ring never shrinks,
 * is the session's decision (session/send.c). */
#include "base/ring.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"

static uint8_t *map_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* Cuts len bytes from position pos into one or two pieces. */
static int pieces(const struct ring *r, uint64_t pos, size_t len, struct iovec piece[2])
{
    size_t at = (size_t)((pos - r->base) & (r->size - 1));
    size_t first = len < r->size - at ? len : r->size - at;
    piece[0] = (struct iovec){r->data + at, first};
    piece[1] = (struct iovec){r->data, len - first};
    return first < len ? 2 : 1;
}

bool ring_init(struct ring *r, size_t size)
{
    memset(r, 0, sizeof *r);
    if (!is_power_of_two(size))
        return false;
    r->data = map_memory(size);
    if (!r->data)
        return false;
    r->size = size;
    return true;
}

void ring_free(struct ring *r)
{
    if (r->data) {
        wipe(r->data, r->touched);
        munmap(r->data, r->size);
    }
    memset(r, 0, sizeof *r);
}

size_t ring_used(const struct ring *r)
{
    return (size_t)(r->head - r->tail);
}

size_t ring_room(const struct ring *r)
{
    return r->size - ring_used(r);
}

int ring_space(const struct ring *r, size_t skip, size_t len, struct iovec piece[2])
{
    return pieces(r, r->head + skip, len, piece);
}

void ring_put(struct ring *r, size_t skip, const void *data, size_t len)
{
    struct iovec piece[2];
    if (len == 0)
        return;
    pieces(r, r->head + skip, len, piece);
    memcpy(piece[0].iov_base, data, piece[0].iov_len);
    memcpy(piece[1].iov_base, (const uint8_t *)data + piece[0].iov_len, piece[1].iov_len);
}

void ring_commit(struct ring *r, size_t len)
{
    size_t end = (size_t)((r->head - r->base) & (r->size - 1)) + len;
    r->head += len;
    if (end > r->size)
        end = r->size;
    if (end > r->touched)
        r->touched = end;
}

void ring_get(const struct ring *r, uint64_t pos, void *out, size_t len)
{
    struct iovec piece[2];
    if (len == 0)
        return;
    pieces(r, pos, len, piece);
    memcpy(out, piece[0].iov_base, piece[0].iov_len);
    memcpy((uint8_t *)out + piece[0].iov_len, piece[1].iov_base, piece[1].iov_len);
}

void ring_discard(struct ring *r, uint64_t pos)
{
    r->tail = pos;
    if (r->tail == r->head)
        r->base = r->head;
}

bool ring_grow(struct ring *r, size_t new_size)
{
    struct ring larger = {.size = new_size, .base = r->tail, .tail = r->tail, .head = r->tail};
    if (!is_power_of_two(new_size) || new_size <= r->size)
        return false;
    larger.data = map_memory(new_size);
    if (!larger.data)
        return false;
    ring_get(r, r->tail, larger.data, ring_used(r));
    ring_commit(&larger, ring_used(r));
    ring_free(r);
    *r = larger;
    return true;
}
