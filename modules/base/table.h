/* Hash table of intrusive entries by a fixed-size key; keyed hash, so that peers cannot choose
 * collisions. */
#ifndef SPX_BASE_TABLE_H
#define SPX_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
    struct table_entry *next;
    uint64_t hash;
};

/* key_offset: where the key's bytes stand, counted from the struct table_entry. */
struct table {
    struct table_entry **slots;
    size_t slot_count, count;
    size_t key_len;
    ptrdiff_t key_offset;
    uint8_t hash_key[16];
};

/* hash_key: 16 random bytes. No memory is taken before the first insert. */
void table_init(struct table *t, size_t key_len, ptrdiff_t key_offset, const uint8_t hash_key[16]);

/* Frees the slots, not the entries. */
void table_free(struct table *t);

/* The entry with this key, or NULL. */
struct table_entry *table_find(const struct table *t, const void *key);

/* Inserts an entry whose key is not in the table. False without memory. The caller owns the entry
 * and takes it out before freeing it. */
bool table_insert(struct table *t, struct table_entry *entry);

/* Takes out an entry that is in the table. */
void table_remove(struct table *t, struct table_entry *entry);

/* Walks the table in no order: NULL gives the first, NULL comes back after the last. The table must
 * not change during the walk. */
struct table_entry *table_next(const struct table *t, const struct table_entry *entry);

#endif
