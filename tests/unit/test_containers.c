/* Unit tests of modules/base: fifo, ring, siphash, table. The first two are compared with a plain
 * array through a few thousand random steps of a fixed seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fifo.h"
#include "base/list.h"
#include "base/ring.h"
#include "base/siphash.h"
#include "base/table.h"

#define STEPS 3000
#define MODEL_BYTES ((size_t)64 << 10)

/* The bytes that the container should hold: model[first] to model[end - 1]. */
static uint8_t model[MODEL_BYTES * 4];
static uint8_t scratch[MODEL_BYTES];
static uint32_t seed;

static size_t any_below(size_t bound)
{
    seed = seed * 1664525 + 1013904223;
    return bound ? (seed >> 8) % bound : 0;
}

static const uint8_t *fresh_bytes(size_t len)
{
    for (size_t i = 0; i < len; i++)
        scratch[i] = (uint8_t)any_below(256);
    return scratch;
}

/* fifo */

static void fifo_like_an_array(void **state)
{
    struct fifo f;
    size_t first = 0, end = 0;
    (void)state;
    seed = 1;
    fifo_init(&f);
    for (int step = 0; step < STEPS; step++) {
        size_t len = any_below(step % 10 == 0 ? 9000 : 300);
        if (end + len > sizeof model) {
            memmove(model, model + first, end - first);
            end -= first;
            first = 0;
        }
        memcpy(model + end, fresh_bytes(len), len);
        assert_true(fifo_append(&f, scratch, len));
        end += len;
        if (any_below(3) == 0) {
            size_t whole = any_below(end - first + 1);
            const uint8_t *p = fifo_front_whole(&f, whole);
            assert_non_null(p);
            assert_memory_equal(p, model + first, whole);
        }
        size_t gone = any_below(end - first + 1);
        if (end - first > 20000)
            gone = end - first;
        fifo_drop(&f, gone);
        first += gone;
        assert_int_equal(f.bytes, end - first);
        struct view front = fifo_front(&f);
        assert_true(front.len <= f.bytes && (front.len > 0) == (f.bytes > 0));
        assert_memory_equal(front.data ? front.data : model, model + first, front.len);
    }
    fifo_clear(&f);
    assert_int_equal(f.bytes, 0);
}

static void fifo_moves_whole(void **state)
{
    static uint8_t more[9000];
    struct fifo to = {0}, from = {0};
    (void)state;
    fifo_move(&to, &from);
    assert_null(to.first);
    assert_true(fifo_append(&from, "abc", 3));
    fifo_move(&to, &from); /* to an empty one */
    assert_null(from.first);
    assert_null(from.last);
    assert_int_equal(from.bytes, 0);
    assert_true(fifo_append(&from, "de", 2));
    memset(more, 'f', sizeof more);
    assert_true(fifo_append(&from, more, sizeof more));
    fifo_move(&to, &from); /* to one that holds some */
    assert_true(fifo_append(&to, "g", 1));
    assert_int_equal(to.bytes, 3 + 2 + sizeof more + 1);
    const uint8_t *whole = fifo_front_whole(&to, to.bytes);
    assert_memory_equal(whole, "abcdef", 6);
    assert_int_equal(whole[to.bytes - 1], 'g');
    fifo_move(&to, &from); /* nothing */
    assert_int_equal(to.bytes, 3 + 2 + sizeof more + 1);
    fifo_clear(&to);
}

static void fifo_holds_no_memory_while_empty(void **state)
{
    struct fifo f = {0};
    (void)state;
    assert_int_equal(fifo_front(&f).len, 0);
    assert_non_null(fifo_front_whole(&f, 0));
    assert_null(fifo_front_whole(&f, 1));
    assert_true(fifo_append(&f, "abc", 3));
    assert_null(fifo_front_whole(&f, 4));
    assert_non_null(f.first);
    fifo_drop(&f, 3);
    assert_null(f.first);
    assert_null(f.last);
    assert_true(fifo_append(&f, NULL, 0));
    assert_null(f.first);
    assert_true(fifo_append(&f, "abc", 3));
    fifo_clear(&f);
    assert_true(fifo_append(&f, "de", 2));
    assert_true(view_equal(fifo_front(&f), view_of_string("de")));
    fifo_clear(&f);
}

