/* Arrays that grow. */
#ifndef SPX_BASE_ARRAY_H
#define SPX_BASE_ARRAY_H

#include <stddef.h>

/* Makes the array one zeroed item longer and counts it: the array's new place, or NULL without
 * memory, which leaves the old one unchanged. An array that is NULL has a count of 0. */
void *array_append(void *items, size_t *count, size_t item_bytes);

#endif
