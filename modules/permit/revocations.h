/* Lists of what an authority takes back (docs/PROTOCOL.md section 7): signed by it, and numbered.
 */
#ifndef SPX_PERMIT_REVOCATIONS_H
#define SPX_PERMIT_REVOCATIONS_H

#include "permit/permit.h"

#define REVOCATIONS_MAX 1000 /* permits, and keys */
#define REVOCATIONS_BYTES (128 + REVOCATIONS_MAX * (PERMIT_ID_BYTES + KEY_BYTES) + SIGNATURE_BYTES)

/* Zeros: nothing is taken back. */
struct revocations {
    uint64_t number;             /* of a list, higher than those before it */
    uint64_t issued_s, before_s; /* permits issued before that are taken back; 0: none */
    size_t permit_count, key_count;
    const uint8_t *permits, *keys; /* PERMIT_ID_BYTES, KEY_BYTES each */
    uint8_t *bytes;                /* owned: what they point into; or NULL */
};

/* Reads a list from bytes, into which it points; its `bytes` are not touched. False: it is not in
 * its one spelling, or not this authority's. */
bool revocations_decode(struct revocations *r, struct view bytes,
                        const uint8_t authority[SIGN_PUBLIC_BYTES]);

/* Reads the list in a file, as armour_read takes it, which this authority must have signed. Errors
 * are FAILURE_CONFIG, with the file's name; r is zero then. The caller frees it. */
bool revocations_read(struct revocations *r, const char *path,
                      const uint8_t authority[SIGN_PUBLIC_BYTES], struct error *e);
void revocations_free(struct revocations *r);

/* The text of a list as a file has it, signed; its bytes are not used. Allocated; NULL, e says why.
 */
char *revocations_issue(const struct revocations *r, const struct sign_key *key, struct error *e);

/* Why a permit counts no more; NULL: it does. Static. */
const char *revocations_say(const struct revocations *r, const struct permit *p);

#endif
