/* From a member to the structure that holds it: how a callback finds its owner. */
#ifndef SPX_BASE_CONTAINER_H
#define SPX_BASE_CONTAINER_H

#include <stddef.h>

/* The structure of this type whose member ptr points to. The conditional
 * always picks ptr; it makes the compiler refuse a ptr whose type is not the member's. */
#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#endif