/* Making bytes whole at the end of what is held must leave an end to append to. */
static void fifo_appends_after_everything_was_made_whole(void **state)
{
    static uint8_t a[5000], b[5000];
    struct fifo f = {0};
    (void)state;
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_true(fifo_append(&f, "x", 1) && fifo_append(&f, a, sizeof a));
    const uint8_t *p = fifo_front_whole(&f, 1 + sizeof a);
    assert_non_null(p);
    assert_int_equal(p[0], 'x');
    assert_memory_equal(p + 1, a, sizeof a);
    assert_true(fifo_append(&f, b, sizeof b));
    fifo_drop(&f, 1 + sizeof a);
    p = fifo_front_whole(&f, sizeof b);
    assert_non_null(p);
    assert_memory_equal(p, b, sizeof b);
    fifo_clear(&f);
}

/* ring */

static void check_ring(const struct ring *r, const uint8_t *held, size_t len)
{
    assert_true(r->tail <= r->head && r->head - r->tail <= r->size); /* invariants 1 and 2 */
    assert_int_equal(ring_used(r), len);
    assert_int_equal(ring_room(r), r->size - len);
    ring_get(r, r->tail, scratch, len);
    assert_memory_equal(scratch, held, len);
    for (size_t i = 0; i < len; i += 1 + len / 7) /* invariant 3 */
        assert_int_equal(r->data[(r->tail + i - r->base) & (r->size - 1)], held[i]);
}

/* Writes through the pieces of ring_space, as a read from a socket does. */
static void put_in_pieces(struct ring *r, size_t skip, const uint8_t *data, size_t len)
{
    struct iovec piece[2];
    int count = ring_space(r, skip, len, piece);
    for (int i = 0; i < count; i++) {
        memcpy(piece[i].iov_base, data, piece[i].iov_len);
        data += piece[i].iov_len;
        len -= piece[i].iov_len;
    }
    assert_int_equal(len, 0);
}

static void ring_like_an_array(void **state)
{
    struct ring r;
    size_t first = 0, end = 0;
    (void)state;
    seed = 2;
    assert_true(ring_init(&r, 4096));
    for (int step = 0; step < STEPS; step++) {
        size_t len = any_below(ring_room(&r) + 1);
        size_t skip = any_below(len + 1);
        if (end + len > sizeof model) {
            memmove(model, model + first, end - first);
            end -= first;
            first = 0;
        }
        memcpy(model + end, fresh_bytes(len), len);
        ring_put(&r, skip, model + end + skip, len - skip);
        put_in_pieces(&r, 0, model + end, skip);
        ring_commit(&r, len);
        end += len;
        check_ring(&r, model + first, end - first);
        if (step == STEPS / 2)
            assert_true(ring_grow(&r, 16384));
        size_t gone = any_below(end - first + 1);
        ring_discard(&r, r.tail + gone);
        first += gone;
        check_ring(&r, model + first, end - first);
    }
    assert_int_equal(r.size, 16384);
    ring_free(&r);
    assert_null(r.data);
}

static void ring_positions_count_on(void **state)
{
    struct ring r;
    struct iovec piece[2];
    (void)state;
    assert_true(ring_init(&r, 8));
    ring_put(&r, 0, "abcdef", 6);
    ring_commit(&r, 6);
    ring_discard(&r, 4);
    assert_int_equal(r.tail, 4);
    assert_int_equal(ring_space(&r, 0, 6, piece), 2);
    assert_ptr_equal(piece[0].iov_base, r.data + 6);
    assert_int_equal(piece[0].iov_len, 2);
    assert_ptr_equal(piece[1].iov_base, r.data);
    assert_int_equal(ring_space(&r, 0, 2, piece), 1);
    ring_discard(&r, 6);
    assert_int_equal(r.head, 6);
    /* Empty: it starts again at its first byte. */
    assert_int_equal(ring_space(&r, 0, 8, piece), 1);
    assert_ptr_equal(piece[0].iov_base, r.data);
    ring_free(&r);
}

static void ring_refuses_wrong_sizes(void **state)
{
    struct ring r;
    (void)state;
    assert_false(ring_init(&r, 0));
    assert_false(ring_init(&r, 4097));
    ring_free(&r);
    assert_true(ring_init(&r, 4096));
    ring_put(&r, 0, "abc", 3);
    ring_commit(&r, 3);
    assert_false(ring_grow(&r, 4096));
    assert_false(ring_grow(&r, 5000));
    assert_false(ring_grow(&r, (size_t)1 << 62)); /* no memory */
    check_ring(&r, (const uint8_t *)"abc", 3);
    ring_free(&r);
}

