/* Arrays that grow one item at a time, in place of a list where the items are looked up by index.
 */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *array_append(void *items, size_t *count, size_t item_bytes)
{
    /* Full whenever the count is 0 or a power of two: then it doubles. */
    if ((*count & (*count - 1)) == 0) {
        size_t room = *count == 0 ? 1 : 2 * *count;
        if (room > SIZE_MAX / item_bytes)
            return NULL;
        items = realloc(items, room * item_bytes);
        if (!items)
            return NULL;
    }
    memset((char *)items + *count * item_bytes, 0, item_bytes);
    *count += 1;
    return items;
}
