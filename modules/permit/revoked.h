/* The revocations of several authorities, as their files had them last. */
#ifndef SPX_PERMIT_REVOKED_H
#define SPX_PERMIT_REVOKED_H

#include "base/stamp.h"
#include "permit/revocations.h"

/* Behind the reason why a file was not read again. */
#define REVOKED_STAYS ": the revocations that were read before count"

struct revoked_list;

/* Zeros: no authority has any. */
struct revoked {
    struct revoked_list *lists; /* of authorities that have had a file */
    size_t count;
};

/* Forgets all lists; r is zeros again. */
void revoked_free(struct revoked *r);

/* Reads an authority's file, and logs what is new. A list stays once it was read, whatever becomes
 * of the file; one that is older, or cannot be read, is an error: FAILURE_CONFIG. */
bool revoked_read(struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES], const char *path,
                  struct error *e);

/* True if a list of this authority was read, and counts. */
bool revoked_has(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES]);

/* True if the file may have changed since. */
bool revoked_may_have_changed(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES],
                              const char *path);

/* Why this authority's permit counts no more; NULL: it does. Static. */
const char *revoked_say(const struct revoked *r, const uint8_t authority[SIGN_PUBLIC_BYTES],
                        const struct permit *p);

#endif