/* siphash, table */

static void siphash_vectors(void **state)
{
    /* The paper's appendix A (15 bytes), and the first of the reference's list, for keys and
     * messages 00 01 02 … */
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31},
        {1, 0x74f839c593dc67fd},
        {2, 0x0d6c8009d9a94f5a},
        {15, 0xa129ca6149be45e5},
    };
    uint8_t key[16], message[16];

    (void)state;
    for (uint8_t i = 0; i < 16; i++)
        key[i] = message[i] = i;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        assert_true(siphash24(key, message, vectors[i].len) == vectors[i].hash);
}

struct entry {
    uint8_t key[16];
    struct table_entry link;
    unsigned number;
    bool seen;
};

#define KEY_OFFSET \
    ((ptrdiff_t)offsetof(struct entry, key) - (ptrdiff_t)offsetof(struct entry, link))
#define ENTRIES 1000U

static void table_finds_what_is_in_it(void **state)
{
    static const uint8_t hash_key[16] = {1, 2, 3};
    struct entry *entries = calloc(ENTRIES, sizeof *entries);
    uint8_t absent[16] = {0xff};
    struct table t;
    (void)state;
    assert_non_null(entries);
    table_init(&t, 16, KEY_OFFSET, hash_key);
    assert_null(table_find(&t, absent));
    assert_null(table_next(&t, NULL));
    for (unsigned i = 0; i < ENTRIES; i++) {
        entries[i].number = i;
        memcpy(entries[i].key + 7, &i, sizeof i);
        assert_null(table_find(&t, entries[i].key));
        assert_true(table_insert(&t, &entries[i].link));
    }
    assert_int_equal(t.count, ENTRIES);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_ptr_equal(table_find(&t, entries[i].key), &entries[i].link);
    assert_null(table_find(&t, absent));
    for (unsigned i = 0; i < ENTRIES; i += 2)
        table_remove(&t, &entries[i].link);
    assert_int_equal(t.count, ENTRIES / 2);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_ptr_equal(table_find(&t, entries[i].key), i % 2 ? &entries[i].link : NULL);

    unsigned walked = 0;
    for (struct table_entry *it = table_next(&t, NULL); it; it = table_next(&t, it)) {
        struct entry *entry = container_of(it, struct entry, link);
        assert_int_equal(entry->number % 2, 1);
        assert_false(entry->seen);
        entry->seen = true;
        walked++;
    }
    assert_int_equal(walked, ENTRIES / 2);
    table_free(&t);
    free(entries);
}

/* With many entries in few slots chains matter: every slot's chain stays short. */
static void table_spreads_its_entries(void **state)
{
    static const uint8_t hash_key[16] = {9};
    struct entry *entries = calloc(ENTRIES, sizeof *entries);
    struct table t;
    (void)state;
    assert_non_null(entries);
    table_init(&t, 16, KEY_OFFSET, hash_key);
    for (unsigned i = 0; i < ENTRIES; i++) {
        memcpy(entries[i].key, &i, sizeof i);
        assert_true(table_insert(&t, &entries[i].link));
    }
    assert_true(t.slot_count >= ENTRIES);
    for (size_t slot = 0; slot < t.slot_count; slot++) {
        unsigned chain = 0;
        for (const struct table_entry *it = t.slots[slot]; it; it = it->next)
            chain++;
        assert_true(chain < 12);
    }
    table_free(&t);
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifo_like_an_array),
        cmocka_unit_test(fifo_moves_whole),
        cmocka_unit_test(fifo_holds_no_memory_while_empty),
        cmocka_unit_test(fifo_appends_after_everything_was_made_whole),
        cmocka_unit_test(ring_like_an_array),
        cmocka_unit_test(ring_positions_count_on),
        cmocka_unit_test(ring_refuses_wrong_sizes),
        cmocka_unit_test(siphash_vectors),
        cmocka_unit_test(table_finds_what_is_in_it),
        cmocka_unit_test(table_spreads_its_entries),
    };
    return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
