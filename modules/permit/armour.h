/* Statements as text that survives a mail: base64 between two lines that name its kind. */
#ifndef SPX_PERMIT_ARMOUR_H
#define SPX_PERMIT_ARMOUR_H

#include "base/bytes.h"
#include "base/error.h"

#define ARMOUR_PERMIT "SPX PERMIT"
#define ARMOUR_REVOCATIONS "SPX REVOCATIONS"
#define ARMOUR_AGENT "SPX AGENT"

/* "-----BEGIN KIND-----" and so on, lines of at most 64 characters. Allocated, terminated, the
 * caller's to free; NULL without memory. */
char *armour_text(const char *kind, struct view bytes);

/* The bytes of the one statement of this kind in a text: what stands before and behind it, white
 * space at the ends of lines, and "> " before each of them, are left out. *len: at most max.
 * False, FAILURE_CONFIG: there is none, or a second one, or it is damaged. */
bool armour_read(uint8_t *out, size_t max, size_t *len, const char *kind, struct view text,
                 struct error *e);

#endif
