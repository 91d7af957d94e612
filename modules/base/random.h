/* Randomness from getrandom(2), at the moment of use. */
#ifndef SPX_BASE_RANDOM_H
#define SPX_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills out; blocks only until the kernel's pool is first ready. A kernel without it ends the
 * process: there is no safe way on. */
void random_bytes(void *out, size_t len);

/* A number below bound (bound > 0), for jitter. */
uint64_t random_below(uint64_t bound);

#endif
