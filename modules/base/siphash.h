/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). */
#ifndef SPX_BASE_SIPHASH_H
#define SPX_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The keyed hash of the data: without the key nobody can choose data with equal hashes. */
uint64_t siphash24(const uint8_t key[16], const void *data, size_t len);

#endif
