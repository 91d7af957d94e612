/* The chain: each line of an audit carries the hash of the one before, and a salt, so that nobody
 * finds out by trying what a line says of which only the hash is known (docs/AUDIT.md). Pure but
 * for the salt. */
#ifndef SPX_AUDIT_CHAIN_H
#define SPX_AUDIT_CHAIN_H

#include "audit/entry.h"
#include "crypto/primitives.h"

#define AUDIT_NAME_BYTES 33 /* 16 bytes in hexadecimal and a NUL */

/* Where a chain stands: its last line. */
struct audit_head {
    char chain[AUDIT_NAME_BYTES]; /* "": there is none */
    uint64_t number;
    uint8_t hash[HASH_BYTES]; /* of that line without its newline; zero: there is none */
};

/* A new chain that goes on behind the lines of the head: its first number is 1. */
void audit_chain_begin(struct audit_head *head);

/* Makes the next line, newline at its end, of an object that audit_entry_encode wrote without chain
 * and number and without torn, salt and previous; torn may be NULL. The head is moved on. Returns
 * the length. */
size_t audit_chain_add(struct audit_head *head, char out[AUDIT_LINE_MAX], struct view object,
                       const char *torn);

/* The head after this line, which is an entry, without its newline. */
void audit_head_take(struct audit_head *head, const struct audit_entry *entry, struct view line);

/* True if the entry carries the hash of the head's line. */
bool audit_chain_links(const struct audit_head *head, const struct audit_entry *entry);

/* A hash as its field has it. */
#define AUDIT_HASH_TEXT_BYTES 65
void audit_hash_text(char out[AUDIT_HASH_TEXT_BYTES], const uint8_t hash[HASH_BYTES]);

/* The end of a file. */
struct audit_tail {
    struct audit_head head; /* of the last whole line */
    size_t whole;           /* bytes up to the end of that line, without its newline */
    bool torn;              /* there is more behind it than a newline */
};

/* Finds out how a file ends. end: its last bytes, all of them if complete. False: no line among
 * them is an entry, and it is not the torn beginning of the first. */
bool audit_tail_read(struct audit_tail *tail, struct view end, bool complete);

/* After that, of a file that another process has left: a power cut may have left zeros within its
 * last commit, and lines behind them, which are part of no chain. The tail then ends before. */
void audit_tail_cut_zeros(struct audit_tail *tail, struct view end, bool complete);

#endif
