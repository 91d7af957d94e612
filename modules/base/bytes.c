/* The parts of bytes.h that a compiler must not see through. */
#include "base/bytes.h"

void wipe(void *secret, size_t len)
{
    if (len > 0)
        explicit_bzero(secret, len);
}

/* The accumulators are volatile so that the compiler cannot stop a loop early. */

bool bytes_equal_secret(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference = (uint8_t)(difference | (x[i] ^ y[i]));
    return difference == 0;
}

bool bytes_are_zero(const void *p, size_t len)
{
    const uint8_t *x = p;
    volatile uint8_t seen = 0;
    for (size_t i = 0; i < len; i++)
        seen = (uint8_t)(seen | x[i]);
    return seen == 0;
}
