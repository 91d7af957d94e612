/* A file has few spans: one for each time that a chain begins. They are looked through. */
#include "auditor/index.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(void **all, size_t *room, size_t count, size_t each)
{
    size_t larger = *room ? 2 * *room : 64;
    void *grown;
    if (count < *room)
        return true;
    grown = realloc(*all, larger * each);
    if (!grown)
        return false;
    *all = grown;
    *room = larger;
    return true;
}

static bool continues(const struct line_index *i, const struct audit_head *head)
{
    const struct span *last = i->span_count ? &i->spans[i->span_count - 1] : NULL;
    return last && strcmp(last->chain, head->chain) == 0 &&
           head->number == last->first + last->count;
}

static bool begin_span(struct line_index *i, const struct audit_head *head)
{
    struct span *span;
    void *spans = i->spans;
    bool room = make_room(&spans, &i->span_room, i->span_count, sizeof *span);
    i->spans = spans;
    if (!room)
        return false;
    span = &i->spans[i->span_count++];
    *span = (struct span){.first = head->number, .begin = i->count};
    memcpy(span->chain, head->chain, sizeof span->chain);
    return true;
}

bool index_add(struct line_index *i, const struct audit_head *head)
{
    void *hashes = i->hashes;
    bool room = make_room(&hashes, &i->room, i->count, HASH_BYTES);
    i->hashes = hashes;
    if (!room || (!continues(i, head) && !begin_span(i, head)))
        return false;
    memcpy(i->hashes[i->count++], head->hash, HASH_BYTES);
    i->spans[i->span_count - 1].count++;
    return true;
}

void index_free(struct line_index *i)
{
    free(i->spans);
    free(i->hashes);
    *i = (struct line_index){0};
}

const uint8_t *index_find(const struct line_index *i, const char *chain, uint64_t number)
{
    for (size_t k = i->span_count; k-- > 0;) {
        const struct span *span = &i->spans[k];
        if (number >= span->first && number - span->first < span->count &&
            strcmp(span->chain, chain) == 0)
            return i->hashes[span->begin + (size_t)(number - span->first)];
    }
    return NULL;
}

bool index_range(const struct line_index *i, const char *chain, uint64_t *first, uint64_t *last)
{
    bool found = false;
    for (size_t k = 0; k < i->span_count; k++) {
        const struct span *span = &i->spans[k];
        uint64_t end = span->first + span->count - 1;
        if (strcmp(span->chain, chain) != 0)
            continue;
        *first = found && *first < span->first ? *first : span->first;
        *last = found && *last > end ? *last : end;
        found = true;
    }
    return found;
}

static bool spans_differ(const struct line_index *a, const struct span *of_a,
                         const struct line_index *b, const struct span *of_b, uint64_t *number)
{
    uint64_t first = of_a->first > of_b->first ? of_a->first : of_b->first;
    if (strcmp(of_a->chain, of_b->chain) != 0)
        return false;
    for (*number = first;
         *number - of_a->first < of_a->count && *number - of_b->first < of_b->count; ++*number)
        if (memcmp(a->hashes[of_a->begin + (size_t)(*number - of_a->first)],
                   b->hashes[of_b->begin + (size_t)(*number - of_b->first)], HASH_BYTES) != 0)
            return true;
    return false;
}

bool index_differ(const struct line_index *a, const struct line_index *b, const char **chain,
                  uint64_t *number)
{
    for (size_t i = 0; i < a->span_count; i++)
        for (size_t k = 0; k < b->span_count; k++)
            if (spans_differ(a, &a->spans[i], b, &b->spans[k], number)) {
                *chain = a->spans[i].chain;
                return true;
            }
    return false;
}
