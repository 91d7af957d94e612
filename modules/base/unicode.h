/* UTF-8, and the few properties of Unicode that texts from peers are checked for. */
#ifndef SPX_BASE_UNICODE_H
#define SPX_BASE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* The length of the UTF-8 character at the start of the text (which is not empty) and its code
 * point; 0 when there is none (RFC 3629 section 4: no surrogates, no overlong forms). */
size_t utf8_next(struct view text, uint32_t *point);

/* True if a character misleads readers of a text: it shows nothing, breaks the line, or changes
 * the direction of the text after it. */
bool unicode_misleads(uint32_t point);

#endif
