/* The limit of descriptors, and the purpose that the last of them are kept for. */
#ifndef SPX_NET_DESCRIPTORS_H
#define SPX_NET_DESCRIPTORS_H

#include <stdbool.h>

/* Raises the limit as far as the process may: a circuit takes a relay two, a stream takes one.
 * False with errno: it stays as it is. */
bool descriptors_raise_limit(void);

/* True for a descriptor that is one of the last that the process may have. These are for carriers:
 * the streams of one user must not keep others, or the relay, from being reached. */
bool descriptor_is_scarce(int fd);

#endif
