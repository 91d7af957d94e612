/* spx audit verify: holds each line against the one before, in a file and from file to file. */
#ifndef SPX_AUDITOR_VERIFY_H
#define SPX_AUDITOR_VERIFY_H

#include "audit/signed_head.h"
#include "auditor/index.h"
#include "auditor/reading.h"

/* A file as it is found to be. */
struct verified {
    const char *path;
    uint64_t entries;
    char chain[AUDIT_NAME_BYTES]; /* of the first entry, as are the next two */
    uint64_t number;
    char previous[AUDIT_HASH_TEXT_BYTES];
    struct audit_head last;
    char role[17];
    char first_time[AUDIT_TIME_BYTES], last_time[AUDIT_TIME_BYTES];
    struct line_index index;
    unsigned heads;                      /* of the own, signed */
    char signer[FINGERPRINT_TEXT_BYTES]; /* their audit key; "": there is none */
    bool checkpoint;                     /* the first entry signs what was before it */
    bool exhausted;                      /* no memory for all of it */
    size_t torn_bytes;                   /* at its end, of a line that was not finished; 0: none */
    unsigned findings;                   /* that were printed */
};

/* Goes through a file and prints, to standard output, each line that is not as it was written.
 * verified_free frees it. */
void verify_reading(struct verified *v, struct reading *r);
void verified_free(struct verified *v);

/* Prints what is missing between the files. Returns how many findings there were. */
unsigned verify_links(const struct verified *files, size_t count);

/* Does both with files of these names, in whatever order, and prints of each how it is. */
enum failure verify_files(char **paths, size_t count);

#endif
