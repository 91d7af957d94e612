/* The hashes of a file's entries, by chain and number. */
#ifndef SPX_AUDITOR_INDEX_H
#define SPX_AUDITOR_INDEX_H

#include "audit/chain.h"

/* Entries of one chain whose numbers grow by one. */
struct span {
    char chain[AUDIT_NAME_BYTES];
    uint64_t first;
    size_t begin, count; /* among the hashes */
};

struct line_index {
    struct span *spans;
    size_t span_count, span_room;
    uint8_t (*hashes)[HASH_BYTES];
    size_t count, room;
};

/* Zeroed it is empty. False: no memory. */
bool index_add(struct line_index *i, const struct audit_head *head);
void index_free(struct line_index *i);

/* The hash of this entry; NULL: the file has none. */
const uint8_t *index_find(const struct line_index *i, const char *chain, uint64_t number);

/* The lowest and the highest number of the chain in the file; false: there is none. */
bool index_range(const struct line_index *i, const char *chain, uint64_t *first, uint64_t *last);

/* True if both have an entry of one chain and number, and not the same; the first one is *chain and
 * *number. */
bool index_differ(const struct line_index *a, const struct line_index *b, const char **chain,
                  uint64_t *number);

#endif
