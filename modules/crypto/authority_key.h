/* An authority's key as text and in its file: its public key is 88 characters of canonical base64,
 * its private key a line that cannot be taken for another kind's. */
#ifndef SPX_CRYPTO_AUTHORITY_KEY_H
#define SPX_CRYPTO_AUTHORITY_KEY_H

#include "base/error.h"
#include "crypto/sign.h"

#define AUTHORITY_TEXT_BYTES 89 /* of a public key, with the terminator */
#define AUTHORITY_FILE_BYTES 56 /* "authority:", 44 characters, a newline, the terminator */

/* A public key as configurations have it, in base64, terminated. */
void authority_to_text(char out[AUTHORITY_TEXT_BYTES], const uint8_t public_key[SIGN_PUBLIC_BYTES]);

/* False: it is no canonical base64 of 64 bytes, or these are no point of the curve. */
bool authority_from_text(uint8_t out[SIGN_PUBLIC_BYTES], struct view text);

/* The content of its file; the caller's to wipe. */
void authority_file_text(char out[AUTHORITY_FILE_BYTES], const struct sign_key *key);

/* True if a file of this content holds an authority's private key, be it a good one. */
bool authority_file_is_one(struct view content);

/* Reads that; name is for the error, FAILURE_CONFIG. */
bool authority_key_from_text(struct sign_key *key, struct view content, const char *name,
                             struct error *e);

/* Reads the file, which must be closed to others as a private key's must. */
bool authority_key_load(struct sign_key *key, const char *path, struct error *e);

#endif
