/* The file of an audit: several processes append to it, under a lock, and go on with one chain.
 * Used by one thread, which may wait for disk and lock. */
#ifndef SPX_AUDIT_FILE_H
#define SPX_AUDIT_FILE_H

#include <sys/types.h>

#include "audit/chain.h"
#include "base/error.h"
#include "base/list.h"

/* The most that one commit takes. */
#define AUDIT_COMMIT_MAX ((size_t)1024 * 1024)

/* Disk behind the file's end that is kept for decisions, where the file system can. */
#define AUDIT_RESERVE_BYTES ((off_t)256 * 1024)

/* An object that audit_entry_encode wrote, on its way into the file. */
struct audit_record {
    struct list link;
    uint64_t ticket; /* the queue's, as is the next */
    bool decision;
    size_t len;
    char object[];
};

struct audit_file {
    const char *path;     /* the owner's */
    const char *role;     /* of the entry about a torn line */
    uint64_t limit_bytes; /* a file that would grow beyond it is put aside; 0: none is */
    /* Makes an entry, without chain and number, of what the chain is up to there, for the beginning
     * of a file that goes on behind it. Returns its length, 0: there is none. NULL: there never is.
     */
    size_t (*checkpoint)(void *owner, const struct audit_head *head, char object[AUDIT_LINE_MAX]);
    void *owner;
    struct error trouble; /* the file could not be put aside: the owner tells it, and clears it */
    uint64_t next_try_bytes; /* then */
    int fd;                  /* -1: not open */
    char *text;              /* AUDIT_COMMIT_MAX, for what is written; NULL: nothing was yet */
    off_t reserved;          /* there is disk up to here, as far as is known */
    bool no_reserve;         /* the file system cannot keep any */
    off_t size;              /* after the own last line, and the head there */
    struct audit_head head;
};

/* Neither opens nor makes the file. */
void audit_file_init(struct audit_file *f, const char *path, const char *role,
                     uint64_t limit_bytes);
void audit_file_close(struct audit_file *f);

/* Closes it, and frees what it holds. */
void audit_file_free(struct audit_file *f);

/* Finds out where the chain stands, which may have been written by others: f->head. */
bool audit_file_look(struct audit_file *f, struct error *e);

/* Appends as many of the records, in their order, as AUDIT_COMMIT_MAX has room for: *count of them,
 * on disk then. decisions: they may use the reserve, others must leave it whole. False: none is in
 * the file, for the reason in e. */
bool audit_file_append(struct audit_file *f, const struct list *records, bool decisions,
                       size_t *count, struct error *e);

#endif
