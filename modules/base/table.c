/* Chains in a table of a power of two, which doubles when there are more entries than slots. */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

#define FIRST_SLOTS 16 /* a power of two, as every slot_count is */

static const void *key_of(const struct table *t, const struct table_entry *entry)
{
    return (const char *)entry + t->key_offset;
}

static struct table_entry **slot_of(const struct table *t, uint64_t hash)
{
    return &t->slots[hash & (t->slot_count - 1)];
}

void table_init(struct table *t, size_t key_len, ptrdiff_t key_offset, const uint8_t hash_key[16])
{
    memset(t, 0, sizeof *t);
    t->key_len = key_len;
    t->key_offset = key_offset;
    memcpy(t->hash_key, hash_key, sizeof t->hash_key);
}

void table_free(struct table *t)
{
    free(t->slots);
    t->slots = NULL;
    t->slot_count = t->count = 0;
}

struct table_entry *table_find(const struct table *t, const void *key)
{
    if (t->count == 0)
        return NULL;
    uint64_t hash = siphash24(t->hash_key, key, t->key_len);
    struct table_entry *entry = *slot_of(t, hash);
    while (entry && (entry->hash != hash || memcmp(key_of(t, entry), key, t->key_len) != 0))
        entry = entry->next;
    return entry;
}

static void link_entry(struct table *t, struct table_entry *entry)
{
    struct table_entry **slot = slot_of(t, entry->hash);
    entry->next = *slot;
    *slot = entry;
}

static bool grow(struct table *t)
{
    struct table larger = *t;
    larger.slot_count = t->slot_count ? 2 * t->slot_count : FIRST_SLOTS;
    larger.slots = calloc(larger.slot_count, sizeof(struct table_entry *));
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < t->slot_count; i++) {
        for (struct table_entry *entry = t->slots[i], *next; entry; entry = next) {
            next = entry->next;
            link_entry(&larger, entry);
        }
    }
    free(t->slots);
    *t = larger;
    return true;
}

bool table_insert(struct table *t, struct table_entry *entry)
{
    /* A table that cannot grow still works, with longer chains. */
    if (t->count >= t->slot_count && !grow(t) && t->slot_count == 0)
        return false;
    entry->hash = siphash24(t->hash_key, key_of(t, entry), t->key_len);
    link_entry(t, entry);
    t->count++;
    return true;
}

void table_remove(struct table *t, struct table_entry *entry)
{
    struct table_entry **at = slot_of(t, entry->hash);
    while (*at && *at != entry)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = entry->next;
    entry->next = NULL;
    t->count--;
}

struct table_entry *table_next(const struct table *t, const struct table_entry *entry)
{
    size_t slot = 0;
    if (entry && entry->next)
        return entry->next;
    if (entry)
        slot = (size_t)(entry->hash & (t->slot_count - 1)) + 1;
    while (slot < t->slot_count && !t->slots[slot])
        slot++;
    return slot < t->slot_count ? t->slots[slot] : NULL;
}
