/* A circuit's label from session message 1. It is for people who compare logs: nothing is looked up
 * by it. */
#include "crypto/circuit_label.h"

#include <stdio.h>

#include "base/text.h"
#include "crypto/primitives.h"

void circuit_label(char out[CIRCUIT_LABEL_BYTES], struct view message1)
{
    char name[HASH_NAME_BYTES];
    hash_name(name, message1);
    snprintf(out, CIRCUIT_LABEL_BYTES, "%.8s", name);
}

void hash_name(char out[HASH_NAME_BYTES], struct view of)
{
    uint8_t digest[HASH_BYTES];
    sha256(digest, of, view_of(NULL, 0));
    text_hex(out, digest, (HASH_NAME_BYTES - 1) / 2);
}
