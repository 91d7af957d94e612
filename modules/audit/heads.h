/* The audit key of this party, and those of others as they were first seen: files beside the audit,
 * .NAME.key and .NAME.peers (docs/AUDIT.md). For the audit's thread: it waits for the disk, and a
 * signature takes a millisecond. */
#ifndef SPX_AUDIT_HEADS_H
#define SPX_AUDIT_HEADS_H

#include "audit/signed_head.h"
#include "base/error.h"
#include "base/stamp.h"

struct audit_heads {
    enum audit_role role;
    char *key_path, *peers_path; /* NULL: nothing is signed */
    bool has_key;
    struct sign_key key;
    struct file_stamp peers_stamp; /* of what was read */
    char *peers;                   /* that, terminated; NULL: nothing yet */
};

/* path: of the audit. False: no memory; audit_heads_free follows all the same. */
bool audit_heads_init(struct audit_heads *h, enum audit_role role, const char *path);
void audit_heads_free(struct audit_heads *h);

/* Signs a head with the time of now, making the key at the first use. False: e says why there is no
 * key. */
bool audit_heads_sign(struct audit_heads *h, const struct audit_head *head, struct signed_head *out,
                      struct error *e);

/* Audit keys that count for one user; for an agent or a relay one does. */
#define AUDITS_PER_USER 8

/* The worth of a head that was received. */
enum head_worth {
    HEAD_GOOD,
    HEAD_PINNED, /* good, and the first with this key, which counts for its signer from now on */
    HEAD_FORGED, /* its key has not signed it */
    HEAD_FOREIGN /* another key than those that count for its signer */
};

/* signer: the fingerprint of its static key, as the transport has proven it. pinned: the
 * fingerprint of its key, or of the one that counts instead. False: e says why its key cannot be
 * looked up or kept. */
bool audit_heads_judge(struct audit_heads *h, const struct signed_head *head, const char *signer,
                       enum head_worth *worth, char pinned[FINGERPRINT_TEXT_BYTES],
                       struct error *e);

/* Each key of the peers' file, in its order; for show. None, and true, without the file. */
bool audit_heads_each(const char *path,
                      void (*f)(const char *role, const char *signer,
                                const char key[FINGERPRINT_TEXT_BYTES]),
                      struct error *e);

/* The fingerprint of the own key; "": it is not made yet. False: e says why it cannot be read. */
bool audit_heads_own(const char *path, char out[FINGERPRINT_TEXT_BYTES], struct error *e);

#endif
