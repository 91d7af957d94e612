/* A circuit's label from session message 1. It is for people who compare logs: nothing is looked up
 * by it. */
#include "crypto/circuit_label.h"

#include <stdio.h>

#include "crypto/primitives.h"

void circuit_label(char out[CIRCUIT_LABEL_BYTES], struct view message1)
{
    uint8_t digest[HASH_BYTES];
    sha256(digest, message1, view_of(NULL, 0));
    snprintf(out, CIRCUIT_LABEL_BYTES, "%08lx", (unsigned long)load_be32(digest));
}
