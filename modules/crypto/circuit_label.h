/* The name of a circuit in the logs of all three parties (docs/PROTOCOL.md section 4). */
#ifndef SPX_CRYPTO_CIRCUIT_LABEL_H
#define SPX_CRYPTO_CIRCUIT_LABEL_H

#include "base/bytes.h"

#define CIRCUIT_LABEL_BYTES 9 /* 8 hexadecimal digits and a NUL */

/* The name of a circuit or session in audits (docs/AUDIT.md): the first 16 bytes of the SHA-256 of
 * session message 1, or of the session's id, in hexadecimal. The label is its beginning. */
#define HASH_NAME_BYTES 33
void hash_name(char out[HASH_NAME_BYTES], struct view of);

/* The first 4 bytes of SHA-256(session message 1). */
void circuit_label(char out[CIRCUIT_LABEL_BYTES], struct view message1);

#endif
