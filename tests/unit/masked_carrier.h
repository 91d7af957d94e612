/* A kind of carrier that is made as a TLS one would be: the bytes on its socket are not its own, it
 * reads more than it gives, and takes more to be written than the socket does. */
#ifndef SPX_TESTS_MASKED_CARRIER_H
#define SPX_TESTS_MASKED_CARRIER_H

#include "net/carrier.h"

/* Of a connected, non-blocking socket whose other end is masked too. */
struct carrier *masked_carrier_new(int fd);

/* The mask of byte i of either direction. */
uint8_t masked_carrier_mask(uint64_t i);

#endif
