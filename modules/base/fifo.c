/* A list of blocks of at least a page. A block is wiped when it is freed: it may hold keys. */
#include "base/fifo.h"

#include <stdlib.h>

struct fifo_block {
    struct fifo_block *next;
    size_t start, end; /* the bytes held are data[start] to data[end - 1] */
    size_t size;
    uint8_t data[];
};

#define BLOCK_BYTES (4096 - sizeof(struct fifo_block)) /* at least; with its header a page */

static struct fifo_block *block_new(size_t size)
{
    struct fifo_block *block;
    if (size > SIZE_MAX - sizeof *block)
        return NULL;
    block = malloc(sizeof *block + size);
    if (block) {
        block->next = NULL;
        block->start = block->end = 0;
        block->size = size;
    }
    return block;
}

static void block_free(struct fifo_block *block)
{
    wipe(block->data, block->end);
    free(block);
}

static void block_append(struct fifo_block *block, const uint8_t *data, size_t len)
{
    if (len > 0)
        memcpy(block->data + block->end, data, len);
    block->end += len;
}

void fifo_init(struct fifo *f)
{
    f->first = f->last = NULL;
    f->bytes = 0;
}

void fifo_clear(struct fifo *f)
{
    while (f->first) {
        struct fifo_block *block = f->first;
        f->first = block->next;
        block_free(block);
    }
    fifo_init(f);
}

bool fifo_append(struct fifo *f, const void *data, size_t len)
{
    size_t room = f->last ? f->last->size - f->last->end : 0;
    size_t fits = len < room ? len : room;
    size_t rest = len - fits;
    struct fifo_block *block = NULL;
    if (rest > 0) {
        block = block_new(rest > BLOCK_BYTES ? rest : BLOCK_BYTES);
        if (!block)
            return false;
        block_append(block, (const uint8_t *)data + fits, rest);
    }
    if (fits > 0)
        block_append(f->last, data, fits);
    if (block) {
        if (f->last)
            f->last->next = block;
        else
            f->first = block;
        f->last = block;
    }
    f->bytes += len;
    return true;
}

void fifo_move(struct fifo *to, struct fifo *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->bytes += from->bytes;
    fifo_init(from);
}

struct view fifo_front(const struct fifo *f)
{
    if (!f->first)
        return view_of(NULL, 0);
    return view_of(f->first->data + f->first->start, f->first->end - f->first->start);
}

void fifo_drop(struct fifo *f, size_t len)
{
    while (len > 0 && f->first) {
        struct fifo_block *block = f->first;
        size_t held = block->end - block->start;
        size_t n = len < held ? len : held;
        block->start += n;
        f->bytes -= n;
        len -= n;
        if (block->start == block->end) {
            f->first = block->next;
            if (!f->first)
                f->last = NULL;
            block_free(block);
        }
    }
}

const uint8_t *fifo_front_whole(struct fifo *f, size_t len)
{
    static const uint8_t nothing[1] = {0};
    if (len == 0)
        return nothing;
    if (len > f->bytes)
        return NULL;
    if (fifo_front(f).len >= len)
        return fifo_front(f).data;

    struct fifo_block *whole = block_new(len);
    if (!whole)
        return NULL;
    while (whole->end < len) {
        struct view front = fifo_front(f);
        size_t missing = len - whole->end;
        size_t n = front.len < missing ? front.len : missing;
        block_append(whole, front.data, n);
        fifo_drop(f, n);
    }
    whole->next = f->first;
    f->first = whole;
    if (!f->last)
        f->last = whole;
    f->bytes += len;
    return whole->data;
}
